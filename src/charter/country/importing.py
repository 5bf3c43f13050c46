"""A folder made of a country's files: a constitution, prompts, and a recipe that takes its rows as they are.

Principles and prompts are written anew, for they are what somebody goes on to edit; revisions and preferences stay
where they are, and the recipe names them. Nothing of the country's own files is changed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from charter.authoring.given_texts import PREF, RED_TEAM, SFT
from charter.beginning import Answers, settle
from charter.beginning.folder import (
    CONSTITUTION,
    CONSTITUTION_SCHEMA,
    RECIPE,
    RECIPE_SCHEMA,
    next_commands,
    require_free,
    write_texts,
)
from charter.beginning.recipe_file import Besides, comment_lines, recipe_text
from charter.constitution.model import Constitution
from charter.constitution.schema import constitution_schema
from charter.constitution.writing import native_text
from charter.country.reading import Country, read_country
from charter.engines.embedded import EMBEDDED
from charter.errors import PromptError
from charter.files.json_schema import schema_text
from charter.given import load_pairs, load_traces
from charter.given.loaded import Loaded
from charter.given.principles import key_of
from charter.given.reading import read_file
from charter.prompts import LoadedPrompts, load_prompts
from charter.recipe.schema import recipe_schema
from charter.recipe.settings import RUN_NAME
from charter.records import BUILT_IN, GENERATED, Prompt

PROMPTS = "prompts.jsonl"
#: How the files of a country's folder are called, where nobody names them.
NAMES: Mapping[str, str] = {
    "red_team": "red_team.json",
    "sft": "sft.json",
    "preferences": "preferences.json",
    "few_shots": "few_shot.json",
}
_GIVEN_PRIOR = 0.9  # how much the intention of a file's preferences is worth beside a small judge's word
_PER_CALL = 10

Account = dict[str, dict[str, Any]]
"""What became of the rows of each file, by what they are."""


@dataclass(frozen=True)
class Brought:
    """The files beside a configuration; None for one that is not there."""

    red_team: Path | None = None
    sft: Path | None = None
    preferences: Path | None = None
    few_shots: Path | None = None


@dataclass(frozen=True)
class Imported:
    """What was written, what became of the rows, what nothing is done with, and the commands that come next."""

    files: tuple[Path, ...]
    account: Account
    remarks: tuple[str, ...]
    next: tuple[str, ...]


def find_brought(config: Path, named: Brought | None = None) -> Brought:
    """Find the files that lie beside a configuration under their usual names; those that are named are taken.

    Raises:
        PromptError: where a file that is named is none.
    """
    found: dict[str, Path | None] = {}
    for one in fields(Brought):
        path: Path | None = getattr(named, one.name, None)
        if path is not None and not os.path.isfile(path):  # noqa: PTH113 - Path's raises for what is no path at all
            raise PromptError(f"{path}: no such file; check the path given as --{one.name.replace('_', '-')}")
        beside = config.parent / NAMES[one.name]
        found[one.name] = path or (beside if beside.is_file() else None)
    return Brought(**found)


def import_country(
    config: Path,
    folder: Path,
    *,
    principles: Path | None = None,
    brought: Brought | None = None,
    model: str = next(iter(EMBEDDED)),
    size: str = "laptop",
    name: str | None = None,
    force: bool = False,
) -> Imported:
    """Make a recipe of a country's files, beside its constitution and prompts as Charter has them.

    Args:
        config: the country's configuration.
        folder: where the files go; made where it is not there.
        principles: the list of principles, in place of the one that the configuration names.
        brought: the files beside it; None finds them.
        model: the model that is trained.
        size: of the recipe (see ``beginning.sizes``).
        name: of the run; None takes the constitution's.
        force: whether to write over files that are there.

    Raises:
        UserError: where a file is missing or malformed, with its line, or the folder holds files of these names.
    """
    if not force:
        require_free(folder)
    brought = brought or find_brought(config)
    country = read_country(config, principles=principles, few_shots=brought.few_shots)
    source = str(principles or config)
    loaded = None if brought.red_team is None else load_prompts(str(brought.red_team), "red_team", principles=source)
    answers = settle(
        folder,
        {
            "model": model,
            "constitution": source,
            "principles": "0",
            "prompts": BUILT_IN if brought.red_team is None else str(brought.red_team),
            "size": size,
            "name": name or _run_name(country.constitution.name),
        },
    )
    account = _account(country, brought, loaded)
    texts = dict(_texts(folder, country, brought, answers, loaded))
    return Imported(
        files=write_texts(folder, texts, force=force),
        account=account,
        remarks=country.remarks,
        next=(*_missing(country, brought, principles), *next_commands(folder, tuple(texts))),
    )


def _texts(
    folder: Path, country: Country, brought: Brought, answers: Answers, loaded: LoadedPrompts | None
) -> Iterator[tuple[str, str]]:
    """Give what is written, by the files' names; the recipe last: where it is, all is."""
    yield CONSTITUTION_SCHEMA, schema_text(constitution_schema())
    yield CONSTITUTION, constitution_text(country.constitution, country.config)
    if loaded is not None and brought.red_team is not None:
        yield PROMPTS, "".join(_lines(loaded, brought.red_team, country.constitution))
    yield RECIPE_SCHEMA, schema_text(recipe_schema())
    besides = _besides(folder, country, brought, answers)
    yield (
        RECIPE,
        recipe_text(answers, folder, file=RECIPE, constitution=CONSTITUTION, schema=RECIPE_SCHEMA, besides=besides),
    )


