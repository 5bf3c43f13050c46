from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.errors import ConstitutionError, PromptError
from charter.prompts import LoadedPrompts, load_prompts
from charter.prompts.ids import settle_ids
from charter.prompts.reading import read_rows
from charter.prompts.selection import select_prompts
from charter.prompts.twins import check_twins
from charter.records import Message, PromptKind, make_prompt
from row_examples import HOSTILE_TEXTS

Load = Callable[..., LoadedPrompts]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write rows as JSON lines and load them as prompts."""

    def loaded(rows: list[Any], kind: str = "helpful", **options: Any) -> LoadedPrompts:
        path = tmp_path / "x.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return load_prompts(str(path), kind, **options)  # type: ignore[arg-type]

    return loaded


def _texts(loaded: LoadedPrompts) -> list[str]:
    return [prompt.text for prompt in loaded.prompts]


def _refusal(load: Load, rows: list[Any], **options: Any) -> str:
    with pytest.raises(PromptError) as caught:
        load(rows, **options)
    return str(caught.value).rpartition("x.jsonl")[2]


@pytest.mark.parametrize("column", ["prompt", "prompt_text", "instruction", "question", "text"])
def test_a_likely_column_is_found(load: Load, column: str) -> None:
    """A prompt is found under the names that such files use."""
    assert _texts(load([{"id": 1, column: "Why?"}])) == ["Why?"]


def test_a_column_that_cannot_be_guessed_is_asked_for(load: Load) -> None:
    """Where no name is likely, the columns are listed."""
    assert _refusal(load, [{"a": "x", "b": "y"}]) == (
        ":1: which column is the prompt? Set 'column' to one of: a, b (where that is no name of a column, the file "
        "needs a line of names first)"
    )


def test_the_rows_columns_become_the_prompts_fields(load: Load) -> None:
    """Id, category, twin and reference travel on the prompt; the source's own id is kept."""
    rows = [{"q": "Why?", "nr": 0, "hazard": 0, "twin_of": 7, "reference": "So."}]
    prompt = load(rows, "benign_twin", column="q", id_column="nr", category_column="hazard").prompts[0]
    assert (prompt.id, prompt.category, prompt.twin_of, prompt.reference) == ("0", "0", "7", "So.")
    assert prompt.kind == "benign_twin"
    assert prompt.source.endswith("x.jsonl")
    assert prompt.split == "train"


def test_ids_follow_from_the_content(load: Load) -> None:
    """Without an id column the id is the content's: the same in another order, another for another kind."""
    rows = [{"prompt": "a"}, {"prompt": "b"}]
    ids = {prompt.text: prompt.id for prompt in load(rows).prompts}
    assert {prompt.text: prompt.id for prompt in load(rows[::-1]).prompts} == ids
    assert load(rows, "red_team").prompts[0].id != ids["a"]


@pytest.mark.parametrize("text", [text for text in HOSTILE_TEXTS if text.strip()], ids=lambda text: ascii(text)[:30])
def test_text_is_taken_verbatim(load: Load, text: str) -> None:
    """A prompt's text is the file's, spaces and newlines included."""
    found = load([{"prompt": text}, {"prompt": "A plain one, so that the file is none of transcripts."}])
    assert found.prompts[0].turns == (Message(role="user", content=text),)
    assert load([{"prompt": text}], layout="rows").prompts[0].turns == found.prompts[0].turns


def test_conversations_are_read_up_to_the_last_question(load: Load) -> None:
    """Messages keep their turns; what the assistant said last is not part of what it is asked."""
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because.", "name": None},
        {"role": "user", "content": "And then?"},
        {"role": "assistant", "content": "Then\n"},
    ]
    prompt = load([{"messages": turns}]).prompts[0]
    assert [(turn.role, turn.content) for turn in prompt.turns] == [
        ("system", "Be brief."),
        ("user", "Why?"),
        ("assistant", "Because."),
        ("user", "And then?"),
    ]
    assert load([{"chat": turns}], column="chat").prompts[0].turns == prompt.turns


def test_chats_are_read_whatever_they_call_who_speaks(load: Load) -> None:
    """``from`` and ``value``, ``human`` and ``gpt``, and texts in parts are the same conversation."""
    turns = [("user", "Hello."), ("assistant", "Hi."), ("user", "How do locks work?")]
    named = {"user": "human", "assistant": "gpt"}
    told = [{"from": named[role], "value": text} for role, text in turns]
    parts = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]
    rows: list[dict[str, Any]] = [{"conversations": told}, {"messages": told}, {"messages": parts}]
    rows += [{"messages": None, "conversations": told}, {"messages": 3, "conversations": told}]
    for row in rows:
        (prompt,) = load([row]).prompts
        assert [(turn.role, turn.content) for turn in prompt.turns] == turns


