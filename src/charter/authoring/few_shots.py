"""Worked examples of what a model is to write: our own few, or those of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from charter.authoring.answers import TextField
from charter.authoring.briefs import brief_lines
from charter.authoring.structured import WorkedExample
from charter.constitution.formats.markers import has_rounds
from charter.errors import PromptError
from charter.files.yaml_reading import read_yaml
from charter.given.principles import split_key
from charter.prompts.reading import read_rows

ExampleKind = Literal["red_team", "helpful", "requests", "principles"]
Values = Mapping[str, str]

_COUNTRY_KEYS = {
    "adversarial_prompt": "prompt",
    "correct_model_response_to_adversarial_prompt": "aligned",
    "incorrect_model_response_to_adversarial_prompt": "misaligned",
}
_SAMPLE_KEYS = {
    "revisions": ("initial_prompt", "initial_response", "revision_response"),
    "preferences": ("prompt", "chosen_response", "rejected_response"),
}
_SHORT_KEYS = {"correct": "aligned", "incorrect": "misaligned"}


@cache
def own_examples(kind: ExampleKind) -> tuple[Values, ...]:
    """Give the examples that come with Charter."""
    text = resources.files("charter.authoring").joinpath("data", f"{kind}_examples.jsonl").read_text("utf-8")
    return tuple(json.loads(line) for line in text.splitlines())


def read_examples(path: Path, fields: Sequence[TextField], *, first_list: bool = False) -> tuple[Values, ...]:
    """Read worked examples from a file.

    Args:
        path: JSON lines (or any table) with a column for each field, as this command writes them, or a country's JSON:
            lists of ``adversarial_prompt`` with ``correct_...`` and ``incorrect_...`` under keys of any name.
        fields: what each example must hold; an example without one of them is an error, a twin may be missing.
        first_list: of a country's JSON, take the examples of the first list alone that has any.

    Raises:
        PromptError: naming the file, the place and what is wrong.
    """
    found = _country_rows(path, first_list=first_list)
    if found is None:
        found = _table_rows(path)
    examples = [values for values, place in found if _is_whole(values, place, fields)]
    if not examples:
        raise PromptError(f"{path}: holds no example with {_and(fields)}; give at least one, or leave out --few-shots")
    return tuple(examples)


def read_samples(path: Path, kind: Literal["revisions", "preferences"]) -> tuple[Any, ...]:
    """Read worked examples of revisions or of preferences, to be shown as they are.

    Args:
        path: a JSON or YAML file of lists under keys of any name; the first list that has such examples is taken.
        kind: of ``revisions`` transcripts with a critique and a revision, or rows of a country's file; of
            ``preferences`` rows of a country's file.

    Raises:
        PromptError: naming the file and what is wrong.
    """
    data = read_yaml(path, error=PromptError).data
    lists = data.values() if isinstance(data, dict) else [data]
    for rows in lists:
        found = [_sample(one) for one in rows if _is_sample(one, kind)] if isinstance(rows, list) else []
        if found:
            return tuple(found)
    expected = "transcripts with 'Critique:' and 'Revision:', or rows with" if kind == "revisions" else "rows with"
    raise PromptError(
        f"{path}: holds no examples of {kind}; expected a list of {expected} {_and_keys(_SAMPLE_KEYS[kind])}, or leave "
        "out --few-shots"
    )


def _is_sample(one: Any, kind: str) -> bool:
    if isinstance(one, str):
        return kind == "revisions" and has_rounds(one)
    return isinstance(one, dict) and all(isinstance(one.get(key), str) for key in _SAMPLE_KEYS[kind])


def _sample(one: Any) -> Any:
    """Give an example as it is, but for the place of the next question behind a transcript."""
    return one.removesuffix("\n\nHuman:") if isinstance(one, str) else one


def worked_examples(
    values: Sequence[Values], fields: Sequence[TextField], keys: tuple[str, ...], principles: Mapping[str, str]
) -> tuple[WorkedExample, ...]:
    """Turn rows into worked examples; a principle's id becomes its text.

    Args:
        values: the rows.
        fields: what is shown of each; rows that lack one of them are left out.
        keys: what a brief is described by, in order.
        principles: texts by id.
    """
    return tuple(
        WorkedExample(_about(row, keys, principles), ({one.name: row[one.name] for one in fields},))
        for row in values
        if all(row.get(one.name) for one in fields)
    )


def _about(row: Values, keys: tuple[str, ...], principles: Mapping[str, str]) -> str:
    named = {**row, "principle": principles.get(row.get("principle", ""), row.get("principle", ""))}
    return brief_lines(named, keys) or f"{keys[0].capitalize()}: another one"


def _country_rows(path: Path, *, first_list: bool) -> list[tuple[Values, str]] | None:
    """Read the country layout, or the first list of it; None where a file has another."""
    if path.suffix.lower() != ".json" or not path.exists():
        return None
    data = read_yaml(path, error=PromptError).data
    if not isinstance(data, dict):
        return None
    found: list[tuple[Values, str]] = []
    for name, rows in data.items():
        for number, row in enumerate(rows if isinstance(rows, list) else (), start=1):
            if isinstance(row, dict) and "adversarial_prompt" in row:
                found.append(
                    (_texts({_own_name(key): value for key, value in row.items()}), f"{path} {name}[{number}]")
                )
        if first_list and found:
            break
    is_table = all(split_key(name) for name in data)  # of rows in other columns
    return found if found or not is_table else None


def _own_name(key: str) -> str:
    return _COUNTRY_KEYS.get(key) or _SHORT_KEYS.get(key.partition("_")[0], key)


def _table_rows(path: Path) -> list[tuple[Values, str]]:
    return [(_texts(row.values), row.place) for row in read_rows(str(path)) if not row.values.get("twin_of")]


def _texts(values: Mapping[str, Any]) -> Values:
    return {key: value for key, value in values.items() if isinstance(value, str)}


def _is_whole(values: Values, place: str, fields: Sequence[TextField]) -> bool:
    missing = [one.name for one in fields if one.name != "twin" and not values.get(one.name, "").strip()]
    if missing:
        raise PromptError(
            f"{place}: the example has no text under {missing[0]!r}; expected {_and(fields)} (of a country's file "
            "adversarial_prompt, correct_... and incorrect_...)"
        )
    return True


def _and(fields: Sequence[TextField]) -> str:
    return _and_keys([one.name for one in fields if one.name != "twin"])


def _and_keys(names: Sequence[str]) -> str:
    *most, last = map(repr, names)
    return f"{', '.join(most)} and {last}" if most else last
