"""The card of a dataset that a run made: columns, counts, what the labels are worth, sources, an example, warnings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from charter.recipe.stages import in_iteration
from charter.records import Preference, Prompt, SftRow, Trace
from charter.reporting import wording
from charter.reporting.cards.columns import columns
from charter.reporting.cards.facts import Facts, prompt_sources
from charter.reporting.cards.label_facts import tell_labels
from charter.reporting.cards.making import reasons, tell_making
from charter.reporting.cards.markdown import Markdown, bullets, fence, heading, line, paragraphs, table
from charter.reporting.told import StageResult

if TYPE_CHECKING:
    from huggingface_hub import DatasetCardData

Dataset = Literal["prompts", "traces", "sft", "preferences"]
DATASETS: tuple[Dataset, ...] = get_args(Dataset)
AnyRow = Prompt | Trace | SftRow | Preference

#: The stage that writes each, and those that it rests on.
_MADE_BY: Mapping[Dataset, tuple[str, ...]] = {
    "prompts": ("prompts",),
    "traces": ("prompts", "revise"),
    "sft": ("prompts", "revise", "sft"),
    "preferences": ("prompts", "revise", "sft", "pairs", "label"),
}
_WHAT: Mapping[Dataset, str] = {
    "prompts": "The prompts of a run, with the half that each belongs to: trained on, or held out to measure.",
    "traces": "Chains of an initial response and rounds of critique and revision by the principles of a constitution.",
    "sft": "What a model was fine-tuned on: revisions, answers that were sampled, and reference answers.",
    "preferences": "Pairs of responses with soft labels by an AI judge that read the principles of a constitution.",
}
_TAGS: Mapping[Dataset, tuple[str, ...]] = {
    "prompts": ("red-team",),
    "traces": ("critique", "revision"),
    "sft": ("sft",),
    "preferences": ("preference", "dpo", "rlaif"),
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGE = "1M<n<10M"
#: Of an example: harmful requests last, so that a card shows one only where there is nothing else.
_SHOWN_FIRST = {"helpful": 0, "benign_twin": 1, "red_team": 2}
_HARM = (
    "Red-team prompts ask for harm, and answers to them may be harmful, false or offensive. Do not show them to people "
    "who do not expect that."
)
_MOST_SHOWN, _MOST_ITEMS = 240, 2


def rows_of(facts: Facts, what: Dataset) -> tuple[AnyRow, ...]:
    """Give the rows of a dataset, those of all iterations."""
    found: tuple[AnyRow, ...] = getattr(facts.data, what)
    return found


def files_of(facts: Facts, what: Dataset) -> list[str]:
    """Name the files that hold a dataset, one for each iteration that has its own, as far as they are there."""
    n = facts.data.n_iterations if what == "preferences" else 1
    names = [f"data/{in_iteration(what, number)}.parquet" for number in range(1, n + 1)]
    return [name for name in names if (facts.data.path / name).is_file()]


def dataset_card(facts: Facts, what: Dataset, *, licence: str | None = None) -> str:
    """Write the card of a dataset: front matter as the hub reads it, and Markdown.

    Args:
        facts: of the run, which has the dataset's file.
        what: which dataset.
        licence: as the hub names it; None leaves the choice to whoever publishes the rows.
    """
    body = paragraphs(
        heading(f"{facts.name}: {what}", 1),
        line(_WHAT[what], " Made by Charter, with AI feedback in place of human labels."),
        _warnings(facts, what),
        _counts(facts, what),
        tell_labels(facts) if what == "preferences" else "",
        _columns(facts.data.path, files_of(facts, what), what),
        _sources(facts, what, licence),
        _example(rows_of(facts, what)),
        tell_making(facts, _stages(facts, what)),
    )
    return f"---\n{dataset_data(facts, what, licence=licence).to_yaml()}\n---\n\n{body}\n"


def dataset_data(facts: Facts, what: Dataset, *, licence: str | None = None) -> DatasetCardData:
    """Give the front matter of a dataset's card; it lies beside the folder ``data``."""
    from huggingface_hub import DatasetCardData

    n = len(rows_of(facts, what))
    configs = [
        {"config_name": Path(name).stem, "data_files": [{"split": "train", "path": name}]}
        for name in files_of(facts, what)
    ]
    return DatasetCardData(
        language=facts.language,
        license=licence,
        annotations_creators=None if what == "prompts" else "machine-generated",
        size_categories=next((name for limit, name in _SIZES if n < limit), _LARGE),
        task_categories=["text-generation"],
        pretty_name=f"{facts.name}: {what}",
        tags=["charter", "constitutional-ai", *_TAGS[what]],
        configs=configs,
    )