def test_a_chat_beside_a_prompt_is_no_prompt(load: Load) -> None:
    """Where a column is likely to be the prompt, a conversation is something else, such as an example."""
    rows = [{"prompt": "What is this?", "conversations": [{"from": "human", "value": "Hello."}]}]
    assert [prompt.text for prompt in load(rows).prompts] == ["What is this?"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}],
            ":2: not a message (content is [{'type': 'image_url', 'image_url': 'x'}]: Input should be a valid string)",
        ),
        (
            [{"role": "tool", "content": "x"}],
            ":2: not a message (role is 'tool': Input should be 'system', 'user' or 'assistant')",
        ),
        ([{"role": "user"}], ":2: not a message (content: Field required); expected role and content"),
        ([{"role": "user", "content": "x", "weight": 1}], ":2: not a message (weight: Extra inputs are not permitted)"),
        (["x"], ":2: not a message ("),
        (
            {"role": "user", "content": "x"},
            ":2: 'messages' is {'role': 'user', 'content': 'x'}; expected a text or a list of messages",
        ),
        (7, ":2: 'messages' is 7; expected a text or a list of messages"),
        ("\ud800", ":2: not a message (content is '\\ud800': the text holds half of a surrogate pair (U+D800)"),
    ],
)
def test_a_wrong_message_names_its_line(load: Load, value: Any, message: str) -> None:
    """A value that is no conversation is told with its line."""
    assert _refusal(load, [{"messages": "fine"}, {"messages": value}]).startswith(message)


@pytest.mark.parametrize("options", [{"column": "q"}, {"id_column": "q"}])
def test_a_missing_column_names_its_line(load: Load, options: dict[str, str]) -> None:
    """The prompt's column, and the id's, must be in every row."""
    rows = [{"prompt": "a", "q": "b"}, {"prompt": "c"}]
    assert _refusal(load, rows, **options) == ":2: there is no column 'q'; the columns are prompt"


def test_a_missing_column_of_a_table_is_its_headers(tmp_path: Path) -> None:
    """A CSV names its columns in the header: its line is named, with the nearest column."""
    (tmp_path / "x.csv").write_text("nr,promt\n1,a\n", "utf-8")
    with pytest.raises(PromptError) as caught:
        load_prompts(str(tmp_path / "x.csv"), "helpful", column="prompt")
    there = 'the columns are nr, promt; did you mean "promt"?'
    assert str(caught.value).endswith(f"x.csv:1: there is no column 'prompt'; {there}")
    with pytest.raises(PromptError, match=r"x.csv:1: which column is the prompt\? Set 'column' to one of: nr, promt"):
        load_prompts(str(tmp_path / "x.csv"), "helpful")


def test_a_column_that_no_row_has_is_refused(load: Load) -> None:
    """A category or a condition on a column that occurs nowhere is a mistake; in some rows is enough."""
    rows = [{"prompt": "a"}, {"prompt": "b", "lang": "en"}]
    assert _refusal(load, rows, category_column="q") == ":1: no row has a column 'q'; the columns are prompt, lang"
    assert _refusal(load, rows, where={"q": 1}).startswith(":1: no row has a column 'q'")
    assert [prompt.category for prompt in load(rows, category_column="lang").prompts] == ["", "en"]
    assert load(rows, where={"lang": "en"}).rejected == {"filtered by where": 1}


def test_ids_must_be_distinct_and_there(load: Load) -> None:
    """Two prompts of one id, or a row without one, are refused with the line."""
    rows = [{"prompt": "a", "nr": 1}, {"prompt": "b", "nr": 1}]
    message = _refusal(load, rows, id_column="nr")
    assert message.startswith(":1); ids must be distinct: mend them, or name another column with 'id_column'")
    rows = [{"prompt": "a", "nr": 1}, {"prompt": "b", "nr": None}]
    assert _refusal(load, rows, id_column="nr").startswith(":2: the id in column 'nr' is empty")


def test_a_column_called_id_is_understood(load: Load) -> None:
    """Ids are found without being asked for, also where a row is written twice; another column goes first."""
    rows = [{"prompt": "a", "id": 7, "nr": "x"}, {"prompt": "b", "id": 8, "nr": "y"}]
    assert [one.id for one in load([*rows, rows[0]]).prompts] == ["7", "8"]
    assert [one.id for one in load(rows, id_column="nr").prompts] == ["x", "y"]
    assert load(rows, limit=1).given_ids == {"7", "8"}


