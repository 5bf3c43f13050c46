"""Which prompts to ask for: a grid of principle, category and setting, its holes, and a plan that fills them. Pure.

Variation is asked for by name (setting, register, length, language) rather than hoped for: a model that is asked for
"ten different prompts" writes ten of a kind.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charter.errors import PromptError
from charter.files.yaml_reading import read_yaml
from charter.records import Prompt, Record
from charter.seeds import derive_seed, row_id
from charter.spelling import hint

SETTINGS = (
    "homework help",
    "customer service of a shop",
    "a small business's paperwork",
    "a clinic's front desk",
    "planning a family event",
    "a job application",
    "looking after an elderly relative",
    "renting a flat",
    "a teacher's lesson planning",
    "a neighbourhood group chat",
    "personal finances",
    "travel plans",
    "a community newsletter",
    "parenting a young child",
    "a conflict at work",
    "dating and relationships",
    "a sports club",
    "a volunteer project",
    "writing a story",
    "a social media post",
    "a company's hiring",
    "repairs at home",
    "a farm or a garden",
    "dealing with a public office",
    "a software team",
    "health and fitness",
)
REGISTERS = (
    "casual, as in a chat",
    "polite and careful",
    "formal",
    "hurried, with small mistakes",
    "upset or worried",
    "matter-of-fact",
)
LENGTHS = ("one short sentence", "two or three sentences", "a short paragraph with some background")

Cell = tuple[str, str, str]
"""A principle's id, a category, a setting."""


@dataclass(frozen=True)
class Axes:
    """What prompts vary by. Without ``categories`` each subject has its own."""

    settings: tuple[str, ...] = SETTINGS
    registers: tuple[str, ...] = REGISTERS
    lengths: tuple[str, ...] = LENGTHS
    languages: tuple[str, ...] = ("en",)
    categories: tuple[str, ...] = ()


#: Nothing that prompts are asked to vary by: whoever words the request says so there.
UNVARIED = Axes(settings=("",), registers=("",), lengths=("",), languages=("",), categories=("",))


@dataclass(frozen=True)
class Subject:
    """What prompts are about: a principle's id (empty where they are about no single one), and its categories."""

    principle: str
    categories: tuple[str, ...]


class Brief(Record):
    """What one call asks for: ``n`` prompts on one principle, in one category, setting, register, length, language.

    ``tone`` is the register; ``number`` counts the briefs of one principle from 0.
    """

    principle: str
    category: str
    setting: str
    tone: str  # the register: that name belongs to abstract classes
    length: str
    language: str
    n: int
    number: int

    @property
    def id(self) -> str:
        """The brief's name, after what it asks for."""
        return row_id("brief", self.model_dump(mode="json"))

    @property
    def cell(self) -> Cell:
        """Its place in the grid."""
        return self.principle, self.category, self.setting


@dataclass(frozen=True)
class Grid:
    """How many prompts there are in each cell; prompts in no cell of it are counted as ``n_elsewhere``."""

    subjects: tuple[Subject, ...]
    settings: tuple[str, ...]
    counts: Mapping[Cell, int]
    n_elsewhere: int = 0

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell: subject by subject, category by category."""
        return tuple(
            (subject.principle, category, setting)
            for subject in self.subjects
            for category in subject.categories
            for setting in self.settings
        )

    @property
    def holes(self) -> tuple[Cell, ...]:
        """The cells without a prompt."""
        return tuple(cell for cell in self.cells if not self.counts.get(cell))

    def to_json(self) -> dict[str, Any]:
        """Give what a summary holds of it: how many cells and holes, and the counts of those that are no holes."""
        counts = [{"cell": list(cell), "n": self.counts[cell]} for cell in self.cells if self.counts.get(cell)]
        return {
            "n_cells": len(self.cells),
            "n_holes": len(self.holes),
            "n_elsewhere": self.n_elsewhere,
            "counts": counts,
        }


def cover(prompts: Iterable[Prompt], subjects: Sequence[Subject], settings: Sequence[str]) -> Grid:
    """Count prompts by cell. A prompt is in a cell where it names the cell's principle, category and setting."""
    grid = Grid(tuple(subjects), tuple(settings), {})
    known = frozenset(grid.cells)
    counts = Counter((prompt.principle, prompt.category, prompt.setting) for prompt in prompts)
    inside = {cell: n for cell, n in counts.items() if cell in known}
    return Grid(grid.subjects, grid.settings, inside, n_elsewhere=counts.total() - sum(inside.values()))


