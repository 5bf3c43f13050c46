from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.authoring.answers import CUT, TOO_FEW, FormName, TextField, count_reasons, read_rows

FIELDS = (TextField("prompt", "Prompt", "p"), TextField("aligned", "Aligned", "a"))
WHOLE = {"prompt": "Who is {there}? 100 %s", "aligned": 'Say "I", then\nstop.'}
OBJECT = json.dumps(WHOLE)
PIECES = (
    *"{}[]\":,\\n\n\t `#*-'",
    "\ud800",
    "\x00",
    "\u202e",
    "\nPrompt:",
    "\nAligned:",
    "\nAl\u0131gned:",
    '"prompt"',
    '"aligned"',
)
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(st.characters(), max_size=3), max_size=40).map("".join)


@pytest.mark.parametrize(
    "answer",
    [
        f"[{OBJECT}]",
        OBJECT,
        f"Here you are:\n\n```json\n[\n {OBJECT}\n]\n```\nTell me if you want more!",
        f"[{OBJECT},]",
        f'{{"prompts": [{OBJECT}]}}',
        f'{{"a": {{"b": [[{OBJECT}]]}}}}',
        f"1. {OBJECT}",
        f"[{json.dumps({'Prompt ': WHOLE['prompt'], 'ALIGNED': WHOLE['aligned'], 'more': 1})}]",
        OBJECT.replace("\\n", "\n"),
        f"{OBJECT[:-1]},}}",
        f"[{OBJECT[:-1]},}}]",
    ],
)
def test_a_row_is_read_verbatim_whatever_is_around_it(answer: str) -> None:
    """Fences, prose, wrappers, trailing commas, raw line breaks and other cases of keys do not count."""
    read = read_rows(answer, FIELDS, "json", n=1)
    assert read.rows == (WHOLE,)
    assert read.faults == ()


@pytest.mark.parametrize(
    "answer",
    [
        """[{'prompt': 'Who', 'aligned': "Say it"}]""",
        '[{prompt: "Who", aligned: "Say it"}]',
        '[{"prompt": "Who" "aligned": "Say it"}]',
        '{"prompt": \u201cWho\u201d, "aligned": "Say it"}',
        '{"prompt": "Who", // a remark\n "aligned": "Say it"}',
    ],
)
def test_broken_json_is_mended(answer: str) -> None:
    """What models get wrong in JSON is read as it was meant."""
    assert read_rows(answer, FIELDS, "json", n=1).rows == ({"prompt": "Who", "aligned": "Say it"},)


def test_quotes_inside_of_a_text_stay() -> None:
    """A text with bare quotes is mended, and the row after it is read too."""
    answer = f'[{{"prompt": "Say "hi" now", "aligned": "No"}}, {OBJECT}]'
    read = read_rows(answer, FIELDS, "json", n=2)
    assert read.rows == ({"prompt": 'Say "hi" now', "aligned": "No"}, WHOLE)


def test_a_cut_array_keeps_its_whole_rows_and_counts_the_rest() -> None:
    """Neither a half row nor one that was never begun is a row."""
    cut = f"[{OBJECT}, {OBJECT}, {OBJECT[:30]}"
    read = read_rows(cut, FIELDS, "json", n=5, cut=True)
    assert read.rows == (WHOLE, WHOLE)
    assert read.faults == (CUT, CUT, CUT)


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        ("I cannot do that.", {"no JSON object": 2}),
        ("", {"no JSON object": 2}),
        (f"[{OBJECT}]", {TOO_FEW: 1}),
        ('[{"prompt": "Who"}]', {"no 'aligned'": 1, TOO_FEW: 1}),
        ('[{"prompt": "Who", "aligned": ""}]', {"'aligned' is empty": 1, TOO_FEW: 1}),
        ('[{"prompt": "Who", "aligned": ["x"]}]', {"'aligned' is no text": 1, TOO_FEW: 1}),
        ('[{"prompt": "Who", "aligned": "\\ud800"}]', {"'aligned' holds half a character": 1, TOO_FEW: 1}),
        ('[{"prompt": "Who", "aligned": }]', {"'aligned' is empty": 1, TOO_FEW: 1}),
        ('{"prompt": "Who', {"an object without an end": 1, TOO_FEW: 1}),
        ("x" * 150_000, {"far too long": 1, TOO_FEW: 1}),
    ],
)
def test_what_is_lost_has_its_reason(answer: str, reasons: dict[str, int]) -> None:
    """Every row that was asked for and is not there is counted under why."""
    read = read_rows(answer, FIELDS, "json", n=2)
    assert count_reasons(read.faults) == reasons