@pytest.mark.parametrize("second", [7, None, ""])
def test_a_column_called_id_that_is_none(load: Load, second: Any) -> None:
    """Where it repeats itself or has gaps, nobody asked for it, and ids follow from the content; asked for, it errs."""
    rows = [{"prompt": "a", "id": 7}, {"prompt": "b", "id": second}]
    loaded = load(rows)
    assert [one.id for one in loaded.prompts] == [one.id for one in load([{"prompt": "a"}, {"prompt": "b"}]).prompts]
    assert not loaded.given_ids
    message = _refusal(load, rows, id_column="id")
    assert (
        "ids must be distinct" in message if second == 7 else message.startswith(":2: the id in column 'id' is empty")
    )


@pytest.mark.parametrize("cell", [["an answer", "another"], {"text": "x"}, True])
@pytest.mark.parametrize("column", ["reference", "category", "twin_of"])
def test_what_is_no_text_is_refused(load: Load, column: str, cell: Any) -> None:
    """A list is not its own spelling: a reference answer that nobody wrote would be measured."""
    message = _refusal(load, [{"prompt": "a", column: cell}])
    assert message == f":1: '{column}' is {type(cell).__name__}; expected a text or a number"


@pytest.mark.parametrize(
    ("turns", "answer"),
    [
        (("q", "a"), "a"),
        (("q", "a", "again", "b"), "b"),
        (("q", "a", "again"), None),
        (("q", "a", "again", ""), None),
        ((), None),
    ],
)
def test_a_chats_last_answer_is_a_reference_where_that_is_asked(
    load: Load, turns: tuple[str, ...], answer: str | None
) -> None:
    """What answers the last question, and only where the column of references is one of conversations."""
    said = [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, turns, strict=False)]
    other = [{"role": "user", "content": "other"}, {"role": "assistant", "content": "yes"}]
    rows = [{"messages": said}, {"messages": other}]
    found = {one.turns: one.reference for one in load(rows, reference_column="messages").prompts}
    assert next(reference for turns, reference in found.items() if turns[0].content == "other") == "yes"
    assert {reference for turns, reference in found.items() if turns[0].content != "other"} == (
        {answer} if turns else set()
    )
    assert {one.reference for one in load(rows).prompts} == {None}


def test_a_transcripts_last_answer_too(load: Load) -> None:
    """As a text that begins with a speaker; a text that does not is the reference itself."""
    row = {"text": "\n\nHuman: q\n\nAssistant: a", "best": "c"}
    assert load([row], reference_column="text").prompts[0].reference == "a"
    assert load([row], reference_column="best").prompts[0].reference == "c"


def test_a_list_is_no_id(load: Load) -> None:
    """A column ``id`` of lists is not taken unasked, and refused where it is asked for."""
    assert not load([{"prompt": "a", "id": [1]}]).given_ids
    assert _refusal(load, [{"prompt": "a", "id": [1]}], id_column="id").startswith(":1: 'id' is list")


@pytest.mark.parametrize("content", ["", " \n"])
def test_a_conversation_that_ends_in_nothing_is_empty(load: Load, content: str) -> None:
    """A last turn without a word is as empty as a text without one."""
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": content},
    ]
    loaded = load([{"messages": turns}, {"messages": turns[:2]}])
    assert loaded.rejected == {"empty": 1}
    assert [prompt.text for prompt in loaded.prompts] == ["a"]


def _numbered(folder: Path, kind: PromptKind, **options: Any) -> LoadedPrompts:
    path = folder / f"{kind}.csv"
    path.write_text("id,prompt,twin_of\n" + "".join(f"{n},{kind} {n}?,{n}\n" for n in range(1, 9)), "utf-8")
    return load_prompts(str(path), kind, **options)


def test_files_that_are_each_numbered_from_one(tmp_path: Path) -> None:
    """Red-team prompts, which twins name, keep their numbers; where nobody asked for the others' they give way."""
    kinds: tuple[PromptKind, ...] = ("helpful", "benign_twin", "red_team")
    numbers = {str(n) for n in range(1, 9)}
    settled = settle_ids({kind: _numbered(tmp_path, kind) for kind in kinds})
    check_twins(settled)
    assert {one.id for one in settled["red_team"].prompts} == numbers
    assert len({one.id for found in settled.values() for one in found.prompts}) == 24
    assert settled["helpful"].places.keys() == {one.id for one in settled["helpful"].prompts}
    chosen = select_prompts(
        {kind: one.prompts for kind, one in settled.items()}, (), n_evaluation=2, n_evaluation_helpful=2
    )
    assert len(chosen.prompts) == 24
    lone = _numbered(tmp_path, "helpful")
    assert settle_ids({"helpful": lone}) == {"helpful": lone}