def constitution_text(constitution: Constitution, config: Path) -> str:
    """Write a country's constitution, with what is to be known of it above."""
    said = (
        f"The principles that {_printable(config.name)} names, as they are. Requests that they came without are "
        "derived by rule: `charter constitution draft` has a model write some, and `charter constitution check` says "
        "what trains badly. A country's rows name a principle by its place, from 0: put new ones behind the last."
    )
    head = [f"# yaml-language-server: $schema={CONSTITUTION_SCHEMA}", "#", *comment_lines(said)]
    return "\n".join(head) + "\n" + native_text(constitution, Path(CONSTITUTION))


def _lines(loaded: LoadedPrompts, source: Path, constitution: Constitution) -> Iterator[str]:
    """Write prompts as rows of ours, which keep the keys that revisions and preferences go by."""
    keys = {row.place: key_of(row) for row in read_file(source).rows}
    for prompt in loaded.prompts:
        told = {
            "category": constitution.principle(prompt.principle).category,
            "source": source.name,
            "source_id": keys.get(loaded.places.get(prompt.id, ""), prompt.source_id),
        }
        row = Prompt.to_row(prompt.model_copy(update=told))
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _besides(folder: Path, country: Country, brought: Brought, answers: Answers) -> Besides:
    """Give what the recipe has besides the settings of its size: where its rows are, and how far they are trusted."""
    settings: dict[str, dict[str, Any]] = {"prompts": {}, "revise": {}, "pairs": {}, "label": {}}
    reasons = {}
    if brought.red_team is not None:
        settings["prompts"] |= {"red_team": str(folder / PROMPTS), "n_train": None}
        reasons["prompts.red_team"] = f"Those of {_printable(brought.red_team.name)}"
        reasons["prompts.n_train"] = "Rows that are given of others would be left out"
    elif RED_TEAM.name in country.texts:
        settings["prompts"] |= {"red_team": GENERATED, "generate": _generate(country, brought, answers)}
    if brought.sft is not None:
        settings["revise"]["given"] = str(brought.sft)
        reasons["revise.given"] = "A prompt that has one is not revised by a model"
    if brought.preferences is not None:
        settings["pairs"] |= {"given": str(brought.preferences), "balance_lengths": "trim"}
        reasons["pairs.balance_lengths"] = "Or the model learns which answers are long"
        if answers.model in EMBEDDED:
            settings["label"]["prior"] = {"given": _GIVEN_PRIOR}
    return Besides(settings, reasons, tuple(_said(country, brought)))


