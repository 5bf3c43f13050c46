"""Stage ``pairs``: two responses to a prompt, by source and kind of prompt in stated shares (CAI §4.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from charter.feedback import pairs
from charter.files.tables import read_table, write_table
from charter.given import LengthConfound, balance_lengths, length_confound, load_pairs
from charter.given.matching import draw_rows, match_prompts
from charter.records import GENERATED, Pair, Trace
from charter.rows import Mapped
from charter.runs.folder import Run
from charter.stages.generation import written_file
from charter.stages.prompts import read_prompts
from charter.stages.summary import Summary, summarise, tally


def do_pairs(run: Run) -> Summary:
    """Write ``data/pairs.parquet``: the pairs that were given, and those that are made."""
    mapped = _make(run)
    given, left_out, lengths = _given(run)
    write_table(run.data("pairs"), chain(given, mapped.done), Pair)
    made = tally(f"{pair.prompt.kind} {pair.source}" for pair in chain(given, mapped.done))
    return summarise(
        mapped.n_in + len(given) + sum(left_out.values()),
        len(given) + len(mapped.done),
        filtered=Counter(mapped.reasons["filtered"]) + Counter(left_out),
        failed=mapped.reasons["failed"],
        counts={"asked for": run.recipe.pairs.n, "made": made, **lengths},
    )


def _make(run: Run) -> Mapped[Pair]:
    settings = run.recipe.pairs
    if not settings.n:  # no model is loaded for nothing
        return Mapped((), {}, {})
    trained = run.pool.trained("policy", run.policy_before)
    return pairs(
        read_prompts(run, "train"),
        read_table(run.data("traces"), Trace),
        run.constitution,
        trained,
        guide=trained if settings.guided_by == "sft" else run.pool.engine("policy"),
        n=settings.n,
        kinds=settings.kinds,
        sources=settings.sources,
        intended_classes=settings.intended_classes,
        n_tries=settings.n_tries,
        on_cut=settings.on_cut,
        few_shots=settings.few_shots,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        seed=run.seed,
        iteration=run.iteration,
        mapper=run.mapper,
    )


def _given(run: Run) -> tuple[Sequence[Pair], Mapping[str, int], Mapping[str, object]]:
    """Read the pairs that were given for the training prompts; the others by reason, and what lengths give away.

    Later iterations are about what the policy says by then, and take none.
    """
    settings = run.recipe.pairs
    if settings.given is None or run.iteration > 1:
        return (), {}, {}
    source, split = settings.given.source, settings.given.split
    loaded = load_pairs(written_file(run) if source == GENERATED else source, split=split)
    matched = match_prompts(loaded.pairs, (*read_prompts(run, "train"), *read_prompts(run, "evaluation")))
    rows, over = draw_rows(matched.rows, settings.given.limit, settings.given.seed)
    left_out = Counter(loaded.rejected) + Counter(matched.left_out) + over
    lengths = {"lengths of given pairs": _plain(length_confound(rows))}
    balanced = (
        balance_lengths(rows, settings.balance_lengths, seed=run.recipe.seed) if settings.balance_lengths else None
    )
    if balanced is not None:
        rows = balanced.pairs
        left_out += Counter({"dropped to balance lengths": balanced.n_dropped})
        lengths["lengths of given pairs, balanced"] = _plain(balanced.after) | {"trimmed": balanced.n_trimmed}
    return rows, {f"given: {reason}": n for reason, n in left_out.items()}, lengths


def _plain(lengths: LengthConfound | None) -> dict[str, Any]:
    if lengths is None:
        return {"pairs": 0}
    return {
        "pairs": lengths.n,
        "chosen longer": lengths.n_longer,
        "chosen shorter": lengths.n_shorter,
        "median ratio of lengths": lengths.median_ratio,
        "chance that length tells the chosen": lengths.auc,
    }