def test_ids_that_were_asked_for_stay(tmp_path: Path) -> None:
    """They go before those that were not, whatever the kind, and twins that lose theirs so are told the remedy."""
    loaded = {"red_team": _numbered(tmp_path, "red_team"), "benign_twin": _numbered(tmp_path, "benign_twin")}
    settled = settle_ids({**loaded, "helpful": _numbered(tmp_path, "helpful", id_column="id")})  # type: ignore[dict-item]
    assert [one.id for one in settled["helpful"].prompts] == [str(n) for n in range(1, 9)]
    with pytest.raises(
        PromptError, match=r"its column 'id' was not taken unasked.*set prompts.red_team.id_column to 'id'"
    ):
        check_twins({**settled, "benign_twin": loaded["benign_twin"]})
    both = {kind: _numbered(tmp_path, kind, id_column="id") for kind in ("red_team", "helpful")}  # type: ignore[arg-type]
    with pytest.raises(PromptError, match=r"the id '.' is used by a red_team prompt"):
        select_prompts(
            {kind: one.prompts for kind, one in settle_ids(both).items()},  # type: ignore[arg-type]
            (),
            n_evaluation=2,
            n_evaluation_helpful=2,
        )


def test_whole_numbers_that_a_table_made_floats(tmp_path: Path) -> None:
    """A Parquet column of numbers with gaps is one of floats; its ids are read as the whole numbers that they were."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"prompt": ["a", "b", "c", "d"], "twin_of": pa.array([1.0, None, float("nan"), 1.5], pa.float64())}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    found = load_prompts(str(tmp_path / "x.parquet"), "benign_twin").prompts
    assert [one.twin_of for one in found] == ["1", None, None, "1.5"]


def test_a_field_that_no_file_can_hold_names_its_line(load: Load) -> None:
    """Half a surrogate pair in a category is told with its line and column."""
    assert _refusal(load, [{"prompt": "a", "category": "\udfff"}]).startswith(":1: category: the text")


def test_rejected_rows_are_counted(load: Load) -> None:
    """Each row is kept or counted under why it was not."""
    rows = [
        {"prompt": "a", "lang": "en"},
        {"prompt": "a", "lang": "en"},
        {"prompt": " \n", "lang": "en"},
        {"prompt": None, "lang": "en"},
        {"prompt": "b", "lang": "de"},
        {"prompt": "c", "lang": "en"},
        {"prompt": "d", "lang": "en"},
        {"prompt": [{"role": "assistant", "content": "x"}], "lang": "en"},
    ]
    loaded = load(rows, where={"lang": "en"}, limit=2)
    assert _texts(loaded) == ["a", "c"]
    assert loaded.rejected == {
        "duplicate text": 1,
        "empty": 2,
        "filtered by where": 1,
        "over the limit": 1,
        "without a user's turn": 1,
    }


_ROW = st.fixed_dictionaries(
    {"prompt": st.sampled_from(["a", "b", "c", "", " ", None, "a\n"]), "lang": st.sampled_from(["en", "de", None])}
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(_ROW, min_size=1, max_size=12), limit=st.none() | st.integers(1, 3))
def test_no_row_is_lost(load: Load, rows: list[dict[str, Any]], limit: int | None) -> None:
    """Rows read are rows kept and rows rejected, whatever the rows."""
    try:
        loaded = load(rows, where={"lang": "en"}, limit=limit)
    except PromptError as error:
        assert "no prompt is left" in str(error)  # noqa: PT017 - either is an outcome of a drawn file
        assert not any(row["lang"] == "en" and (row["prompt"] or "").strip() for row in rows)
    else:
        assert len(loaded.prompts) + sum(loaded.rejected.values()) == len(rows)
        assert len(set(_texts(loaded))) == len(loaded.prompts) <= (limit or 12)


@pytest.mark.parametrize(
    ("where", "kept"),
    [({"n": 1}, "a"), ({"n": "1"}, "a"), ({"ok": True}, "b"), ({"n": 2, "ok": True}, "b"), ({"x": 0.5}, "b")],
)
def test_conditions_on_a_csv_compare_text(tmp_path: Path, where: dict[str, Any], kept: str) -> None:
    """A CSV has no numbers or booleans: a recipe's ones match what the cell says."""
    (tmp_path / "x.csv").write_text("prompt,n,ok,x\na,1,no,1\nb,2,True,0.5\n")
    assert _texts(load_prompts(str(tmp_path / "x.csv"), "helpful", where=where)) == [kept]


