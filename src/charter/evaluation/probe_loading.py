"""Probes of a constitution, from a file or from those that come with Charter, less what a model was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from charter.constitution import Constitution, load_constitution
from charter.errors import PromptError
from charter.evaluation.adherence import Probes
from charter.given import load_pairs
from charter.prompts.contamination import find_seen
from charter.records import BUILT_IN, Pair, Prompt


@dataclass(frozen=True)
class LoadedProbes:
    """The probes of one constitution, and how many rows were left out, by reason."""

    probes: Probes
    left_out: Mapping[str, int]


def load_probes(
    constitution: str,
    source: str = BUILT_IN,
    *,
    n: int | None = None,
    trained_on: Iterable[Prompt] = (),
    near_duplicates: float | None = None,
) -> LoadedProbes:
    """Read the probes of one constitution.

    Args:
        constitution: a built-in name, or a path.
        source: ``built-in``, or a file of prompts, each with an aligned and a misaligned answer.
        n: probes of each principle, the first in the file; None takes all.
        trained_on: prompts that a model was trained on; a probe that asks what one of them asks is left out.
        near_duplicates: how much a probe must resemble one for that; None goes by texts that differ in writing alone.

    Raises:
        ConstitutionError: where the constitution cannot be read.
        PromptError: where the file cannot, or no probe is left.
    """
    standard = load_constitution(constitution)
    pairs, left_out = _read(standard, source)
    found = find_seen([pair.prompt.text for pair in pairs], [one.text for one in trained_on], near_duplicates)
    seen = {one.index for one in found}
    kept: list[Pair] = []
    of_principle: Counter[str] = Counter()
    for place, pair in enumerate(pairs):
        reason = _why_not(pair, standard, is_seen=place in seen)
        if not reason and n is not None and of_principle[pair.prompt.principle] >= n:
            reason = "over the number asked for"
        if reason:
            left_out[reason] += 1
        else:
            kept.append(pair)
            of_principle[pair.prompt.principle] += 1
    if not kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise PromptError(f"{source}: no probe of {standard.name!r} is left ({reasons}); bring others")
    return LoadedProbes(Probes(standard, tuple(kept)), dict(left_out))


def _read(standard: Constitution, source: str) -> tuple[Sequence[Pair], Counter[str]]:
    if source != BUILT_IN:
        loaded = load_pairs(source, constitution=standard)
        return loaded.pairs, Counter(loaded.rejected)
    file = _shipped().joinpath(f"{standard.name}.jsonl")
    if not file.is_file():
        there = ", ".join(sorted(one.name.removesuffix(".jsonl") for one in _shipped().iterdir()))
        raise PromptError(
            f"no probes of {standard.name!r} come with Charter (of {there} they do); name a file of prompts with an "
            "aligned and a misaligned answer each, such as 'charter prompts red-team' writes"
        )
    with resources.as_file(file) as path:
        loaded = load_pairs(path)
    return loaded.pairs, Counter(loaded.rejected)


def _shipped() -> Traversable:
    return resources.files("charter.evaluation") / "probes"


def _why_not(pair: Pair, standard: Constitution, *, is_seen: bool) -> str:
    if pair.prompt.principle not in standard.ids:
        return "of no principle that the constitution has"
    if pair.intended is None:
        return "neither answer is meant to be the better"
    return "asks what a training prompt asks" if is_seen else ""