def _stages(facts: Facts, what: Dataset) -> list[StageResult]:
    numbers = range(1, facts.data.n_iterations + 1)
    names = {in_iteration(one, number) for one in _MADE_BY[what] for number in numbers}
    return [result for name, result in facts.data.stages.items() if name in names]


def _warnings(facts: Facts, what: Dataset) -> Markdown:
    told = [_HARM]
    if what != "prompts":
        told.append(
            "Answers are a language model's. Nobody checked them, and they may say untrue things with confidence."
        )
    if what == "preferences":
        told.append(
            "The labels are a language model's opinion, not people's: read what they are worth below before you train."
        )
    held_out = sum(prompt_of(row).split == "evaluation" for row in rows_of(facts, what))
    if held_out:
        told.append(
            f"{wording.counted(held_out, 'row')} with the split 'evaluation' measured models: who trains on them "
            "measures nothing with them any more. The file is one split for the hub; the column tells."
        )
    return paragraphs(heading("Warnings"), bullets(told))


def _counts(facts: Facts, what: Dataset) -> Markdown:
    rows = rows_of(facts, what)
    by = {
        "rows": str(wording.count(len(rows))),
        "by kind of prompt": _counted(prompt_of(row).kind for row in rows),
        "by split": _counted(prompt_of(row).split for row in rows),
        **_own_counts(what, rows),
    }
    made = [one for one in _stages(facts, what) if one.stage.partition("-")[0] == _MADE_BY[what][-1]]
    for one in made:
        by[f"filtered by stage {one.stage}"] = reasons(one.filtered)
        by[f"failed in stage {one.stage}"] = wording.count(sum(one.failed.values()))
    return paragraphs(heading("Counts"), table(["what", "rows"], [[name, told] for name, told in by.items()]))


def _own_counts(what: Dataset, rows: Sequence[Any]) -> dict[str, str]:
    if what == "traces":
        return {"flags": _counted(flag for row in rows for flag in row.flags)}
    if what == "sft":
        return {"by origin": _counted(row.origin for row in rows)}
    if what == "preferences":
        return {"by source of the pair": _counted(row.source for row in rows)}
    return {"by category": _counted(row.category or "none" for row in rows)}


def _counted(values: Any) -> str:
    return reasons(Counter(values))


def _columns(run: Path, files: Sequence[str], what: Dataset) -> Markdown:
    told = [[name, kind, Markdown(meaning)] for name, kind, meaning in columns(run / files[0], what)]
    return paragraphs(heading("Columns"), table(["column", "type", "meaning"], told))


def _sources(facts: Facts, what: Dataset, licence: str | None) -> Markdown:
    prompts = {prompt_of(row).id: prompt_of(row) for row in rows_of(facts, what)}
    told = [[source, terms, wording.count(n)] for source, terms, n in prompt_sources(prompts.values(), facts)]
    note = (
        f"The licence of this dataset is {licence}."
        if licence
        else (
            "No licence is named here: whoever publishes the rows chooses one that the sources above allow, and writes "
            "it as 'license' above."
        )
    )
    return paragraphs(
        heading("Where the prompts are from"),
        table(["source", "licence", "prompts"], told, right=(2,)),
        line(
            note,
            " Answers are the output of ",
            facts.base.told,
            ", whose terms may hold for them"
            + (f" (its licence: {facts.base.licence})." if facts.base.licence else "."),
        ),
    )


def _example(rows: Sequence[AnyRow]) -> Markdown | str:
    if not rows:
        return ""
    row = min(rows, key=lambda one: (_SHOWN_FIRST[prompt_of(one).kind], one.id))
    # A source may be a path of the machine that the run was done on.
    values = {**_shortened(row.to_row()), "prompt_source": "..."}
    told = "One row, its long texts and lists cut short, and what looks like a path or a secret blotted out."
    return paragraphs(heading("An example"), told, fence(json.dumps(values, ensure_ascii=False, indent=2), "json"))


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        rest = [f"... {len(value) - _MOST_ITEMS} more"] if len(value) > _MOST_ITEMS else []
        return [*(_shortened(one) for one in value[:_MOST_ITEMS]), *rest]
    if isinstance(value, str) and len(value) > _MOST_SHOWN:
        return f"{value[:_MOST_SHOWN]} ... ({len(value)} characters)"
    return value


def prompt_of(row: AnyRow) -> Prompt:
    """Give the prompt that a row is about, or is."""
    return row if isinstance(row, Prompt) else row.prompt
