"""The documentation's pages as data: fenced blocks, commands, sections, tables, the README's tree."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from charter.cli.entry import app

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ROOT_PAGES = tuple(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))
PAGES = (*sorted(DOCS.rglob("*.md")), *ROOT_PAGES)

_FENCE = re.compile(r"^```(?P<info>[^`\n]*)\n(?P<text>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(r"^\$ (?P<line>.*(?:\\\n.*)*)(?P<output>(?:\n(?!\$ ).*)*)", re.MULTILINE)
_INNER = re.compile(r"\$\(([^()]*)\)")
_TREE = re.compile(
    r"^#+ [^\n]*\btree\b[^\n]*\n(?:(?!#).*\n)*?```.*\n(?P<tree>(?:.*\n)*?)```", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True)
class Block:
    """A fenced block: what its fence says, and where it begins."""

    page: Path
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def language(self) -> str:
        """The first word of the fence."""
        return next(iter(re.findall(r"\w+", self.info)), "")

    @property
    def title(self) -> str:
        """What the fence calls it."""
        found = re.search(r'title="([^"]*)"', self.info)
        return found[1] if found else ""

    @property
    def runs(self) -> bool:
        """Whether it is an example that runs."""
        return self.language == "python" and "no-run" not in self.info


@dataclass(frozen=True)
class Command:
    """A command of a page, as words, and the error that the page shows it to end with."""

    place: str
    words: tuple[str, ...]
    error: str

    def __str__(self) -> str:
        return f"{self.place} {' '.join(self.words)}"


def blocks(page: Path) -> list[Block]:
    """Read a page's fenced blocks, in order."""
    text = read(page)
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found["info"], found["text"])
        for found in _FENCE.finditer(text)
    ]


def read(page: Path) -> str:
    """Read a page; one that is not there yet is empty."""
    return page.read_text("utf-8") if page.exists() else ""


def shown_commands() -> Iterator[Command]:
    """Read the commands in all pages' shell blocks, those inside ``$(...)`` and behind pipes too."""
    for block in (block for page in PAGES for block in blocks(page)):
        if block.language == "console":
            shown = [(found["line"], found["output"].strip()) for found in _SHOWN.finditer(block.text)]
        elif block.language in {"sh", "bash", "shell"}:
            shown = [(line, "") for line in block.text.replace("\\\n", " ").splitlines()]
        else:
            continue
        for line, output in shown:
            error = output.removeprefix("error: ") if output.startswith("error: ") else ""
            for part in (_INNER.sub("INNER", line), *_INNER.findall(line)):
                yield from (Command(str(block), words, error) for words in _simple_commands(part))


def help_commands() -> Iterator[Command]:
    """Read the commands in the examples of every command's help."""
    group: Any = typer.main.get_command(app)
    yield from _examples("charter", group)


def _examples(name: str, command: Any) -> Iterator[Command]:
    for line in (command.epilog or "").splitlines():
        if line.startswith("  "):
            for part in (_INNER.sub("INNER", line), *_INNER.findall(line)):
                yield from (Command(f"{name} --help", words, "") for words in _simple_commands(part))
    for verb, inner in getattr(command, "commands", {}).items():
        yield from _examples(f"{name} {verb}", inner)


def parsed(words: tuple[str, ...]) -> dict[str, Any]:
    """Parse what follows ``charter`` to the end, without doing it."""
    group: Any = typer.main.get_command(app)
    try:
        context = group.make_context("charter", list(words))
        while hasattr(context.command, "resolve_command"):
            rest = [*context._protected_args, *context.args]
            name, command, rest = context.command.resolve_command(context, rest)
            context = command.make_context(name, rest, parent=context)
    except typer.Exit:  # help and version end the parsing
        return {}
    return dict(context.params)


def _simple_commands(line: str) -> list[tuple[str, ...]]:
    """Part a line at pipes and the like, and leave out what is set before a command."""
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("();<>|&"):
            parts.append([])
        elif parts[-1] or not re.fullmatch(r"\w+=.*", word):
            parts[-1].append(word)
    return [tuple(part) for part in parts if part]


def commands_in_prose(page: Path) -> list[list[str]]:
    """Read what stands in a page's text as ``charter ...``, as words."""
    return [found.split() for found in re.findall(r"`(charter(?: [^`]*)?)`", read(page))]


def sections(page: str) -> dict[str, str]:
    """Part a page of the site at its headings."""
    parts = re.split(r"^#+ (.*)\n", read(DOCS / page), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def table_rows(text: str) -> list[list[str]]:
    """Read the rows of all tables in a text, without their headings."""
    lines = text.splitlines()
    rules = {number for number, line in enumerate(lines) if line.startswith("|") and set(line) <= set("|-: ")}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for number, line in enumerate(lines)
        if line.startswith("|") and number not in rules and number + 1 not in rules
    ]


def code_in(cell: str) -> list[str]:
    """Read what stands in a text as code."""
    return re.findall(r"`([^`]+)`", cell)


def tree_paths(text: str) -> list[str] | None:
    """Read the paths of the tree that a page prints under a heading with that word; None where there is none.

    A path is the first word of a line, below the folders under which it is indented.
    """
    found = _TREE.search(text)
    if found is None:
        return None
    paths: list[str] = []
    above: list[tuple[int, str]] = []
    for line in re.sub(r"[│├└─]", " ", found["tree"]).splitlines():
        path = next(iter(line.split()), "")
        depth = len(line) - len(line.lstrip())
        above = [(indent, folder) for indent, folder in above if indent < depth]
        if path:
            paths.append("".join(folder for _, folder in above) + path)
        if path.endswith("/"):
            above.append((depth, path))
    return paths