def test_more_rows_than_asked_for_are_left_out() -> None:
    """The first count."""
    assert len(read_rows(f"[{OBJECT}, {OBJECT}, {OBJECT}]", FIELDS, "json", n=2).rows) == 2


def test_labelled_lines_are_read() -> None:
    """Values may go over lines; a blank line after the last field ends a row."""
    text = "Sure!\n\nPrompt: Who\nis there?\nAligned: Me.\n\nPrompt: And you: who?\nAligned: I.\n\nThat was fun."
    read = read_rows(text, FIELDS, "labelled", n=2)
    assert read.rows == ({"prompt": "Who\nis there?", "aligned": "Me."}, {"prompt": "And you: who?", "aligned": "I."})


@pytest.mark.parametrize(
    "mark", ["**Prompt:** x\n**Aligned:** y", "1. Prompt: x\n   Aligned: y", "- prompt 1: x\n- ALIGNED 1: y"]
)
def test_labels_may_be_dressed(mark: str) -> None:
    """Models embolden and number what they were shown plain."""
    assert read_rows(mark, FIELDS, "labelled", n=1).rows == ({"prompt": "x", "aligned": "y"},)


def test_a_cut_labelled_row_is_lost() -> None:
    """The row at the cut is lost, also where each of its fields has begun; one before it is kept."""
    text = "Prompt: a\nAligned: b\n\nPrompt: c\nAligned: d and then"
    assert read_rows(text, FIELDS, "labelled", n=2, cut=True).rows == ({"prompt": "a", "aligned": "b"},)
    assert len(read_rows(text, FIELDS, "labelled", n=2).rows) == 2


def test_a_repeated_label_begins_a_new_row() -> None:
    """No text is put together of two."""
    read = read_rows("Prompt: a\nAligned: b\nAligned: c", FIELDS, "labelled", n=2)
    assert read.rows == ({"prompt": "a", "aligned": "b"},)
    assert read.faults == ("no 'prompt'",)


@given(HOSTILE, st.sampled_from(["json", "labelled"]), st.booleans(), st.integers(1, 4))
def test_no_answer_raises_and_every_row_is_accounted_for(text: str, form: FormName, cut: bool, n: int) -> None:
    """However hostile an answer is, rows and reasons together are as many as were asked for, and texts are its own."""
    read = read_rows(text, FIELDS, form, n=n, cut=cut)
    assert len(read.rows) + len(read.faults) == n
    for one in read.rows:
        assert set(one) == {"prompt", "aligned"}
        for value in one.values():
            assert value.strip()
            assert (
                value in text or json.dumps(value)[1:-1] in text or json.dumps(value, ensure_ascii=False)[1:-1] in text
            )


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "prompt": st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
                "aligned": st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
            }
        ),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
def test_json_gives_every_text_back(rows: list[dict[str, str]], ascii_only: bool) -> None:
    """What a model wrote as JSON comes back to the letter, white space and all."""
    text = f"```\n{json.dumps(rows, ensure_ascii=ascii_only)}\n```"
    assert list(read_rows(text, FIELDS, "json", n=len(rows)).rows) == rows


@pytest.mark.parametrize(
    "bomb",
    ["{" * 100_000, "[" * 100_000, '{"prompt":' * 15_000, '{"' * 60_000, "\\" * 150_000, '{"prompt": "' + 'x"' * 90_000,
     '{"prompt": 1' + "0" * 100_000 + "}", ("{" + '"prompt": "a' * 300 + "}, {") * 20, "Prompt:" * 20_000,
     "\nPrompt: x" * 18_000, ('{"prompt": "' + "x'" * 500 + "}, ") * 150],
)  # fmt: skip
@pytest.mark.parametrize("form", ["json", "labelled"])
def test_bombs_are_read_soon(bomb: str, form: FormName) -> None:
    """An answer that is made to be hard costs seconds at the most."""
    began = time.monotonic()
    assert len(read_rows(bomb, FIELDS, form, n=3).faults) <= 3
    assert time.monotonic() - began < 10
