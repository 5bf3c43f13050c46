"""The stages of the method, in order: what each reads, what it does, and what it writes.

This is the one place where a recipe's settings become plain arguments. A stage returns its summary: how many rows went
in, came out, were filtered and failed, and what else it counted.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.engines.base import Engine
from charter.errors import PromptError
from charter.evaluation import evaluate
from charter.feedback import label, pairs
from charter.prompts import load_prompts, split_prompts
from charter.prompts.split import remove_contamination, split_with_twins
from charter.recipe import PromptSource, TrainingSettings
from charter.records import (
    Comparison,
    Pair,
    Preference,
    Prompt,
    PromptKind,
    Response,
    SftRow,
    Trace,
)
from charter.revision import revise
from charter.rows import Mapped
from charter.run import Run
from charter.seeds import derive_seed
from charter.tables import read_table, write_json, write_table
from charter.training.mixture import revision_rows, sampled_rows, samples_needed, shuffled

Summary = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One stage: the paths in a run folder that it reads and writes, and what it does."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    run: Callable[[Run], Summary]


def _prompts(run: Run) -> Summary:
    settings = run.recipe.prompts
    rejected: dict[str, int] = {}
    found: dict[PromptKind, tuple[Prompt, ...]] = {}
    sources: dict[PromptKind, PromptSource | None] = {
        "red_team": settings.red_team,
        "benign_twin": settings.benign_twin,
        "helpful": settings.helpful,
    }
    for kind, source in sources.items():
        if source is not None:
            loaded = load_prompts(kind=kind, **source.model_dump())
            found[kind] = loaded.prompts
            rejected |= {f"{kind}: {reason}": n for reason, n in loaded.rejected.items()}
    harmful, n_stray = split_with_twins(
        found["red_team"],
        found.get("benign_twin", ()),
        n_evaluation=settings.n_evaluation,
        n_train=settings.n_train,
        seed=settings.split_seed,
    )
    helpful = _split_helpful(run, found.get("helpful", ()))
    kept, n_contaminated = remove_contamination([*harmful, *helpful], _shown_contexts(run))
    _check_ids(kept)
    write_table(run.data("prompts"), kept, Prompt)
    n_read = sum(map(len, found.values()))
    reasons = rejected | {
        "over the number asked for": n_read - len(kept) - n_contaminated - n_stray,
        "shown in a few-shot": n_contaminated,
        "twin of a prompt that is not there": n_stray,
    }
    counts = {f"{split} {kind}": _count(kept, kind, split) for kind in found for split in ("train", "evaluation")}
    return {
        "n_in": n_read + sum(rejected.values()),
        "n_done": len(kept),
        "filtered": {reason: n for reason, n in reasons.items() if n},
        "failed": {},
        "counts": counts,
    }


def _split_helpful(run: Run, prompts: Sequence[Prompt]) -> list[Prompt]:
    """Hold out helpful prompts: those that come marked as held out, or else by the split."""
    settings = run.recipe.prompts
    marked = [prompt for prompt in prompts if prompt.split == "evaluation"]
    if not marked:
        return split_prompts(
            prompts,
            n_evaluation=settings.n_evaluation_helpful if prompts else 0,
            n_train=settings.n_train_helpful,
            seed=settings.split_seed,
        )
    train = [prompt for prompt in prompts if prompt.split == "train"]
    return [*train[: settings.n_train_helpful], *marked[: settings.n_evaluation_helpful]]


def _shown_contexts(run: Run) -> list[str]:
    shown = [
        example.messages
        for few_shots in (run.constitution.few_shots, run.helpful.few_shots)
        for examples in (few_shots.revise, few_shots.judge)
        for example in examples
    ]
    return [message.content for messages in shown for message in messages if message.role == "user"]


def _check_ids(prompts: Sequence[Prompt]) -> None:
    """Refuse prompts of two kinds that share an id: every row of the run is named after its prompt."""
    seen: dict[str, Prompt] = {}
    for prompt in prompts:
        other = seen.setdefault(prompt.id, prompt)
        if other is not prompt:
            raise PromptError(
                f"the id {prompt.id!r} is used by a {other.kind} prompt ({other.source}) and a {prompt.kind} prompt "
                f"({prompt.source}); leave out 'id_column' for one of them, or make their ids differ"
            )


def _count(prompts: Sequence[Prompt], kind: str, split: str) -> int:
    return sum(prompt.kind == kind and prompt.split == split for prompt in prompts)


def _revise(run: Run) -> Summary:
    settings = run.recipe.revise
    mapped = revise(
        _read_prompts(run, "train", "red_team"),
        run.constitution,
        run.pool.engine("policy"),
        critic=run.pool.engine("critic"),
        reviser=run.pool.engine("reviser"),
        seed=run.recipe.seed,
        mapper=run.mapper,
        **settings.model_dump(),
    )
    write_table(run.data("traces"), mapped.done, Trace)
    return _summary(mapped, counts={"flags": _tally(flag for trace in mapped.done for flag in trace.flags)})


def _sft(run: Run) -> Summary:
    settings = run.recipe.sft
    revised = revision_rows(
        read_table(run.data("traces"), Trace),
        revisions=settings.revisions,
        only_changed=settings.only_changed,
        classes=settings.classes,
    )
    rows, left_out = list(revised.rows), {f"revision: {reason}": n for reason, n in revised.left_out.items()}
    ratios: dict[PromptKind, float] = {"helpful": settings.helpful_ratio, "benign_twin": settings.twin_ratio}
    failed: Counter[str] = Counter()
    for kind, ratio in ratios.items():
        wanted = round(ratio * len(revised.rows))
        sampled = _sample(run, kind, wanted)
        mixture = sampled_rows(sampled.done, wanted)
        rows += mixture.rows
        left_out |= {f"{kind}: {reason}": n for reason, n in mixture.left_out.items()}
        failed.update(sampled.reasons["failed"])
    rows = shuffled(rows, run.recipe.seed)
    write_table(run.data("sft"), rows, SftRow)
    run.pool.close()
    counts = {"rows": _tally(f"{row.prompt.kind} {row.origin}" for row in rows)}
    training = _train_sft(run, rows)
    return {
        "n_in": len(rows) + sum(left_out.values()) + failed.total(),
        "n_done": len(rows),
        "filtered": left_out,
        "failed": dict(failed),
        "counts": counts,
        "training": training,
    }


def _sample(run: Run, kind: PromptKind, wanted: int) -> Mapped[Trace]:
    """Sample the base's own answers, as chains without rounds."""
    settings = run.recipe.sft
    prompts = _read_prompts(run, "train", kind)
    return revise(
        prompts if wanted else [],
        run.constitution,
        run.pool.engine("policy"),
        rounds=0,
        n_samples=max(1, samples_needed(wanted, len(prompts))),
        temperature=settings.response_temperature,
        max_tokens=settings.max_tokens,
        on_cut=settings.on_cut,
        seed=run.recipe.seed,
        stage=f"sft/{kind}",
        mapper=run.mapper,
    )


