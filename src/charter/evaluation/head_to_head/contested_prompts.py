"""Which prompts models meet on: of the kinds that are judged, and nothing that the judge is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from charter.constitution.model import Constitution
from charter.errors import PromptError
from charter.prompts.contamination import remove_contamination
from charter.prompts.gathering import gather_prompts, told_kinds
from charter.prompts.selection import shown_contexts
from charter.prompts.sources import draw_prompts
from charter.records import Contested, Prompt, PromptKind
from charter.seeds import digest

_KINDS: tuple[Contested, ...] = get_args(Contested)


@dataclass(frozen=True)
class ContestedPrompts:
    """The prompts that were drawn, why rows of the source are not among them, and a digest of all it was drawn from."""

    prompts: tuple[Prompt, ...]
    left_out: dict[str, int]
    digest: str


def choose_prompts(
    source: str,
    constitutions: Sequence[Constitution],
    *,
    kind: Contested | None = None,
    n: int | None = None,
    seed: int = 0,
) -> ContestedPrompts:
    """Read prompts of every kind that is judged, and draw some.

    Args:
        source: ``built-in``, or as ``load_prompts`` takes it.
        constitutions: prompts that their worked examples show are left out.
        kind: of the prompts where the source does not say; where it does, the only kind that is taken.
        n: prompts of each kind, all where there are fewer; None takes all. More of them contain those of fewer.
        seed: of the draw.

    Raises:
        PromptError: where the source cannot be read, does not say what its prompts are for and nobody else does, or
            has none of a kind that is judged.
    """
    wanted = _wanted(source, kind)
    gathered = gather_prompts([source], kind=kind or "red_team")
    left_out = Counter(gathered.rejected[source])
    fitting = [one for one in gathered.prompts if one.kind in wanted]
    left_out["of another kind"] += len(gathered.prompts) - len(fitting)
    unseen, shown = remove_contamination(fitting, shown_contexts(constitutions))
    left_out["shown in a worked example of the judge"] += len(shown)
    by_kind = [[one for one in unseen if one.kind == each] for each in wanted]
    drawn = [one for of_kind in by_kind for one in draw_prompts(of_kind, len(of_kind) if n is None else n, seed)]
    left_out["over the number asked for"] += len(unseen) - len(drawn)
    if not drawn:
        raise PromptError(
            f"{source}: no prompt is left ({', '.join(f'{n} {why}' for why, n in left_out.items() if n)})"
        )
    whole = digest([[one.id, one.kind, [turn.model_dump() for turn in one.turns]] for one in fitting])
    return ContestedPrompts(tuple(drawn), {why: count for why, count in left_out.items() if count}, whole)


def _wanted(source: str, kind: Contested | None) -> list[PromptKind]:
    """Say which kinds are taken of a source."""
    told, _ = told_kinds(source)
    if not told and kind is None:
        raise PromptError(
            f"{source}: does not say what its prompts are for; say so with --kind red_team, which are judged by the "
            "principles of --constitution, or --kind helpful, by those of --helpful"
        )
    found: list[PromptKind] = [one for one in _KINDS if kind in {None, one} and (one in told or not told)]
    if not found:
        raise PromptError(
            f"{source}: says what its prompts are for, and none is for {kind or ' or '.join(_KINDS)} "
            f"(it has {', '.join(told)}); name another --kind or another file"
        )
    return found
