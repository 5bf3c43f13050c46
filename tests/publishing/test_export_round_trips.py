"""What is exported comes back as far as its layout can hold it, however hostile the texts are."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.engines.templates import chatml
from charter.errors import PromptError
from charter.files.csv_cells import unescape_cell
from charter.given import load_pairs, load_traces
from charter.given.pairs import given_pair
from charter.given.transcripts import is_readable
from charter.publishing import LAYOUTS, Exported, export_rows
from charter.publishing.export import LayoutName
from charter.publishing.layout import RECORDS, What
from charter.records import Message, Pair, Preference, Prompt, Round, SftRow, Trace, make_prompt
from row_examples import TEXTS, records_of

#: Who speaks: in turn, behind a system text, and an assistant that begins or goes on.
IN_TURN_ROLES = (("user",), ("system", "user"), ("user", "assistant", "user"))
TURNS = st.sampled_from([*IN_TURN_ROLES, ("assistant", "user"), ("assistant", "assistant", "user")]).flatmap(
    lambda roles: st.tuples(*(st.builds(Message, role=st.just(role), content=TEXTS) for role in roles))
)
#: What is read in turn alone.
IN_TURN = ("llama-factory",)
PROMPTS = st.builds(Prompt, id=TEXTS, turns=TURNS, kind=st.just("red_team"))
TRACES = st.lists(
    st.builds(
        Trace,
        id=TEXTS,
        prompt=PROMPTS,
        initial=TEXTS,
        rounds=st.lists(
            st.builds(
                Round, number=st.just(1), principle=st.sampled_from(["clean", "honest"]), critique_request=TEXTS,
                critique=TEXTS, revision_request=TEXTS, revision=TEXTS,
            ),
            max_size=2,
        ).map(tuple),
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip
PREFERENCES = st.lists(
    st.builds(
        Preference, id=TEXTS, prompt=PROMPTS, chosen=TEXTS, rejected=TEXTS, p_chosen=st.just(0.9),
        source=st.just("on_policy"), verdicts=st.just(()), pair=TEXTS, p_judge=st.just(0.9), position_bias=st.just(0.0),
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip
#: The layouts that hold a conversation as one text.
TEXT_LAYOUTS = ("country", "answer-improvement", "trl-standard")


@contextmanager
def exported(rows: dict[What, Sequence[Any]], layout: LayoutName, **options: Any) -> Iterator[tuple[Path, Exported]]:
    """Export rows into a folder that is gone afterwards."""
    place = Path(tempfile.mkdtemp())
    try:
        yield place / "out", export_rows(rows, place / "out", layout, **options)
    finally:
        shutil.rmtree(place)


def told(trace: Trace) -> tuple[Any, ...]:
    """Give what a layout of one round keeps of a trace."""
    last = trace.rounds[-1]
    requests = (last.critique_request, last.critique, last.revision_request, last.revision)
    return (trace.prompt.turns, trace.initial, *requests)


def kept_traces(traces: Sequence[Trace], layout: str) -> set[tuple[Any, ...]]:
    """Say which traces must come back: of those that can be read those with a question and a revision."""
    able = [one for one in traces if one.rounds and (layout not in TEXT_LAYOUTS or is_readable(one.prompt.turns))]
    return {told(one) for one in able if one.prompt.turns[-1].content.strip() and one.rounds[-1].revision.strip()}


def can_hold(layout: str, turns: Sequence[Message]) -> bool:
    """Say whether a layout's reader would take these turns as they are."""
    if layout in TEXT_LAYOUTS:
        return is_readable(turns)
    return layout not in IN_TURN or [one.role for one in turns] in (
        ["user"],
        ["user", "assistant", "user"],
        ["system", "user"],
    )


def kept_pairs(rows: Sequence[Preference], layout: str) -> set[tuple[Any, ...]]:
    """Say which preferences must come back: of those that can be read those with a question and two answers."""
    return {
        (one.prompt.turns, one.chosen, one.rejected)
        for one in rows
        if can_hold(layout, one.prompt.turns)
        and one.prompt.turns[-1].content.strip()
        and one.chosen.strip()
        and one.rejected.strip()
        and one.chosen != one.rejected
    }


def better_and_worse(pair: Pair) -> tuple[Any, ...]:
    """Give what a layout keeps of a pair."""
    sides = (pair.a, pair.b) if pair.intended == "a" else (pair.b, pair.a)
    return (pair.prompt.turns, *sides)


