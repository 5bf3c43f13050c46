"""Stage ``revise``: critique and revision of the training red-team prompts (CAI §3.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from charter.files.tables import write_table
from charter.given import load_traces
from charter.given.matching import draw_rows, match_prompts
from charter.recipe.data_folder import find_companion
from charter.records import Prompt, Round, Trace
from charter.revision import revise
from charter.rows import Mapped
from charter.runs.folder import Run
from charter.stages.label import judging_of
from charter.stages.prompts import read_prompts
from charter.stages.summary import Summary, summarise, tally


def do_revise(run: Run) -> Summary:
    """Write ``data/traces.parquet``: the traces that were given, and those that are made of the other prompts."""
    given, left_out, n_mended = _given(run)
    there = {trace.prompt.id for trace in given}
    mapped = _revise(run, [prompt for prompt in read_prompts(run, "train", "red_team") if prompt.id not in there])
    write_table(run.data("traces"), chain(given, mapped.done), Trace)
    n_given = len(given) + sum(left_out.values())
    return summarise(
        mapped.n_in + n_given,
        len(given) + len(mapped.done),
        filtered=Counter(mapped.reasons["filtered"]) + Counter(left_out),
        failed=mapped.reasons["failed"],
        counts={
            "flags": tally(flag for trace in chain(given, mapped.done) for flag in trace.flags),
            **({"given": len(given), "mended": n_mended} if n_given else {}),
            **({"check": count_checks(mapped.done)} if run.recipe.revise.check else {}),
        },
    )


def _revise(run: Run, prompts: Sequence[Prompt]) -> Mapped[Trace]:
    settings = run.recipe.revise
    if not prompts or not settings.n_samples:  # no model is loaded for nothing
        return Mapped((), {}, {})
    return revise(
        prompts,
        run.constitution,
        run.pool.engine("policy"),
        critic=run.pool.engine("critic"),
        reviser=run.pool.engine("reviser"),
        seed=run.recipe.seed,
        judge=run.pool.engine("judge") if settings.check else None,
        judging=judging_of(run.recipe),
        mapper=run.mapper,
        **settings.model_dump(exclude={"given", "check"}),
    )


def count_checks(traces: Iterable[Trace]) -> dict[str, dict[str, dict[str, int]]]:
    """Count by round and by principle what the judge said of revisions: ``unchanged`` ones it is not asked about."""
    found: dict[str, dict[str, Counter[str]]] = {"by round": {}, "by principle": {}}
    for one in (one for trace in traces for one in trace.rounds):
        for way, name in (("by round", str(one.number)), ("by principle", one.principle)):
            found[way].setdefault(name, Counter())[_outcome(one)] += 1
    return {way: {name: dict(counts[name]) for name in sorted(counts)} for way, counts in found.items()}


def _outcome(one: Round) -> str:
    if one.confirmed is None:
        return "unchanged"
    return "confirmed" if one.confirmed else "invalid" if one.p_better is None else "not better"


def _given(run: Run) -> tuple[Sequence[Trace], Mapping[str, int], int]:
    """Read the traces that were given for the training prompts; the others by reason, and how many were mended."""
    rows = run.recipe.revise.given
    if rows is None:
        return (), {}, 0
    loaded = load_traces(rows.source, split=rows.split, companion=find_companion(run.recipe))
    matched = match_prompts(loaded.traces, (*read_prompts(run, "train"), *read_prompts(run, "evaluation")))
    drawn, over = draw_rows(matched.rows, rows.limit, rows.seed)
    left_out = Counter(loaded.rejected) + Counter(matched.left_out) + over
    return drawn, {f"given: {reason}": n for reason, n in left_out.items()}, len(loaded.mended)
