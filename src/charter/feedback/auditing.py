"""The rows of an audit: which pairs a judge is asked about, what it says beside people's labels, and what that took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charter.engines.spending import Price
from charter.engines.usage import Usage
from charter.feedback.calibration import JudgedPair
from charter.prompts.grouping import prompt_groups
from charter.records import Judged, Pair
from charter.seeds import derive_seed

_LABELS = 1000  # that costs are told for


def draw_pairs(pairs: Sequence[Pair], n: int | None, seed: int) -> list[Pair]:
    """Draw pairs by their ids, so that more of them begin with the same; None takes all."""
    if n is None or n >= len(pairs):
        return list(pairs)
    drawn = {pair.id for pair in sorted(pairs, key=lambda pair: derive_seed(seed, pair.id, "audit"))[:n]}
    return [pair for pair in pairs if pair.id in drawn]


def own_names(judge: str) -> list[str]:
    """Say by which names answers are a judge's own: its name, and that without its owner's."""
    return list(dict.fromkeys((judge, judge.rstrip("/").rpartition("/")[2])))


def as_judged_pairs(
    rows: Sequence[Judged],
    p_intended: Mapping[str, float] | None = None,
    authors: Mapping[str, tuple[str, str]] | None = None,
) -> list[JudgedPair]:
    """Put what a judge said beside what people say: the intended side of a pair is theirs.

    Pairs hang together where their prompts do: conversations of one opening, prompts that say the same.

    Args:
        rows: of pairs of which people prefer one side.
        p_intended: how sure they are of it, by the pairs' ids; where it does not say, quite.
        authors: of some pairs, by their ids, which models wrote a and b.

    Raises:
        ValueError: for a pair that intends no side.
    """
    sure, named = p_intended or {}, authors or {}
    contexts = prompt_groups(row.prompt for row in rows)
    return [
        JudgedPair(
            id=row.id,
            context=contexts[row.prompt.id],
            verdicts=row.verdicts,
            truth=_truth(row, sure.get(row.id, 1.0)),
            category=row.prompt.category,
            longer_a=len(row.a) - len(row.b),
            author_a=named.get(row.id, ("", ""))[0],
            author_b=named.get(row.id, ("", ""))[1],
        )
        for row in rows
    ]


def _truth(row: Judged, p_intended: float) -> float:
    if row.intended is None:
        raise ValueError(f"pair {row.id} intends no side: nobody says which is better, which is no tie")
    return p_intended if row.intended == "a" else 1.0 - p_intended


@dataclass(frozen=True)
class Sitting:
    """What this sitting of an audit took since the model was there; ``n_rows`` were asked about in it.

    ``price`` is None where nobody says it.
    """

    seconds: float
    n_rows: int
    usage: Usage
    price: Price | None = None


def cost_of_labels(sitting: Sitting) -> dict[str, float | None] | None:
    """Scale what was asked in a sitting to 1,000 labels; None where everything was recorded before."""
    total = sitting.usage.total
    if not sitting.n_rows or not total.n_calls:
        return None
    scale = _LABELS / sitting.n_rows
    return {
        "calls": round(total.n_calls * scale),
        "prompt_tokens": round(total.n_prompt_tokens * scale),
        "prompt_tokens_from_prefix": round(sitting.usage.n_prompt_tokens_from_prefix * scale),
        "completion_tokens": round(total.n_completion_tokens * scale),
        "seconds": round(sitting.seconds * scale, 1),
        "money": None if sitting.price is None else scale * _paid(sitting.price, sitting.usage),
    }


def _paid(price: Price, usage: Usage) -> float:
    total = usage.total
    return price.of(total.n_prompt_tokens, total.n_completion_tokens, usage.n_prompt_tokens_from_prefix)
