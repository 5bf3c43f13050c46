"""Rules about a constitution as a whole: its parts beside each other, its prompts, and its model's context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from charter.constitution.lint.rules import Grounds, Remark, Rule
from charter.constitution.model import Constitution, Principle, Use

_ROOM = 1024  # for a prompt, a response, its critique and revision; or a prompt and two responses
_PER_TURN = 4  # what a chat template puts around a turn
_CHARACTERS_PER_TOKEN = 4  # of English text, about


def _empty_category(grounds: Grounds) -> Iterator[Remark]:
    principles = grounds.constitution.principles
    without = [one.id for one in principles if not one.category.strip()]
    if len(without) == len(principles) > 1:
        yield Remark(
            f"none of the {len(principles)} principles has a category, by which people find their way among them"
        )
        return
    for name in without:
        yield Remark("the principle has no category, by which people find it among others", principle=name)


def _two_system_texts(grounds: Grounds) -> Iterator[Remark]:
    if grounds.constitution.system.critique != grounds.constitution.system.revise:
        yield Remark(
            "system.critique and system.revise differ, so that no prefix is shared between a round's two calls"
        )


def _unused(grounds: Grounds) -> Iterator[Remark]:
    uses: tuple[tuple[Use, str], ...] = (("revise", "critique and revision"), ("judge", "judging"))
    for use, what in uses:
        if not grounds.constitution.used_for(use):
            remedy = f'add "{use}" to the uses of those that are to be; fine where the constitution only does the other'
            yield Remark(f"no principle is used for {what}", remedy)


def _without_prompts(grounds: Grounds) -> Iterator[Remark]:
    prompts = grounds.prompts or ()
    about = {name.casefold() for prompt in prompts for name in (prompt.category, prompt.principle) if name}
    groups: dict[str, list[Principle]] = {}
    for principle in grounds.constitution.principles:
        if principle.category.strip():
            groups.setdefault(principle.category, []).append(principle)
    missing = [name for name, group in groups.items() if not _names(name, group) & about]
    if missing and len(missing) == len(groups):
        message = f"no prompt of {len(prompts)} names a category or principle of the constitution"
        yield Remark(message, "give prompts the category or the id of the principle that they press on")
        return
    for name in missing:
        ids = ", ".join(one.id for one in groups[name])
        yield Remark(f'no prompt of {len(prompts)} is about the category "{name}" ({ids})')


def _names(category: str, principles: Sequence[Principle]) -> set[str]:
    return {category.casefold(), *(name.casefold() for one in principles for name in (one.id, one.title))}


def _too_long(grounds: Grounds) -> Iterator[Remark]:
    context = grounds.context or 0
    for what, texts in _shown(grounds.constitution):
        count = grounds.count or _estimate
        taken = sum(count(text) + _PER_TURN for text in texts if text)
        if taken + _ROOM > context:
            yield Remark(
                f"{what} take {taken:,.0f} of the model's {context:,} tokens, and leave {max(context - taken, 0):,.0f} "
                f"for the conversation and its answers, where about {_ROOM:,} are needed"
            )


def _estimate(text: str) -> float:
    return len(text) / _CHARACTERS_PER_TOKEN


def _shown(constitution: Constitution) -> Iterator[tuple[str, list[str]]]:
    """Give what stands in the context beside a conversation: to revise, to judge, and to answer with the principles."""
    system, shots = constitution.system, constitution.few_shots
    revise, judge = constitution.used_for("revise"), constitution.used_for("judge")
    if revise:
        examples = [
            text
            for one in shots.revise
            for text in (
                *(turn.content for turn in one.messages),
                one.critique_request,
                one.critique,
                one.revision_request,
                one.revision,
            )
        ]
        asked = max(([one.critique_request, one.revision_request] for one in revise), key=lambda two: len("".join(two)))
        texts = [*dict.fromkeys((system.critique, system.revise)), *examples, *asked]
        yield "the system text, examples and longest requests of a revision", texts
        answered = [
            text for one in shots.revise for text in (*(turn.content for turn in one.messages[:-1]), one.revision)
        ]
        principles = [one.text for one in constitution.principles]
        yield (
            "the system text, all principles and the examples (guided answers)",
            [system.respond, *principles, *answered],
        )
    if judge:
        longest = max((one.choice_question for one in judge), key=len)
        worked = [
            text
            for one in shots.judge
            for text in (*(turn.content for turn in one.messages), one.question or longest, one.a, one.b, one.reasoning)
        ]
        yield "the system text, examples and longest question of a verdict", [system.judge, *worked, longest]


RULES = (
    Rule(
        "unused",
        "warning",
        "a stage for which no principle is used",
        "A principle is drawn for critique and revision, for judging, or for both (`uses`); a stage that finds none to "
        "draw cannot be done.",
        "add the use to principles that serve it",
        _unused,
    ),
    Rule(
        "too-long",
        "warning",
        "examples, system text and the longest request that leave a conversation no room",
        "What a model cannot read is cut off or refused, row after row: a constitution must leave room for the prompt "
        "and for the answers.",
        "shorten the examples, show fewer of them (n_few_shots), or take a model with a longer context",
        _too_long,
        needs="context",
    ),
    Rule(
        "no-prompts",
        "note",
        "a category that no prompt is about",
        "A principle is drawn for any prompt, and changes only what it applies to: on prompts that never come near it, "
        "nothing of it is learnt or measured.",
        "add prompts with that category, or with the id of one of its principles",
        _without_prompts,
        needs="prompts",
    ),
    Rule(
        "empty-category",
        "note",
        "a principle that does not say what it is about",
        "People find their way among many principles by their categories, and coverage by prompts is counted by them.",
        "give each a category that it shares with its like",
        _empty_category,
    ),
    Rule(
        "two-system-texts",
        "note",
        "different system texts for critique and revision",
        "A round's two calls share their beginning only under one system text, and what is shared is computed once.",
        "write one text that serves both",
        _two_system_texts,
    ),
)