@pytest.mark.parametrize("layout", ["cai-conversation", "country"])
@settings(max_examples=60)
@given(traces=TRACES)
def test_traces_come_back(layout: LayoutName, traces: list[Trace]) -> None:
    """Prompt, initial response and last round survive verbatim; what cannot be held is counted."""
    expected = kept_traces(traces, layout)
    writable = [one for one in traces if one.rounds and (layout not in TEXT_LAYOUTS or is_readable(one.prompt.turns))]
    if not writable:
        return
    with exported({"traces": traces}, layout) as (out, done):
        assert sum(done.files.values()) + sum(done.left_out.get("traces", {}).values()) == len(traces)
        path = out / "sft.json" if layout == "country" else out
        try:
            loaded = load_traces(path)
        except PromptError:
            assert not expected
            return
    assert {told(one) for one in loaded.traces} == expected
    assert len(loaded.traces) + len(loaded.left_out) == len(writable)


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("cai-conversation", "."),
        ("country", "preferences.json"),
        ("answer-improvement", "preferences.csv"),
        ("trl", "preferences.jsonl"),
        ("trl-standard", "preferences.jsonl"),
        ("alignment-handbook", "."),
        ("axolotl", "preferences.jsonl"),
        ("llama-factory", "preferences.json"),
        ("native", "preferences.jsonl"),
    ],
)
@settings(max_examples=40)
@given(rows=PREFERENCES)
def test_preferences_come_back(layout: LayoutName, name: str, rows: list[Preference]) -> None:
    """Conversation, chosen and rejected survive verbatim in every layout."""
    expected = kept_pairs(rows, layout)
    if not any(can_hold(layout, one.prompt.turns) for one in rows):
        return
    # Ours are named by their ids, which these rows may share.
    rows = [row.model_copy(update={"pair": f"pair {number}"}) for number, row in enumerate(rows)]
    with exported({"preferences": rows}, layout) as (out, _):
        try:
            found = {better_and_worse(pair) for pair in load_pairs(out / name).pairs}
        except PromptError:
            assert not expected
            return
    assert found >= expected if layout == "native" else found == expected


def test_prompts_of_one_id_and_two_texts_are_no_duplicates(tmp_path: Path) -> None:
    """Where somebody else's file numbers two prompts alike, neither pair is lost."""
    prompts = [make_prompt(text, "red_team").model_copy(update={"id": "1"}) for text in ("One?", "Two?")]
    rows = [
        Preference(
            id="p", prompt=prompt, chosen="Yes.", rejected="No.", p_chosen=0.9, source="on_policy", verdicts=(),
            pair="p", chosen_side="a", p_judge=0.9, position_bias=0.0,
        )
        for prompt in prompts
    ]  # fmt: skip
    export_rows({"preferences": rows}, tmp_path / "out", "native")
    loaded = load_pairs(tmp_path / "out/preferences.jsonl")
    assert [pair.prompt for pair in loaded.pairs] == prompts


@pytest.mark.parametrize("what", RECORDS)
@settings(max_examples=25)
@given(data=st.data())
def test_own_layout_keeps_everything(what: What, data: st.DataObject) -> None:
    """Every column of every record, at its limits."""
    rows = data.draw(st.lists(records_of(RECORDS[what]), min_size=1, max_size=3))
    with exported({what: rows}, "native") as (out, done):
        lines = (out / f"{what}.jsonl").read_text("utf-8").split("\n")
    assert [RECORDS[what].from_row(json.loads(line)) for line in lines if line] == rows
    assert done.lost == {}


@settings(max_examples=60)
@given(rows=st.lists(records_of(SftRow), min_size=1, max_size=3), raw=st.booleans())
def test_texts_of_csv_come_back(rows: list[SftRow], raw: bool) -> None:
    """Newlines of every kind, quotes and a NUL stay; cells that a spreadsheet runs are escaped unless it is raw."""
    with exported({"sft": rows}, "answer-improvement", raw=raw) as (out, _):
        text = (out / "sft.csv").read_bytes().decode()
    cells = [cell for (cell,) in list(csv.reader(io.StringIO(text, newline="")))[1:]]
    texts = [chatml((*row.prompt.turns, Message(role="assistant", content=row.response))) for row in rows]
    assert [cell if raw else unescape_cell(cell) for cell in cells] == texts


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_run_by_a_spreadsheet(start: str, tmp_path: Path) -> None:
    """Dangerous answers begin with an apostrophe in the file, and with themselves once read; raw ones never change."""
    pair = given_pair(make_prompt(f"{start}SUM(1)", "red_team"), f"{start}2", f"'{start}3", seed=0)
    one = Preference(
        id="p", prompt=pair.prompt, chosen=f"{start}2", rejected=f"'{start}3", p_chosen=0.9, source="given",
        verdicts=(), pair="p", chosen_side="a", p_judge=0.9, position_bias=0.0,
    )  # fmt: skip
    export_rows({"preferences": [one]}, tmp_path / "safe", "answer-improvement")
    export_rows({"preferences": [one]}, tmp_path / "raw", "answer-improvement", raw=True)
    with (tmp_path / "safe" / "preferences.csv").open(encoding="utf-8", newline="") as file:
        assert all(cell.startswith("'") for cell in list(csv.reader(file))[1])
    for name in ("safe", "raw"):
        loaded = load_pairs(tmp_path / name / "preferences.csv")
        assert better_and_worse(loaded.pairs[0])[1:] == (f"{start}2", f"'{start}3")


def test_every_layout_is_tried_here() -> None:
    """A new layout needs a round trip of its own."""
    assert set(LAYOUTS) == {
        "native", "cai-conversation", "country", "answer-improvement", "trl", "trl-standard", "alignment-handbook",
        "axolotl", "llama-factory",
    }  # fmt: skip
