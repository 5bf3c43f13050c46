from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import charter

ROOT = Path(charter.__file__).parent

# From the top down: a room may import the rooms below its own line, and none beside it. The longest name that fits a
# module is its room, so that a module may live on another line than its package.
LINES: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("planning.estimate",),
    ("planning.preflight", "planning.touched", "lookup"),
    ("planning", "status"),
    ("sharding", "scale"),
    ("pipeline", "reproduction", "release", "country"),
    ("damage",),
    ("stages",),
    ("runs",),
    ("reporting", "inspecting"),
    ("rating", "compat"),
    ("revision", "training", "evaluation", "authoring", "publishing"),
    ("feedback", "given", "sharding.papers"),
    ("sharding.shard",),
    ("text_quality", "statistics", "rows", "engines", "beginning"),
    ("journal", "recipe", "prompts"),
    ("constitution", "engines.embedded"),
    ("files", "engines.downloads", "runs.place"),
    ("records",),
    ("seeds", "errors", "event_loop", "garbage", "processes", "spelling", "progress"),
)
LEVEL = {room: len(LINES) - line for line, rooms in enumerate(LINES) for room in rooms}


def modules() -> dict[str, Path]:
    """Every module by its name inside the package; a package's own file has the package's name."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room_of(module: str) -> str | None:
    """Find a module's room: the longest name that fits."""
    fitting = [room for room in LEVEL if module == room or module.startswith(f"{room}.")]
    return max(fitting, key=len, default=None)


def imported(module: str) -> Iterator[tuple[int, str]]:
    """Name what a module imports of ours, at its top, inside functions and for type checkers alike."""
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: import by the full name"
            origin = node.module or ""
            inner = [f"{origin}.{alias.name}" for alias in node.names]
            names = [name if name.removeprefix("charter.") in MODULES else origin for name in inner]
        else:
            continue
        for name in names:
            if name.startswith("charter."):
                yield node.lineno, name.removeprefix("charter.")


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name))
def test_imports_point_down(module: str) -> None:
    """A module imports its own room and the rooms below, never one above or beside."""
    room = room_of(module)
    assert room is not None, f"{module} has no place yet: give it one in LINES"
    wrong = []
    for line, name in imported(module):
        other = room_of(name)
        assert other is not None, f"{module}:{line} imports {name}, which has no place in LINES"
        if other != room and LEVEL[other] >= LEVEL[room]:
            wrong.append(f"{MODULES[module].relative_to(ROOT)}:{line} ({room}) imports {name} ({other})")
    assert not wrong, "\n".join(wrong)


def test_every_room_is_there() -> None:
    """A room that is gone from the package goes from LINES too."""
    assert set(LEVEL) <= set(MODULES)


def test_every_module_is_importable_without_a_circle() -> None:
    """No module needs, at its top level, a module that needs it."""
    needs = {name: set(_at_the_top(name)) for name in MODULES if name}
    placed: set[str] = set()
    while ready := {name for name, needed in needs.items() if name not in placed and needed <= placed}:
        placed |= ready
    assert placed == set(needs), f"these need each other: {sorted(set(needs) - placed)}"


def _at_the_top(module: str) -> Iterator[str]:
    """Name what an import of the module imports: with each module, the packages around it that are not our own."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    lines = {node.lineno for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    for line, name in imported(module):
        if line in lines:
            parts = name.split(".")
            around = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
            own = {one for one in around if f"{module}.".startswith(f"{one}.") and one != name}
            yield from (around & MODULES.keys()) - own - {module}


def test_the_command_is_the_only_place_that_prints() -> None:
    """Nothing below the command writes to the terminal."""
    printing = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for name, path in MODULES.items()
        if name != "cli.console"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printing
