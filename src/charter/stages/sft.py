"""Stage ``sft``: supervised fine-tuning on revisions, mixed with the base's own helpful answers (CAI §3.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charter.files.tables import read_table, write_table
from charter.records import Prompt, PromptKind, SftRow, Trace
from charter.revision import revise
from charter.rows import Mapped
from charter.runs.folder import Run
from charter.stages.prompts import read_prompts
from charter.stages.summary import Summary, summarise, tally
from charter.stages.trained import SKIPPED, base_name, train, training_arguments, untrained
from charter.training.mixture import mixture_order, revision_rows, sampled_rows, shuffled, to_sample

if TYPE_CHECKING:
    from charter.training.results import TrainingResult


@dataclass(frozen=True)
class Mixed:
    """The rows to train on, how many of a kind were asked for, and how many were left out or failed, by reason."""

    rows: Sequence[SftRow]
    asked_for: Mapping[PromptKind, int]
    left_out: Mapping[str, int]
    failed: Counter[str]


def do_sft(run: Run) -> Summary:
    """Write ``data/sft.parquet`` and ``models/sft``."""
    mixed = mix_rows(run)
    write_table(run.data("sft"), mixed.rows, SftRow)
    run.pool.close()
    n_mixed = Counter(row.prompt.kind for row in mixed.rows)
    counts = {
        "rows": tally(f"{row.prompt.kind} {row.origin}" for row in mixed.rows),
        "asked for": mixed.asked_for,
        "mixed in": {kind: n_mixed[kind] for kind in mixed.asked_for},  # fewer where answers were left out
    }
    n_in = len(mixed.rows) + sum(mixed.left_out.values()) + mixed.failed.total()
    result = _train_sft(run, mixed.rows)
    n_trained = len(mixed.rows) if result is None else result.n_rows
    left_out = {**mixed.left_out, **(untrained(result) if result else {})}
    summary = summarise(n_in, n_trained, filtered=left_out, failed=mixed.failed, counts=counts)
    return summary | {"training": result.to_json() if result else SKIPPED}


def mix_rows(run: Run) -> Mixed:
    """Take the revisions, and sample the answers that are mixed with them."""
    settings = run.recipe.sft
    revised = revision_rows(
        read_table(run.data("traces"), Trace),
        revisions=settings.revisions,
        only_changed=settings.only_changed,
        classes=settings.classes,
        only_confirmed=settings.only_confirmed,
    )
    rows, left_out = list(revised.rows), {f"revision: {reason}": n for reason, n in revised.left_out.items()}
    ratios: dict[PromptKind, float] = {"helpful": settings.helpful_ratio, "benign_twin": settings.twin_ratio}
    failed: Counter[str] = Counter()
    asked_for: dict[PromptKind, int] = {}
    for kind, ratio in ratios.items():
        wanted = asked_for[kind] = round(ratio * len(revised.rows))
        prompts = mixture_order(read_prompts(run, "train", kind), run.recipe.seed)
        sampled = _sample(run, kind, prompts, wanted)
        mixture = sampled_rows(prompts, sampled.done, wanted)
        rows += mixture.rows
        left_out |= {f"{kind}: {reason}": n for reason, n in mixture.left_out.items()}
        failed.update(sampled.reasons["failed"])
    return Mixed(shuffled(rows, run.recipe.seed), asked_for, left_out, failed)


def _sample(run: Run, kind: PromptKind, prompts: Sequence[Prompt], wanted: int) -> Mapped[Trace]:
    """Sample the base's own answers, as chains without rounds, to prompts that have no reference."""
    settings = run.recipe.sft
    asked, n_samples = to_sample(prompts, wanted)
    if not asked:  # nor is a model loaded for nothing
        return Mapped((), {}, {})
    return revise(
        asked,
        run.constitution,
        run.pool.engine("policy"),
        rounds=0,
        n_samples=n_samples,
        temperature=settings.response_temperature,
        max_tokens=settings.max_tokens,
        on_cut=settings.on_cut,
        seed=run.recipe.seed,
        stage=f"sft/{kind}",
        mapper=run.mapper,
    )


def _train_sft(run: Run, rows: Sequence[SftRow]) -> TrainingResult | None:
    if run.recipe.models.policy.engine == "scripted":
        return None
    return train(run, "sft", rows, base_name(run), **training_arguments(run, "sft", run.recipe.sft))
