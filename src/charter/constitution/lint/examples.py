"""Rules about the few-shot examples."""

from __future__ import annotations

from collections.abc import Iterator

from charter.constitution.lint.rules import Grounds, Remark, Rule


def _missing_few_shots(grounds: Grounds) -> Iterator[Remark]:
    shots = grounds.constitution.few_shots
    for use, examples, what in (
        ("revise", shots.revise, "small models mix up the critique and the revision without them"),
        ("judge", shots.judge, "a judge is surer of its letters after a few worked choices"),
    ):
        if not examples:
            message = f"there are no few-shot examples under few_shots.{use}; {what}"
            yield Remark(message, f"write two to five under few_shots.{use}")


def _few_shot_turns(grounds: Grounds) -> Iterator[Remark]:
    shots = grounds.constitution.few_shots
    revise, judge = [one.messages for one in shots.revise], [one.messages for one in shots.judge]
    for use, conversations, expected in (("revise", revise, "assistant"), ("judge", judge, "user")):
        for number, messages in enumerate(conversations, start=1):
            last = messages[-1].role
            if last != expected:
                message = f"few_shots.{use}[{number}] ends with a turn of the {last}"
                yield Remark(message, f"end its messages with the turn of the {expected}")


def _one_sided_few_shots(grounds: Grounds) -> Iterator[Remark]:
    revise = grounds.constitution.few_shots.revise
    if len(revise) > 1 and all(example.changed for example in revise):
        yield Remark(
            "every example under few_shots.revise changes the response",
            "add one whose response was fine and comes back word for word",
        )
    answers = [example.answer for example in grounds.constitution.few_shots.judge]
    if len(answers) > 1 and len(set(answers)) == 1:
        yield Remark(
            f'every example under few_shots.judge answers "{answers[0]}"', "swap the two responses in half of them"
        )


RULES = (
    Rule(
        "missing-few-shots",
        "warning",
        "no examples of revision, or of judging",
        "Without examples, models mix up the critique and the revision (CAI \u00a73.1).",
        "write two to five of each",
        _missing_few_shots,
    ),
    Rule(
        "few-shot-turns",
        "error",
        "an example that ends on the wrong turn",
        "An example must end where the real conversation ends: on a response to revise, on a prompt to judge.",
        "end its messages with the turn that is criticised or answered",
        _few_shot_turns,
    ),
    Rule(
        "one-sided-few-shots",
        "warning",
        "examples that all rewrite, or all answer with one letter",
        "Examples that all end alike teach the ending. Judges lean to a place as it is: in 18 to 56 % of cases they "
        "picked the same position both times (RLAIF, arXiv 2309.00267).",
        "show both endings",
        _one_sided_few_shots,
    ),
)
