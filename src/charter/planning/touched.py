"""Which rows of a run a change of its constitution touches: those for which a model would be asked something else.

Every draw of a principle comes from the run's seed and the row's id. It is made once more, under the old constitution
and under the new one, and what is drawn is compared with what the row records. What all rows are shown (few-shot
examples, system texts) is rendered under both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from charter.constitution import Constitution, Principle
from charter.errors import RunError
from charter.feedback.labels import principles_of_pair
from charter.feedback.pair_plans import PairPlan
from charter.feedback.pairs import guidance_messages
from charter.feedback.questions import Asking, make_asking
from charter.feedback.settling import settle_all
from charter.files.tables import read_table
from charter.journal.reading import read_journal
from charter.prompts.selection import shown_contexts
from charter.recipe import Recipe
from charter.records import Judged, Pair, Preference, Trace
from charter.revision.chain import principle_of_round
from charter.revision.layouts import make_layout
from charter.runs.inputs import CONSTITUTION_COPIES, read_inputs
from charter.seeds import digest
from charter.stages.label import settling_of
from charter.status import read_run_recipe

Why = Literal["principle", "request", "weight", "shown", "responses"]
Role = Literal["constitution", "helpful constitution"]

_ROLES: tuple[Role, ...] = ("constitution", "helpful constitution")
_ROUNDING = 1e-9  # weights that differ by less are the same
_RowT = TypeVar("_RowT", Trace, Pair, Judged)


@dataclass(frozen=True)
class TouchedRow:
    """A row that would be asked for anew, and why.

    ``principle``: another one is drawn; ``request``: the same one asks in other words; ``weight``: votes count in other
    shares; ``shown``: examples or system texts before it differ; ``responses``: those that it is about would be others.
    ``before`` are the principles that it records, ``after`` those that would be drawn.
    """

    id: str
    prompt: str
    why: tuple[Why, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class TouchedTable:
    """Of one table: how many rows it has, those that are touched, and how many no draw explains: a user brought them.

    ``by_principle`` says of each principle how many rows record it, and how many of these are touched.
    """

    n: int
    rows: tuple[TouchedRow, ...]
    n_brought: int = 0
    by_principle: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Touched:
    """What a change touches in a run, where the constitution plays ``roles``.

    ``prompts_may_change``: the few-shots show other requests, and prompts that are among those are left out of a run.
    """

    folder: Path
    roles: tuple[Role, ...]
    traces: TouchedTable
    pairs: TouchedTable
    labels: TouchedTable
    prompts_may_change: bool

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return {**asdict(self), "folder": str(self.folder)}


@dataclass(frozen=True)
class _Change:
    """The change in the light of one run."""

    recipe: Recipe
    roles: tuple[Role, ...]
    old: Constitution
    new: Constitution


def find_touched(folder: Path, old: Constitution, new: Constitution) -> Touched:
    """Find the rows of a run that a change of its constitution touches.

    What is trained on touched rows, and all that comes after it, changes with them and is not counted here, pairs of
    later iterations among it; nor are rows that ended without a trace or a label, which a run with the change would ask
    for as well.

    Args:
        folder: of the run.
        old: what the run was begun with: the constitution that is trained for, or the one for helpfulness.
        new: what it is to be.

    Raises:
        RunError: where the folder is none of a run, or the run was begun with no such constitution as ``old``.
    """
    recipe = read_run_recipe(folder)
    change = _Change(recipe, _roles(folder, old), old, new)
    recorded = _rows(folder, "traces", Trace, "revise")
    traces = _touched_traces(change, recorded)
    pairs = _touched_pairs(change, _rows(folder, "pairs", Pair, "pairs"), _pairs_of(recorded, traces))
    labels = _touched_labels(change, _labels(folder, recipe), pairs)
    contexts = set(shown_contexts([old])) != set(shown_contexts([new]))
    return Touched(folder, change.roles, traces, pairs, labels, prompts_may_change=contexts)


def _roles(folder: Path, old: Constitution) -> tuple[Role, ...]:
    recorded = read_inputs(folder)
    fingerprint = digest(old.model_dump(mode="json"))
    roles = tuple(role for role in _ROLES if recorded.get(role) == fingerprint)
    if not roles:
        raise RunError(
            f"{folder}: the run was begun with another constitution than {old.name} {old.version} as it is given "
            f"first; the run keeps a copy of each, such as {folder / CONSTITUTION_COPIES[_ROLES[0]]}"
        )
    return roles


def _rows(folder: Path, name: str, kind: type[_RowT], stage: str) -> list[_RowT]:
    """Read a table; of a stage that is not finished, the rows that the journal holds."""
    path = folder / "data" / f"{name}.parquet"
    if path.exists():
        return read_table(path, kind)
    ends = read_journal(folder / "journal.sqlite").outcomes.get(stage, {})
    return [kind.from_json(end.payload) for end in ends.values() if end.status == "done"]


def _labels(folder: Path, recipe: Recipe) -> list[Preference]:
    """Read the labels; where the stage is not finished, those that come of what was judged so far."""
    path = folder / "data" / "preferences.parquet"
    if path.exists():
        return read_table(path, Preference)
    judged = _rows(folder, "judged", Judged, "label")
    return [one for one in settle_all(judged, settling_of(recipe)) if isinstance(one, Preference)]


def _touched_traces(change: _Change, traces: Sequence[Trace]) -> TouchedTable:
    if "constitution" not in change.roles:
        return TouchedTable(len(traces), ())
    settings = change.recipe.revise
    layouts = [
        make_layout(
            settings.layout,
            one,
            few_shots=settings.few_shots,
            n_few_shots=settings.n_few_shots,
            critiques=settings.critique,
        )
        for one in (change.old, change.new)
    ]
    rows: list[TouchedRow] = []
    recorded: dict[str, list[str]] = {}
    for trace in traces:
        was, now = (_round_draws(trace, one, change.recipe) for one in (change.old, change.new))
        if was != [(one.principle, one.critique_request, one.revision_request) for one in trace.rounds]:
            continue
        before, after = ([name for name, _, _ in draws] for draws in (was, now))
        recorded[trace.id] = before
        asked_otherwise = any(one != other and one[0] == other[0] for one, other in zip(was, now, strict=False))
        reasons: dict[Why, bool] = {
            "principle": before != after,
            "request": asked_otherwise,
            "shown": bool(trace.rounds) and layouts[0] != layouts[1],
        }
        if why := tuple(name for name, holds in reasons.items() if holds):
            rows.append(TouchedRow(trace.id, trace.prompt.id, why, tuple(before), tuple(after)))
    return TouchedTable(len(traces), tuple(rows), len(traces) - len(recorded), _count(recorded, rows))


def _round_draws(trace: Trace, constitution: Constitution, recipe: Recipe) -> list[tuple[str, str, str]]:
    """Draw for every round; nothing where there is nothing to draw."""
    if not constitution.used_for("revise"):
        return []
    drawn = [principle_of_round(constitution, trace.id, one.number, recipe.seed) for one in trace.rounds]
    asks = recipe.revise.critique
    return [(one.id, one.critique_request if asks else "", one.revision_request) for one in drawn]


def _pairs_of(traces: Sequence[Trace], table: TouchedTable) -> set[str]:
    """Name the pairs that would be made of touched traces."""
    touched = {row.id for row in table.rows}
    return {PairPlan(one.prompt, "revision_vs_initial", one.sample).id for one in traces if one.id in touched}


def _touched_pairs(change: _Change, pairs: Sequence[Pair], of_traces: Collection[str]) -> TouchedTable:
    """Find pairs whose responses would be others: of touched traces, and answers with the constitution before them."""
    which = change.recipe.pairs.few_shots
    guided = guidance_messages(change.old, which) != guidance_messages(change.new, which)
    rows = [
        TouchedRow(pair.id, pair.prompt.id, ("responses",))
        for pair in (pairs if "constitution" in change.roles else ())
        if pair.id in of_traces or (pair.source == "guided_vs_plain" and guided)
    ]
    return TouchedTable(len(pairs), tuple(rows), sum(pair.source == "given" for pair in pairs))


def _touched_labels(change: _Change, labels: Sequence[Preference], pairs: TouchedTable) -> TouchedTable:
    settings, seed = change.recipe.label, change.recipe.seed
    sides = (change.old, change.new)
    shown = [_judge_shown(change.recipe, one) for one in sides]
    other_responses = {row.id for row in pairs.rows}
    rows: list[TouchedRow] = []
    recorded: dict[str, tuple[str, ...]] = {}
    n_brought = 0
    for label in labels:
        why: list[Why] = ["responses"] if label.pair in other_responses else []
        before: tuple[str, ...] = tuple(dict.fromkeys(verdict.principle for verdict in label.verdicts))
        after = before
        if ("constitution" if label.prompt.kind == "red_team" else "helpful constitution") in change.roles:
            was, now = (
                principles_of_pair(one.used_for("judge"), label.pair, k=settings.k_principles, seed=seed)
                for one in sides
            )
            if {one.id for one in was} != set(before):
                n_brought += 1
            else:
                recorded[label.id] = before
                after = tuple(one.id for one in now)
                why += _why_judged(was, now)
                if shown[0] != shown[1]:
                    why.append("shown")
        if why:
            rows.append(TouchedRow(label.id, label.prompt.id, tuple(why), before, after))
    return TouchedTable(len(labels), tuple(rows), n_brought, by_principle=_count(recorded, rows))


def _judge_shown(recipe: Recipe, constitution: Constitution) -> Asking | None:
    if not constitution.used_for("judge"):
        return None
    reasoned = recipe.label.chains > 0
    return make_asking(constitution, n_few_shots=recipe.label.n_few_shots, reasoned=reasoned, seed=recipe.seed)


def _why_judged(old: Sequence[Principle], new: Sequence[Principle]) -> Iterator[Why]:
    was, now = ({one.id: one for one in drawn} for drawn in (old, new))
    if was.keys() != now.keys():
        yield "principle"
    both = was.keys() & now.keys()
    if any(was[name].choice_question != now[name].choice_question for name in both):
        yield "request"
    if was.keys() == now.keys():
        shares = [_shares(drawn) for drawn in (old, new)]
        if any(abs(shares[0][name] - shares[1][name]) > _ROUNDING for name in both):
            yield "weight"


def _shares(drawn: Sequence[Principle]) -> dict[str, float]:
    whole = sum(one.weight for one in drawn)
    return {one.id: one.weight / whole for one in drawn}


def _count(recorded: Mapping[str, Iterable[str]], rows: Sequence[TouchedRow]) -> dict[str, tuple[int, int]]:
    """Count by principle the rows that record it, and those of them that are touched."""
    touched = {row.id for row in rows}
    every = Counter(name for names in recorded.values() for name in set(names))
    of_them = Counter(name for row, names in recorded.items() if row in touched for name in set(names))
    return {name: (n, of_them[name]) for name, n in sorted(every.items())}
