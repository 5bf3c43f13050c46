"""A file of any layout, read as far as can be without knowing which: values with their lines, or plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import ConstitutionError
from charter.files.json_reading import JsonError, parse_json
from charter.files.yaml_reading import MAX_DEPTH, YamlDocument, parse_yaml, read_text

_DATA = (".json", ".yaml", ".yml")
_MARKDOWN = (".md", ".markdown")

_BEGINS_AS_JSON = re.compile(r'\s*(?:\[\s*["\[{\]]|\{\s*["}])')
_BEGINS_AS_YAML = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n|---[ \t]*\r?\n)*(?:name|version|src_principles):[ \t]+\S")
# What JSON and YAML hold as escapes alone; in plain text it is damage, and a terminal may act on it.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")


@dataclass(frozen=True)
class SourceFile:
    """A file: ``document`` has its values, and where it is no data, its ``text`` is all there is."""

    path: Path
    document: YamlDocument
    text: str | None = None

    @property
    def data(self) -> Any:
        """The file's values; None for plain text."""
        return self.document.data


def read_source(path: Path) -> SourceFile:
    """Read a file: JSON and YAML by their suffix, any other as JSON or YAML where it begins as one, else as plain text.

    Raises:
        ConstitutionError: for a file that cannot be read, is not what it begins as, or holds control characters.
    """
    return parse_source(read_text(path, error=ConstitutionError), path)


def parse_source(text: str, path: Path) -> SourceFile:
    """Parse a file's text as ``read_source`` does."""
    source, suffix = str(path), path.suffix.lower()
    if suffix in _DATA:
        return SourceFile(path, parse_yaml(text, source, error=ConstitutionError))
    if suffix not in _MARKDOWN and _BEGINS_AS_JSON.match(text):
        try:
            data, lines = parse_json(text, max_depth=MAX_DEPTH)
        except JsonError as problem:
            raise ConstitutionError(f"{source}:{problem.line}: {problem}") from problem
        return SourceFile(path, YamlDocument(source, data, lines))
    if suffix not in _MARKDOWN and _BEGINS_AS_YAML.match(text):
        return SourceFile(path, parse_yaml(text, source, error=ConstitutionError))
    if bad := _CONTROL.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise ConstitutionError(
            f"{source}:{line}: the control character U+{ord(bad.group()):04X} cannot stand in plain text; remove it, "
            "or write the file as JSON or YAML, where it can stand as an escape"
        )
    return SourceFile(path, YamlDocument(source, None, {}), text)