def _train_sft(run: Run, rows: Sequence[SftRow]) -> Summary:
    if run.recipe.models.policy.engine == "scripted":
        return {"skipped": "the policy is scripted: it has no weights to train"}
    from charter.training.sft import sft

    result = sft(
        rows,
        run.recipe.models.policy.name,
        out=run.model("sft"),
        seed=run.recipe.seed,
        **_training_arguments(run, "sft", run.recipe.sft),
    )
    return _training_summary(result)


def _pairs(run: Run) -> Summary:
    settings = run.recipe.pairs
    trained = run.pool.trained("policy", run.model("sft"))
    mapped = pairs(
        _read_prompts(run, "train"),
        read_table(run.data("traces"), Trace),
        run.constitution,
        trained,
        guide=trained if settings.guided_by == "sft" else run.pool.engine("policy"),
        n=settings.n,
        kinds=settings.kinds,
        sources=settings.sources,
        intended_classes=settings.intended_classes,
        on_cut=settings.on_cut,
        few_shots=settings.few_shots,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        seed=run.recipe.seed,
        mapper=run.mapper,
    )
    write_table(run.data("pairs"), mapped.done, Pair)
    made = _tally(f"{pair.prompt.kind} {pair.source}" for pair in mapped.done)
    return _summary(mapped, counts={"asked for": settings.n, "made": made})


def _label(run: Run) -> Summary:
    settings = run.recipe.label
    mapped = label(
        read_table(run.data("pairs"), Pair),
        run.constitution,
        run.pool.engine("judge"),
        helpful=run.helpful,
        seed=run.recipe.seed,
        mapper=run.mapper,
        **settings.model_dump(exclude={"held_out"}),
    )
    write_table(run.data("preferences"), mapped.done, Preference)
    invalid = sum(verdict.invalid is not None for one in mapped.done for verdict in one.verdicts)
    judged = [one for one in mapped.done if one.agrees is not None]
    return _summary(
        mapped,
        counts={
            "verdicts": sum(len(one.verdicts) for one in mapped.done),
            "invalid verdicts": invalid,
            "agrees with the source": sum(one.agrees is True for one in judged),
            "disagrees with the source": sum(one.agrees is False for one in judged),
        },
    )


def _dpo(run: Run) -> Summary:
    settings = run.recipe.dpo
    train, held_out = split_preferences(run, read_table(run.data("preferences"), Preference))
    counts = {"trained on": len(train), "held out": len(held_out)}
    summary: Summary = {
        "n_in": len(train) + len(held_out),
        "n_done": len(train),
        "filtered": {"held out": len(held_out)} if held_out else {},
        "failed": {},
        "counts": counts,
    }
    if run.recipe.models.policy.engine == "scripted":
        return summary | {"training": {"skipped": "the policy is scripted: it has no weights to train"}}
    from charter.training.dpo import dpo

    result = dpo(
        train,
        str(run.model("sft")),
        out=run.model("dpo"),
        seed=run.recipe.seed,
        beta=settings.beta,
        nll_weight=settings.nll_weight,
        **_training_arguments(run, "dpo", settings),
    )
    return summary | {"training": _training_summary(result)}