def test_conditions_keep_numbers_and_text_apart_in_json(load: Load) -> None:
    """In JSON a number is no text: a condition with text asks for text."""
    rows = [{"prompt": "a", "n": 1}, {"prompt": "b", "n": "1"}]
    assert _texts(load(rows, where={"n": "1"})) == ["b"]


def test_nothing_left_is_an_error(load: Load) -> None:
    """A file whose every row is rejected says how many there were, and why."""
    message = _refusal(load, [{"prompt": "", "lang": "en"}, {"prompt": "b", "lang": "de"}], where={"lang": "en"})
    assert message.startswith(": no prompt is left of 2 rows (1 empty, 1 filtered by where); check 'column'")


def test_saved_datasets_are_prompts(tmp_path: Path) -> None:
    """A saved folder's chat rows become prompts; None that a table pads messages with is no field."""
    import datasets

    turns = [{"role": "user", "content": "Why?", "name": None}, {"role": "assistant", "content": "So.", "name": None}]
    datasets.Dataset.from_list([{"messages": turns}]).save_to_disk(str(tmp_path / "saved"))
    loaded = load_prompts(str(tmp_path / "saved"), "helpful")
    assert loaded.prompts[0].turns == (Message(role="user", content="Why?"),)


@pytest.mark.parametrize("kind", ["red_team", "benign_twin", "helpful"])
def test_the_built_in_prompts_load(kind: str) -> None:
    """Each built-in set loads whole, in its order, and a limit takes its first."""
    loaded = load_prompts("built-in", kind)  # type: ignore[arg-type]
    assert len(loaded.prompts) == 240
    assert loaded.rejected == {}
    assert {prompt.kind for prompt in loaded.prompts} == {kind}
    assert len({prompt.id for prompt in loaded.prompts}) == 240
    assert load_prompts("built-in", kind, limit=3).prompts == loaded.prompts[:3]  # type: ignore[arg-type]


def test_loaded_prompts_go_out_and_come_back(tmp_path: Path, load: Load) -> None:
    """Prompts that were written as table rows can be read again as a source."""
    prompts = [make_prompt(text, "helpful", category="c") for text in ("a\r\nb", "{x}")]
    rows = [prompt.to_row() for prompt in prompts]
    loaded = load(rows, id_column="prompt_id", column="turns")
    assert [(one.id, one.turns, one.category) for one in loaded.prompts] == [
        (one.id, one.turns, one.category) for one in prompts
    ]
    assert len(read_rows(str(tmp_path / "x.jsonl"))) == 2


def test_built_in_prompts_are_chosen_and_counted() -> None:
    """``where`` and ``limit`` hold for built-in prompts too, and what they leave out is counted."""
    every = load_prompts("built-in", "red_team")
    some = load_prompts("built-in", "red_team", where={"category": "drugs"}, limit=3)
    of_category = [one for one in every.prompts if one.category == "drugs"]
    assert some.prompts == tuple(of_category[:3])
    n_others = len(every.prompts) - len(of_category)
    assert some.rejected == {"filtered by where": n_others, "over the limit": len(of_category) - 3}
    assert every.rejected == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "x"}, "'column' is 'x', and built-in prompts have none to choose; leave it out"),
        ({"id_column": "x"}, "'id_column' is 'x', and built-in"),
        ({"category_column": "x"}, "'category_column' is 'x', and built-in"),
        ({"split": "test"}, "'split' is 'test', and built-in"),
        ({"where": {"hazard": "x"}}, "no column 'hazard'; 'where' takes ['id', 'category']"),
        ({"where": {"category": "gardens"}}, "no built-in helpful prompt is left where {'category': 'gardens'}"),
    ],
)
def test_what_built_in_prompts_do_not_have_is_refused(options: dict[str, Any], message: str) -> None:
    """A setting that would be ignored is an error."""
    with pytest.raises(PromptError) as caught:
        load_prompts("built-in", "helpful", **options)
    assert message in str(caught.value)


def test_a_constitution_that_would_do_nothing_is_refused(tmp_path: Path) -> None:
    """One that is not there, and one whose principles no row names."""
    path = tmp_path / "plain.csv"
    path.write_text("prompt\nWhat is this?\n", "utf-8")
    with pytest.raises(ConstitutionError, match=r"nosuch\.yaml"):
        load_prompts(str(path), "red_team", principles="nosuch.yaml")
    with pytest.raises(
        PromptError, match=r"no row names a principle \(columns: prompt\); name the column with princip"
    ):
        load_prompts(str(path), "red_team", principles="harmless")
