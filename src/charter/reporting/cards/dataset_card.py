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
WHAT: Mapping[Dataset, str] = {
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
MADE_BY = "Made by Charter, with AI feedback in place of human labels."
_HARM = (
    "Red-team prompts ask for harm, and answers to them may be harmful, false or offensive. Do not show them to people "
    "who do not expect that."
)
EXAMPLE = "One row, its long texts and lists cut short, and what looks like a path or a secret blotted out."
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
        line(WHAT[what], " ", MADE_BY),
        tell_warnings(facts, [what]),
        paragraphs(heading("Counts"), count_rows(facts, what)),
        tell_labels(facts) if what == "preferences" else "",
        paragraphs(heading("Columns"), list_columns(facts, what)),
        tell_sources(facts, [what], licence),
        _example(facts, what),
        tell_making(facts, stages_behind(facts, [what])),
    )
    return f"---\n{dataset_data(facts, what, licence=licence).to_yaml()}\n---\n\n{body}\n"


def dataset_data(facts: Facts, what: Dataset, *, licence: str | None = None) -> DatasetCardData:
    """Give the front matter of a dataset's card; it lies beside the folder ``data``."""
    return front_matter(facts, [what], f"{facts.name}: {what}", licence)


def front_matter(facts: Facts, whats: Sequence[Dataset], name: str, licence: str | None) -> DatasetCardData:
    """Give the front matter of a card of one dataset or several; of several the last is what loads by itself."""
    from huggingface_hub import DatasetCardData

    n = sum(len(rows_of(facts, what)) for what in whats)
    configs: list[dict[str, Any]] = [
        {"config_name": Path(file).stem, "data_files": [{"split": "train", "path": file}]}
        for what in whats
        for file in files_of(facts, what)
    ]
    if len(whats) > 1:
        configs[-1]["default"] = True
    return DatasetCardData(
        language=facts.language,
        license=licence,
        annotations_creators=None if list(whats) == ["prompts"] else "machine-generated",
        size_categories=next((size for limit, size in _SIZES if n < limit), _LARGE),
        task_categories=["text-generation"],
        pretty_name=name,
        tags=["charter", "constitutional-ai", *dict.fromkeys(tag for what in whats for tag in _TAGS[what])],
        configs=configs,
    )


def stages_behind(facts: Facts, whats: Sequence[Dataset]) -> list[StageResult]:
    """Give the stages that datasets rest on, in order."""
    numbers = range(1, facts.data.n_iterations + 1)
    names = {in_iteration(one, number) for what in whats for one in _MADE_BY[what] for number in numbers}
    return [result for name, result in facts.data.stages.items() if name in names]


def tell_warnings(facts: Facts, whats: Sequence[Dataset]) -> Markdown:
    """Tell what to know before the rows of datasets are shown or trained on."""
    told = [_HARM]
    if set(whats) != {"prompts"}:
        told.append(
            "Answers are a language model's. Nobody checked them, and they may say untrue things with confidence."
        )
    if "preferences" in whats:
        told.append(
            "The labels are a language model's opinion, not people's: read what they are worth below before you train."
        )
    held_out = sum(prompt_of(row).split == "evaluation" for what in whats for row in rows_of(facts, what))
    if held_out:
        file = "The file is" if len(whats) == 1 else "Each file is"
        told.append(
            f"{wording.counted(held_out, 'row')} with the split 'evaluation' measured models: who trains on them "
            f"measures nothing with them any more. {file} one split for the hub; the column tells."
        )
    return paragraphs(heading("Warnings"), bullets(told))


def count_rows(facts: Facts, what: Dataset) -> Markdown:
    """Count a dataset's rows by what they are, and those that are not among them by why."""
    rows = rows_of(facts, what)
    by = {
        "rows": str(wording.count(len(rows))),
        "by kind of prompt": _counted(prompt_of(row).kind for row in rows),
        "by split": _counted(prompt_of(row).split for row in rows),
        **_own_counts(what, rows),
    }
    made = [one for one in stages_behind(facts, [what]) if one.stage.partition("-")[0] == _MADE_BY[what][-1]]
    for one in made:
        by[f"filtered by stage {one.stage}"] = reasons(one.filtered)
        by[f"failed in stage {one.stage}"] = wording.count(sum(one.failed.values()))
    return table(["what", "rows"], [[name, told] for name, told in by.items()])


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


def list_columns(facts: Facts, what: Dataset) -> Markdown:
    """List a dataset's columns with their types and meanings."""
    found = columns(facts.data.path / files_of(facts, what)[0], what)
    told = [[name, kind, Markdown(meaning)] for name, kind, meaning in found]
    return table(["column", "type", "meaning"], told)


def tell_sources(facts: Facts, whats: Sequence[Dataset], licence: str | None) -> Markdown:
    """Tell where the prompts of datasets are from, and under what licences."""
    prompts = {prompt_of(row).id: prompt_of(row) for what in whats for row in rows_of(facts, what)}
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


def _example(facts: Facts, what: Dataset) -> Markdown | str:
    shown = show_row(rows_of(facts, what))
    return paragraphs(heading("An example"), EXAMPLE, shown) if shown else ""


def show_row(rows: Sequence[AnyRow]) -> Markdown | str:
    """Show a row, a harmless one where there is any; nothing where there are no rows."""
    if not rows:
        return ""
    row = min(rows, key=lambda one: (_SHOWN_FIRST[prompt_of(one).kind], one.id))
    # A source may be a path of the machine that the run was done on.
    values = {**_shortened(row.to_row()), "prompt_source": "..."}
    return fence(json.dumps(values, ensure_ascii=False, indent=2), "json")


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