def split_preferences(run: Run, preferences: Sequence[Preference]) -> tuple[list[Preference], list[Preference]]:
    """Keep a share of the prompts' preferences from training, by a hash of the prompt's id."""
    share = run.recipe.label.held_out
    held_out = {
        one.prompt.id for one in preferences if derive_seed(run.recipe.seed, one.prompt.id, "held out") < share * 2**56
    }
    train = [one for one in preferences if one.prompt.id not in held_out]
    return train, [one for one in preferences if one.prompt.id in held_out]


def _evaluate(run: Run) -> Summary:
    settings = run.recipe.evaluate
    models: dict[str, Engine] = {"base": run.pool.engine("policy")}
    for name in ("sft", "dpo"):
        if run.model(name).exists() or run.recipe.models.policy.engine == "scripted":
            models[name] = run.pool.trained("policy", run.model(name))
    preferences = read_table(run.data("preferences"), Preference) if run.data("preferences").exists() else []
    _, held_out = split_preferences(run, preferences)
    found = evaluate(
        models,
        _read_prompts(run, "evaluation"),
        run.constitution,
        judge=run.pool.engine("judge") if settings.head_to_head else None,
        helpful=run.helpful,
        preferences=held_out,
        multiple_choice=settings.multiple_choice,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        seed=run.recipe.seed,
        mapper=run.mapper,
    )
    write_table(run.data("responses"), found.responses, Response)
    write_table(run.data("comparisons"), found.comparisons, Comparison)
    measurements = [one.model_dump(mode="json") for one in found.measurements]
    write_json(run.folder / "evaluation.json", {"models": list(models), "measurements": measurements})
    n_out = sum(found.left_out.values())
    # A comparison without a readable verdict is a row of the table, and counted among those left out.
    n_done = len(found.responses) + sum(one.win is not None for one in found.comparisons)
    return {
        "n_in": n_done + n_out,
        "n_done": n_done,
        "filtered": {reason: n for reason, n in found.left_out.items() if n},
        "failed": {},
        "counts": {"measurements": len(measurements)},
    }


def _report(run: Run) -> Summary:
    from charter.reporting import report

    report(run.folder)
    return {"n_in": 0, "n_done": 0, "filtered": {}, "failed": {}, "counts": {}}


def _read_prompts(run: Run, split: str, kind: PromptKind | None = None) -> list[Prompt]:
    prompts = read_table(run.data("prompts"), Prompt)
    return [prompt for prompt in prompts if prompt.split == split and kind in (None, prompt.kind)]


def _training_arguments(run: Run, name: str, settings: TrainingSettings) -> dict[str, Any]:
    """What both trainings are told; steps drive the progress bar, the run's stop flag ends them."""
    from charter.training.adapters import LoraSettings

    begun = False

    def on_step(step: int, n_steps: int, logs: Mapping[str, float]) -> None:
        nonlocal begun
        if not begun:
            run.progress.begin(f"{name} training", n_steps, step - 1)
            begun = True
        loss = logs.get("loss")
        run.progress.advance(f"{name} training", "" if loss is None else f"loss {loss:.3f}")
        if step == n_steps:
            run.progress.end(f"{name} training")

    return {
        "epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "batch_size": settings.batch_size,
        "accumulation": settings.accumulation,
        "warmup": settings.warmup,
        "schedule": settings.schedule,
        "max_length": settings.max_length,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "lora": LoraSettings(**settings.lora.model_dump()),
        "dtype": run.recipe.models.policy.dtype,
        "on_step": on_step,
        "stop": run.stop.is_set,
    }


def _training_summary(result: Any) -> Summary:
    """Turn a training's result into what a summary holds: no paths."""
    found = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return {name: value for name, value in found.items() if not isinstance(value, Path)}


def _summary(mapped: Mapped[Any], *, counts: Mapping[str, Any]) -> Summary:
    return {"n_in": mapped.n_in, "n_done": len(mapped.done), **mapped.reasons, "counts": dict(counts)}


def _tally(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


STAGES: Mapping[str, Stage] = {
    "prompts": Stage((), ("data/prompts.parquet",), _prompts),
    "revise": Stage(("data/prompts.parquet",), ("data/traces.parquet",), _revise),
    "sft": Stage(("data/prompts.parquet", "data/traces.parquet"), ("data/sft.parquet", "models/sft"), _sft),
    "pairs": Stage(("data/prompts.parquet", "data/traces.parquet", "stages/sft.json"), ("data/pairs.parquet",), _pairs),
    "label": Stage(("data/pairs.parquet",), ("data/preferences.parquet",), _label),
    "dpo": Stage(("data/preferences.parquet", "stages/sft.json"), ("models/dpo",), _dpo),
    "evaluate": Stage(
        ("data/prompts.parquet",), ("data/responses.parquet", "data/comparisons.parquet", "evaluation.json"), _evaluate
    ),
    "report": Stage((), ("report.html",), _report),
}
