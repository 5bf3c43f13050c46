"""Pairs that say the same again, pairs whose sides are the same, and pairs of one prompt that contradict each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from charter.evaluation.preference_data.rows import PreferenceData
from charter.evaluation.shares import Share
from charter.given.loaded import DUPLICATE, EQUAL_SIDES
from charter.prompts.grouping import normalise_text
from charter.prompts.near_duplicates import DEFAULT_THRESHOLD, find_near_duplicates, similarity_of
from charter.records import Preference
from charter.statistics import rate_interval

#: From which similarity on two sides of a pair are nearly the same: of a hundred words about one differs.
ALIKE_SIDES = 0.95

EXACT, NEAR, SAME_SIDES, NEAR_SIDES, CONTRADICTORY = (
    "duplicate",
    "near-duplicate",
    "equal sides",
    "nearly equal sides",
    "contradiction",
)
_ALREADY_LEFT_OUT = {EXACT: DUPLICATE, SAME_SIDES: EQUAL_SIDES}


@dataclass(frozen=True)
class Repeats:
    """How many pairs are of each sort, and which rows, by the row's id, with what each resembles or contradicts.

    Exact duplicates and equal sides count what reading the file left out too.
    """

    shares: Mapping[str, Share]
    flagged: Mapping[str, Mapping[str, str]]


def find_repeats(data: PreferenceData, *, threshold: float = DEFAULT_THRESHOLD) -> Repeats:
    """Find pairs that train on the same again, or against each other; case, spacing and punctuation do not count.

    Args:
        data: the preferences.
        threshold: of near-duplicates (see ``prompts.near_duplicates``): as alike must both the whole pairs be, and
            their answers by themselves, so that a long prompt alone makes no duplicate.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    exact = _exact(data.rows)
    found = {
        EXACT: exact,
        NEAR: _near([row for row in data.rows if row.id not in exact], threshold),
        SAME_SIDES: {row.id: "" for row in data.rows if _said(row.chosen) == _said(row.rejected)},
        CONTRADICTORY: _contradictory(data.rows),
    }
    found[NEAR_SIDES] = {
        row.id: ""
        for row in data.rows
        if row.id not in found[SAME_SIDES] and similarity_of(row.chosen, row.rejected) >= ALIKE_SIDES
    }
    flagged: dict[str, dict[str, str]] = defaultdict(dict)
    for name, rows in found.items():
        for row, other in rows.items():
            flagged[row][name] = other
    order = (EXACT, NEAR, SAME_SIDES, NEAR_SIDES, CONTRADICTORY)
    return Repeats({name: _share(data, name, found[name]) for name in order}, dict(flagged))


def _share(data: PreferenceData, name: str, found: Mapping[str, str]) -> Share:
    """Count rows of a sort, with those that were left out for being so, each of which stands for itself."""
    n_left_out = data.left_out.get(_ALREADY_LEFT_OUT.get(name, ""), 0)
    outcomes = [*(row.id in found for row in data.rows), *([True] * n_left_out)]
    groups = [*data.groups, *(f"left out {number}" for number in range(n_left_out))]
    return Share(sum(outcomes), rate_interval(outcomes, groups=groups))


def _said(text: str) -> str:
    return normalise_text(text)


def _exact(rows: Sequence[Preference]) -> dict[str, str]:
    """Find rows that say what an earlier one says, by their ids, each with the earlier one's."""
    first: dict[tuple[str, str, str], str] = {}
    found = {}
    for row in rows:
        said = _said(row.prompt.text), _said(row.chosen), _said(row.rejected)
        if (other := first.setdefault(said, row.id)) != row.id:
            found[row.id] = other
    return found


def _near(rows: Sequence[Preference], threshold: float) -> dict[str, str]:
    """Find rows that nearly say what an earlier one says, whichever side it prefers."""
    answers = ["\n".join(sorted((row.chosen, row.rejected))) for row in rows]
    whole = [f"{row.prompt.text}\n{both}" for row, both in zip(rows, answers, strict=True)]
    return {
        rows[one.index].id: rows[one.other].id
        for one in find_near_duplicates(whole, threshold=threshold).dropped
        if similarity_of(answers[one.index], answers[one.other]) >= threshold
    }


def _contradictory(rows: Sequence[Preference]) -> dict[str, str]:
    """Find rows that lie on a cycle: of answers to one prompt, each preferred to the next, the last to the first."""
    by_prompt: dict[str, list[Preference]] = defaultdict(list)
    for row in rows:
        by_prompt[_said(row.prompt.text)].append(row)
    found = {}
    for several in by_prompt.values():
        edges = {row.id: (_said(row.chosen), _said(row.rejected)) for row in several}
        part = _strong_parts(edges.values()) if len(several) > 1 else {}
        for name, (chosen, rejected) in edges.items():
            if part and chosen != rejected and part[chosen] == part[rejected]:
                against = next((one for one, edge in edges.items() if edge == (rejected, chosen)), "")
                found[name] = against  # empty where it takes more than two rows to come back
    return found


def _strong_parts(edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Number the strongly connected parts of a graph: two are of one part where each leads to the other.

    Source: Sharir 1981, after Kosaraju: what is finished last is searched first, against the edges.
    """
    onward: dict[str, list[str]] = defaultdict(list)
    back: dict[str, list[str]] = defaultdict(list)
    for begin, end in edges:
        onward[begin].append(end)
        back[end].append(begin)
    entered: set[str] = set()
    finished = [node for begin in (*onward, *back) for node in _visit(begin, onward, entered)]
    entered = set()
    parts = (_visit(begin, back, entered) for begin in reversed(finished))
    return {node: number for number, part in enumerate(parts) for node in part}


def _visit(begin: str, edges: Mapping[str, Sequence[str]], entered: set[str]) -> list[str]:
    """Walk to all that was not entered before; each stands behind those that it leads to."""
    finished = []
    waiting = [(begin, False)]
    while waiting:
        node, is_done = waiting.pop()
        if is_done:
            finished.append(node)
        elif node not in entered:
            entered.add(node)
            waiting.append((node, True))
            waiting.extend((other, False) for other in edges.get(node, ()))
    return finished