def _generate(country: Country, brought: Brought, answers: Answers) -> dict[str, Any]:
    """Have the run write its red team in the country's wording; a small model keeps to lines, and one prompt a call."""
    n = country.texts[RED_TEAM.name].per_call or _PER_CALL
    shots = {} if brought.few_shots is None else {"few_shots": str(brought.few_shots)}
    wanted = {"texts": str(country.config), **shots, "n_per_principle": n}
    if answers.model in EMBEDDED:
        return {**wanted, "per_call": 1, "form": "labelled", "max_tokens": 150}
    return {**wanted, "per_call": n}


def _said(country: Country, brought: Brought) -> Iterator[str]:
    """Say at the top of the recipe what it was made of, and what is worth doing."""
    given = (brought.red_team, brought.sft, brought.preferences)
    rows = [_printable(path.name) for path in given if path is not None]
    yield (
        f"Made of {_printable(country.config.name)}{f' with {_and(rows)}' if rows else ''}: {CONSTITUTION} has its "
        "principles"
        f"{f', {PROMPTS} the prompts' if brought.red_team else ''}; other rows are read where they are."
    )
    if brought.red_team is None and RED_TEAM.name in country.texts:
        yield (
            "The run writes its own red team. A larger model as models.red_team writes a better one; or write it "
            "first, with `charter country red-team`, and import again."
        )


def _printable(name: str) -> str:
    """Write a file's name so that it can stand in a comment."""
    return "".join(one if one.isprintable() else "?" for one in name)


def _run_name(text: str) -> str:
    """Make a run's name of a constitution's."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")
    return name if re.fullmatch(RUN_NAME, name) else "country"


def _and(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _account(country: Country, brought: Brought, loaded: LoadedPrompts | None) -> Account:
    """Count what each file gives, and what not."""
    account: Account = {"principles": {"kept": len(country.constitution.principles)}}
    if loaded is not None:
        account["prompts"] = {"kept": len(loaded.prompts), "left_out": loaded.rejected, "mended": dict(loaded.mended)}
    if brought.sft is not None:
        traces = load_traces(brought.sft, constitution=country.constitution, companion=brought.red_team)
        account["revisions"] = {"kept": len(traces.traces), **_of_rows(traces)}
    if brought.preferences is not None:
        pairs = load_pairs(brought.preferences, constitution=country.constitution)
        account["preferences"] = {"kept": len(pairs.pairs), **_of_rows(pairs)}
    return account


def _of_rows(loaded: Loaded) -> dict[str, Any]:
    mended = Counter(one.reason for one in loaded.mended)
    doubted = Counter(one.reason for one in loaded.doubted)
    return {"left_out": loaded.rejected, "mended": dict(mended), "doubted": dict(doubted)}


def _missing(country: Country, brought: Brought, principles: Path | None) -> Iterator[str]:
    """Give the commands that write what is not there yet, as far as the configuration words it."""
    named = f" --principles {shlex.quote(str(principles))}" if principles else ""
    config = shlex.quote(str(country.config))
    red_team = brought.red_team or country.config.parent / NAMES["red_team"]
    for verb, section, is_there, target in (
        ("red-team", RED_TEAM, brought.red_team, red_team),
        ("sft", SFT, brought.sft, country.config.parent / NAMES["sft"]),
        ("preferences", PREF, brought.preferences, country.config.parent / NAMES["preferences"]),
    ):
        if is_there is None and section.name in country.texts:
            files = [target] if section is RED_TEAM else [red_team, target]
            yield f"charter country {verb} {config} {' '.join(shlex.quote(str(one)) for one in files)}{named} --model M"
