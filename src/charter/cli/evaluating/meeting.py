"""A head to head under way: what was settled, who answers, and what the judge says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charter.cli.evaluating.entrants import Entrant
    from charter.cli.held_file import Held
    from charter.constitution import Constitution
    from charter.evaluation.head_to_head import ContestedPrompts, GivenAnswers, Match, Standings
    from charter.feedback.attached_audit import AttachedAudit
    from charter.records import Comparison, Contested, Prompt


@dataclass(frozen=True)
class Side:
    """One of the two things that are rated: what it is called, on which prompts, by whose principles."""

    name: str
    kind: Contested
    standard: Constitution


@dataclass(frozen=True)
class Contest:
    """Everything that was settled before a model is asked; ``source`` is where the prompts are from."""

    entrants: Sequence[Entrant]
    given: Mapping[str, GivenAnswers]
    source: str
    prompts: ContestedPrompts
    sides: Sequence[Side]
    judge: Entrant
    audit: AttachedAudit | None
    against: str | None
    k_principles: int
    temperature: float
    max_tokens: int
    seed: int

    @property
    def names(self) -> list[str]:
        """Name everyone who meets."""
        return [one.name for one in self.entrants]

    @property
    def anchor(self) -> str:
        """Name the one that ratings are measured from."""
        return self.against or self.names[0]


@dataclass(frozen=True)
class Answered:
    """A model's answers by prompt id, why it has none to others, and how each ended, where that is known."""

    by_prompt: Mapping[str, str]
    finish: Mapping[str, str]
    missing: Mapping[str, int]


@dataclass(frozen=True)
class Preferred:
    """What the judge said: each side's standings, failed rows by reason, all comparisons, and who the judge was."""

    standings: Mapping[str, Standings]
    failed: Mapping[str, Mapping[str, int]]
    comparisons: Sequence[Comparison]
    identity: str


def hold_to(held: Held, contest: Contest) -> None:
    """Refuse a folder that was begun otherwise; further prompts and models may come to those that are there."""
    from charter.seeds import digest

    held.require_setup(
        {
            "--judge": contest.judge.identified(held),
            "--prompts": contest.prompts.digest,
            **{f"standard of {side.name}": digest(side.standard.model_dump(mode="json")) for side in contest.sides},
            "--k-principles": contest.k_principles,
            "--temperature": contest.temperature,
            "--max-tokens": contest.max_tokens,
            "--seed": contest.seed,
        }
    )
    for one in contest.entrants:
        answers = contest.given.get(one.name)
        is_whom = one.identified(held) if answers is None else [_content(one.source)]
        held.require_setup({f"model called {one.name}": is_whom}, kept_as=f"setup of {one.name}")


def _content(file: str) -> str:
    """Fingerprint a file of answers."""
    import hashlib

    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def answer(held: Held, contest: Contest, one: Entrant) -> Answered:
    """Let a model answer every prompt, or take the answers that are there."""
    from charter.cli.evaluating.entrants import ask
    from charter.engines.base import Sampling

    prompts = contest.prompts.prompts
    if one.spec is None:
        answers = contest.given[one.name].by_prompt
        n_missing = len(prompts) - len(answers)
        return Answered(answers, {}, {"not in the file": n_missing} if n_missing else {})
    sampling = Sampling(temperature=contest.temperature, max_tokens=contest.max_tokens)
    mapped = ask(held, one, prompts, sampling=sampling, seed=contest.seed)
    done = tuple(mapped.done)
    finish = {row.prompt.id: row.finish for row in done}
    return Answered({row.prompt.id: row.text for row in done}, finish, mapped.reasons["failed"])


def prefer(held: Held, contest: Contest, answers: Mapping[str, Answered]) -> Preferred:
    """Ask the judge about every match.

    Raises:
        UserError: where no two models answered the same prompt.
        ModelError: where the judge does not tell letters' probabilities.
    """
    from charter.errors import ModelError
    from charter.evaluation.head_to_head import compare, standings
    from charter.feedback.judge import Judging, make_judge
    from charter.prompts.grouping import prompt_groups

    matches = _matches(contest, answers)
    groups = prompt_groups(contest.prompts.prompts)
    found: dict[str, Standings] = {}
    failed: dict[str, Mapping[str, int]] = {}
    comparisons: list[Comparison] = []
    with held.lend(contest.judge.asked, known_as="engine of the judge") as engine:
        if "choose" not in engine.capabilities:
            raise ModelError(
                f"--judge {contest.judge.source}: tells no probabilities of letters ({contest.judge.engine}); take "
                "another judge, or another --judge-engine"
            )
        for side, met in matches:
            mapped = compare(
                met,
                make_judge(engine, side.standard, Judging(), seed=contest.seed),
                side.standard,
                k_principles=contest.k_principles,
                seed=contest.seed,
                mapper=held.mapper,
                stage=f"evaluate/head to head/{side.kind}",
            )
            judged = list(mapped.done)
            comparisons += judged
            failed[side.name] = mapped.reasons["failed"]
            found[side.name] = standings(
                met, judged, contest.names, anchor=contest.anchor, groups=groups, seed=contest.seed
            )
        return Preferred(found, failed, comparisons, engine.identity)


def _matches(contest: Contest, answers: Mapping[str, Answered]) -> list[tuple[Side, list[Match]]]:
    """Give the matches of each side that has some."""
    from charter.errors import UserError
    from charter.evaluation.head_to_head import round_robin

    texts = {name: one.by_prompt for name, one in answers.items()}
    every = [
        (side, round_robin(_of(contest.prompts.prompts, side), texts, against=contest.against))
        for side in contest.sides
    ]
    if not any(met for _, met in every):
        raise UserError(f"no prompt was answered by two of {', '.join(contest.names)}; nothing can be compared")
    return [(side, met) for side, met in every if met]


def _of(prompts: Sequence[Prompt], side: Side) -> list[Prompt]:
    return [prompt for prompt in prompts if prompt.kind == side.kind]
