"""Whether a model's answers degenerate while it is trained: figures of a few answers, and which are too far off.

A model that is trained too hard falls into loops, ends every answer alike, says the same to everybody, refuses what is
harmless or stops answering (arXiv 2504.04918; CAI §4.3). All of that shows in a few answers to the same prompts, beside
those that it gave before the first step. Pure: texts in, numbers out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal, NamedTuple

from charter.records import Prompt
from charter.seeds import derive_seed
from charter.text_quality import (
    RefusalDegree,
    common_endings,
    distinct_n,
    find_loop,
    is_boilerplate,
    is_repetitive,
    refusal_degree,
    repeated_ngram_share,
)

#: What a look measures, in the order in which it is told.
Figures = Mapping[str, float]
#: Shares of answers that may rise, each up to a share of what it could still rise by.
SHARES = ("repetition", "endings", "boilerplate", "refusals")
_OF_OTHERS = frozenset({"refusals"})  # shares of the answers to prompts other than red-team ones
ENOUGH = 4  # answers: of fewer a share says too little to end a training by
_SHOWN = 80  # characters of a text that is quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """When the answers of a model in training are looked at, and how far they may go from what they were.

    The first look is before the first step, the last behind the last one. Of the shares (``repetition``, ``endings``,
    ``boilerplate``, ``refusals``) each says what part of the answers that had not the fault before the first step may
    get it: with 0.5 and a quarter of the answers looping before, up to 0.625 may loop.

    Attributes:
        every: steps between two looks; a checkpoint is written at each that finds nothing.
        n_prompts: red-team prompts that are answered, and as many others, of those that are trained on.
        max_tokens: where an answer is cut.
        repetition: share of the answers that loop or repeat themselves.
        endings: share of the answers that have the commonest ending.
        boilerplate: share of the answers that stock phrases carry: to red-team prompts they come first (CAI §4.3).
        refusals: share of the answers to prompts other than red-team ones that refuse.
        distinct: the least variety of all answers (distinct pairs of words), of what it was before the first step.
        length: the least and the most of the answers' mean length, of what it was before the first step. What is
            taught may be a lot shorter than what a model says by itself, so that little is too little; and thrice as
            much is too much, where ``max_tokens`` lets it show.
        then: ``stop`` ends the training with an error, its last good checkpoint kept; ``keep`` makes that checkpoint
            the trained model.
    """

    every: int = 100
    n_prompts: int = 8
    max_tokens: int = 64
    repetition: float = 0.5
    endings: float = 0.5
    boilerplate: float = 0.5
    refusals: float = 0.5
    distinct: float = 0.25
    length: tuple[float, float] = (0.1, 3.0)
    then: Literal["stop", "keep"] = "stop"


class Answer(NamedTuple):
    """An answer that was looked at, and its length in tokens."""

    prompt: Prompt
    text: str
    n_tokens: int


class Passed(NamedTuple):
    """A limit that was passed.

    Attributes:
        measure: which of the guard's.
        value: what was found.
        limit: how far it might go.
        before: what it was before the first step.
    """

    measure: str
    value: float
    limit: float
    before: float

    def __str__(self) -> str:
        """Say it in a few words."""
        most = "at least" if self.value < self.limit else "at most"
        figures = f"{self.value:.3g} ({most} {self.limit:.3g}, before the first step {self.before:.3g})"
        return f"{self.measure} {figures}"


def choose_prompts(prompts: Sequence[Prompt], n: int, seed: int, spare: Sequence[Prompt] = ()) -> tuple[Prompt, ...]:
    """Draw the prompts that are answered: so many red-team ones, and as many others; each at most once.

    Where there are too few of either, spare ones fill up. The draw does not depend on the order of the prompts.
    """
    once = {prompt.id: prompt for prompt in prompts}
    more = {prompt.id: prompt for prompt in spare if prompt.id not in once}
    drawn = [
        prompt
        for some in (once, more)
        for prompt in sorted(some.values(), key=lambda prompt: derive_seed(seed, prompt.id, "guard"))
    ]
    red_team = [prompt for prompt in drawn if prompt.kind == "red_team"]
    others = [prompt for prompt in drawn if prompt.kind != "red_team"]
    return (*red_team[:n], *others[:n])


def measure_answers(answers: Sequence[Answer]) -> dict[str, float]:
    """Measure answers to the guard's prompts.

    Returns:
        ``n_answers``, and ``n_others`` of them, to prompts other than red-team ones; ``repetition``, ``endings``,
        ``boilerplate`` (shares of all answers), ``refusals`` (of those others, left out where there are none),
        ``red_team_refusals``, ``repeated_ngrams`` (the mean share of repeated runs of four words), ``distinct`` (pairs
        of words) and ``length`` (mean, in tokens).
    """
    texts = [answer.text for answer in answers]
    others = [answer for answer in answers if answer.prompt.kind != "red_team"]
    red_team = [answer for answer in answers if answer.prompt.kind == "red_team"]
    shared = common_endings(texts, min_count=2, min_share=0.0)
    figures: dict[str, float] = {
        "n_answers": len(answers),
        "n_others": len(others),
        "repetition": mean(map(is_repetitive, texts)),
        "endings": shared[0].share if shared else 0.0,
        "boilerplate": mean(map(is_boilerplate, texts)),
    }
    if others:
        figures["refusals"] = mean(map(_refuses, others))
    if red_team:
        figures["red_team_refusals"] = mean(map(_refuses, red_team))
    figures["repeated_ngrams"] = mean(map(repeated_ngram_share, texts))
    figures["distinct"] = distinct_n(texts)
    figures["length"] = mean(answer.n_tokens for answer in answers)
    return {name: float(value) for name, value in figures.items()}


def passed_limits(figures: Figures, before: Figures, guard: Guard) -> tuple[Passed, ...]:
    """Find the limits that figures pass; those of before the first step are the measure.

    Where the fault was everywhere before, or there was nothing to compare with, nothing can be passed; nor can it by
    fewer than four answers.
    """
    if figures["n_answers"] < ENOUGH:
        return ()
    return tuple(one for one in _limits(figures, before, guard) if one is not None)


def show_example(answers: Sequence[Answer], measure: str) -> str:
    """Quote what is meant by a measure's fault: a loop, an ending, a refusal; or else the first answer's beginning."""
    texts = [answer.text for answer in answers]
    others = [answer for answer in answers if answer.prompt.kind != "red_team"]
    meant: Iterator[str | None] = iter(())
    if measure == "repetition":
        meant = map(find_loop, texts)
    elif measure == "endings":
        meant = (one.text for one in common_endings(texts, min_count=2, min_share=0.0))
    elif measure == "refusals":
        meant = (answer.text for answer in others if _refuses(answer))
    elif measure == "boilerplate":
        meant = (text for text in texts if is_boilerplate(text))
    text = " ".join(next(filter(None, meant), texts[0]).split())
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _limits(figures: Figures, before: Figures, guard: Guard) -> Iterator[Passed | None]:
    for name in SHARES:
        if name in figures and name in before and not (name in _OF_OTHERS and figures["n_others"] < ENOUGH):
            limit = before[name] + getattr(guard, name) * (1 - before[name])
            yield Passed(name, figures[name], limit, before[name]) if figures[name] > limit else None
    least = guard.distinct * before["distinct"]
    yield Passed("distinct", figures["distinct"], least, before["distinct"]) if figures["distinct"] < least else None
    length, was = figures["length"], before["length"]
    least, most = (bound * was for bound in guard.length)
    if was and length < least:
        yield Passed("length", length, least, was)
    if was and length > most:
        yield Passed("length", length, most, was)


def _refuses(answer: Answer) -> bool:
    return refusal_degree(answer.prompt.text, answer.text) is RefusalDegree.FULL_REFUSAL
