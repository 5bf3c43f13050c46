"""Native constitution files, written so that they read back to the same constitution, text verbatim."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from charter.constitution.model import Constitution
from charter.errors import ConstitutionError
from charter.files.writing import replace_whole
from charter.files.yaml_reading import MAX_BYTES, plain_scalar

_PRINCIPLE_KEYS = (
    "id",
    "title",
    "text",
    "category",
    "weight",
    "critique_request",
    "revision_request",
    "choice_question",
    "uses",
    "language",
    "source",
    "licence",
    "source_id",
    "base",
    "metadata",
)
_ALWAYS_WRITTEN = ("version", "language")  # their defaults may change, a written file must not
_DEFAULTS: dict[str, Any] = {"weight": 1.0, "uses": ["revise", "judge"]}
_EMPTY: tuple[Any, ...] = ("", [], {})

# What a block scalar would not give back: CR and the line breaks that YAML has beside LF, and what it cannot print.
_NOT_IN_BLOCK = re.compile("[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def write_constitution(constitution: Constitution, path: str | Path) -> None:
    """Write a constitution as a native file: YAML, or JSON if the name ends in ``.json``.

    The file appears whole or not at all. Empty fields are left out; requests are written even where they were derived.

    Raises:
        ConstitutionError: where the file cannot be written, or would be too large to be read again.
    """
    target = Path(path)
    save_text(native_text(constitution, target), target)


def native_text(constitution: Constitution, target: Path) -> str:
    """Give what a native file of this name holds."""
    data = _plain(constitution)
    return _as_json(data) if target.suffix.lower() == ".json" else _as_yaml(data)


def save_text(text: str, target: Path) -> None:
    """Write a constitution's text whole or not at all.

    Raises:
        ConstitutionError: as ``write_constitution`` does.
    """
    content = text.encode("utf-8")
    if len(content) > MAX_BYTES:
        raise ConstitutionError(
            f"{target}: would be larger than {MAX_BYTES // 1_000_000} MB and could not be read again, nothing is "
            "written; make several constitutions of it"
        )
    try:
        replace_whole(target, lambda temporary: temporary.write_bytes(content), shared=True)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise ConstitutionError(f"{target}: cannot be written ({reason}); check the folder") from problem


def _plain(constitution: Constitution) -> dict[str, Any]:
    data = constitution.model_dump(mode="json")
    data["system"] = _without_empty(data["system"])
    data["few_shots"] = _without_empty(data["few_shots"])
    data["principles"] = [_plain_principle(principle) for principle in data["principles"]]
    order = [key for key in data if key not in ("principles", "few_shots")] + ["principles", "few_shots"]
    return {key: data[key] for key in order if key in _ALWAYS_WRITTEN or data[key] not in _EMPTY}


def _plain_principle(principle: dict[str, Any]) -> dict[str, Any]:
    return {
        key: principle[key]
        for key in _PRINCIPLE_KEYS
        if principle[key] not in _EMPTY and principle[key] != _DEFAULTS.get(key)
    }


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in _EMPTY}


class _Dumper(yaml.SafeDumper):
    """PyYAML's emitter, with a style for every text that our reader gives back verbatim."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - the library's
        super().increase_indent(flow, indentless=False)  # list items stand indented under their key


def _as_json(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def _as_yaml(data: dict[str, Any]) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=float("inf"))
    return text


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str | None:
    if _fits_block(text):
        return "|"
    if "\n" in text or _NOT_IN_BLOCK.search(text) or not isinstance(plain_scalar(text), str):
        return '"'
    return None  # plain where YAML 1.1 and 1.2 both read it as text, else single quotes


def _fits_block(text: str) -> bool:
    lines = text.removesuffix("\n").split("\n")
    if len(lines) == 1 or _NOT_IN_BLOCK.search(text):
        return False
    return lines[0][:1].strip() != "" and lines[-1] != "" and all(line == line.rstrip() for line in lines)


_Dumper.add_representer(str, _represent_text)
