"""Which prompts are attacked, and which benign ones are asked beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from charter.errors import PromptError
from charter.prompts.gathering import Gathered, gather_prompts
from charter.prompts.sources import draw_prompts
from charter.records import BUILT_IN, Prompt, PromptKind


@dataclass(frozen=True)
class Targets:
    """Red-team prompts, benign ones that look like them, and why rows of the files are among neither."""

    harmful: tuple[Prompt, ...]
    benign: tuple[Prompt, ...]
    left_out: dict[str, int]

    @property
    def categories(self) -> tuple[str, ...]:
        """Name the red-team prompts' categories, in their order."""
        return tuple(dict.fromkeys(one.category for one in self.harmful if one.category))


def choose_targets(
    sources: Sequence[str],
    *,
    benign: str | None = None,
    column: str | None = None,
    n: int | None = None,
    seed: int = 0,
) -> Targets:
    """Read red-team prompts and benign ones, and draw some.

    Args:
        sources: files, as ``load_prompts`` takes them; the built-in prompts where there are none.
        benign: a file of benign prompts; None takes those that the sources say are benign.
        column: of the sources' prompts; None takes the layout's, or the first likely one.
        n: red-team prompts, and benign ones; twins of what is drawn go first. None takes all.
        seed: of the draw. More of them contain those of fewer.

    Raises:
        PromptError: where a file cannot be read, or has no red-team or benign prompt where they are looked for.
    """
    read = [gather_prompts(sources or [BUILT_IN], column=column, column_option="--prompt-column")]
    harmful = _of_kind(read[0], "red_team")
    if not harmful:
        raise PromptError(f"{', '.join(sources)}: no row is a red-team prompt; name them, or others, as --benign")
    if benign is not None:
        read.append(gather_prompts([benign], kind="benign_twin"))
    innocent = _of_kind(read[-1], "benign_twin")
    if benign is not None and not innocent:
        raise PromptError(f"{benign}: its rows say what they are for, and none is benign; name another file")
    drawn = harmful if n is None else draw_prompts(harmful, n, seed)
    return Targets(tuple(drawn), _beside(drawn, innocent, n, seed), _left_out(read))


def _of_kind(gathered: Gathered, kind: PromptKind) -> tuple[Prompt, ...]:
    return tuple(one for one in gathered.prompts if one.kind == kind)


def _beside(drawn: Sequence[Prompt], benign: tuple[Prompt, ...], n: int | None, seed: int) -> tuple[Prompt, ...]:
    """Take the twins of what was drawn, else draw as many."""
    if n is None:
        return benign
    ids = {one.id for one in drawn}
    twins = tuple(one for one in benign if one.twin_of in ids)
    return twins or draw_prompts(benign, n, seed)


def _left_out(read: Sequence[Gathered]) -> dict[str, int]:
    reasons = sum((Counter(one) for gathered in read for one in gathered.rejected.values()), Counter[str]())
    return {reason: n for reason, n in sorted(reasons.items()) if n}