def plan_briefs(
    subjects: Sequence[Subject],
    axes: Axes,
    *,
    n: int,
    per_call: int = 5,
    existing: Iterable[Prompt] = (),
    seed: int = 0,
) -> tuple[Brief, ...]:
    """Plan the calls: holes first, then evenly, so that whatever part of the plan is done is as even as it can be.

    Subjects take turns. Each turn goes to the subject's cell with the fewest prompts, then to the setting with the
    fewest over all, then to the subject's category with the fewest; register, length and language are those that were
    used least, and least together with that subject and setting. What is equal in all this is drawn by the seed. A plan
    for more prompts begins as the plan for fewer, up to a subject's last call, which may ask for less than
    ``per_call``.

    Args:
        subjects: what prompts are about.
        axes: what they vary by.
        n: prompts of each subject.
        per_call: prompts that one call asks for, at most.
        existing: prompts that are there already, whose cells are no holes.
        seed: of the run.
    """
    if n < 1 or per_call < 1:
        raise ValueError(f"n is {n} and per_call is {per_call}; at least one prompt must be asked for")
    planner = _Planner(axes, seed, Counter(cover(existing, subjects, axes.settings).counts))
    turns = -(-n // per_call)
    briefs: list[Brief] = []
    for turn in range(turns):
        n_asked = min(per_call, n - turn * per_call)
        briefs += [planner.next_brief(subject, n_asked, per_call, turn) for subject in subjects]
    return tuple(briefs)


@dataclass
class _Planner:
    """What has been planned so far, counted."""

    axes: Axes
    seed: int
    cells: Counter[Cell]
    settings: Counter[str] = field(default_factory=Counter)
    used: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def next_brief(self, subject: Subject, n: int, per_call: int, number: int) -> Brief:
        """Plan a subject's next call."""
        cells = [
            (subject.principle, category, setting) for category in subject.categories for setting in self.axes.settings
        ]
        cell = min(cells, key=self._cell_rank(f"{subject.principle} {number} cell"))
        # Whole calls are counted, also where one asks for less: so a longer plan begins as a shorter one.
        self.cells[cell] += per_call
        self.settings[cell[2]] += 1
        self.used["category", *cell[:2]] += 1
        choices = {
            name: self._least_used(name, values, cell, number)
            for name, values in (
                ("tone", self.axes.registers),
                ("length", self.axes.lengths),
                ("language", self.axes.languages),
            )
        }
        principle, category, setting = cell
        return Brief(principle=principle, category=category, setting=setting, n=n, number=number, **choices)

    def _cell_rank(self, purpose: str) -> Callable[[Cell], tuple[Any, ...]]:
        draw = random.Random(derive_seed(self.seed, "plan", purpose))  # noqa: S311 - no secret
        return lambda cell: (
            self.cells[cell],
            self.settings[cell[2]],
            self.used["category", *cell[:2]],
            draw.random(),
        )

    def _least_used(self, name: str, values: Sequence[str], cell: Cell, number: int) -> str:
        principle, _, setting = cell
        draw = random.Random(derive_seed(self.seed, "plan", f"{principle} {number} {name}"))  # noqa: S311 - no secret

        def rank(value: str) -> tuple[Any, ...]:
            together = self.used[name, value, "principle", principle], self.used[name, value, "setting", setting]
            return self.used[name, value], *together, draw.random()

        chosen = min(values, key=rank)
        self.used.update(
            [
                (name, chosen),
                (name, chosen, "principle", principle),
                (name, chosen, "setting", setting),
            ]
        )
        return chosen


def grid_lines(grid: Grid, header: tuple[str, str] = ("principle", "category")) -> Iterator[tuple[str, ...]]:
    """Write the grid as rows of cells: a header, then each subject and category with its count in every setting.

    Settings stand as numbers, counted from 1; a hole is a dot.
    """
    yield (*header, *(str(place) for place in range(1, len(grid.settings) + 1)))
    for subject in grid.subjects:
        for category in subject.categories:
            counts = (grid.counts.get((subject.principle, category, setting), 0) for setting in grid.settings)
            yield (subject.principle, category, *(str(n) if n else "." for n in counts))


def read_axes(path: Path, axes: Axes | None = None) -> Axes:
    """Read a file that names its own settings, registers, lengths, languages or categories, each a list of texts.

    Args:
        path: a YAML or JSON file.
        axes: what the file does not name is taken from here.

    Raises:
        PromptError: naming the file, the line and what is wrong.
    """
    document = read_yaml(path, error=PromptError)
    base = axes or Axes()
    known = tuple(vars(base))
    data = document.data
    if not isinstance(data, dict) or not data:
        raise PromptError(f"{path}:1: expected lists under one or more of the keys {', '.join(known)}")
    for key, values in data.items():
        place = f"{path}:{document.line_of((key,))}"
        if key not in known:
            raise PromptError(f"{place}: unknown key {key!r}{hint(key, known)}; the keys are {', '.join(known)}")
        if not isinstance(values, list) or not values or not all(isinstance(one, str) and one for one in values):
            raise PromptError(
                f'{place}: {key!r} is {values!r}; expected a list of texts, each on its own line after "- "'
            )
        twice = [one for one, times in Counter(values).items() if times > 1]
        if twice:
            raise PromptError(f"{place}: {key!r} names {twice[0]!r} twice; name it once")
    return Axes(**{**vars(base), **{key: tuple(values) for key, values in data.items()}})
