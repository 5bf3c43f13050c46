from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter import load_pairs, load_sft_rows
from charter.compat import (
    LeftOutWarning,
    PrinciplesWarning,
    import_prompts_from_csv,
    load_principles,
    save_principles,
    save_prompts_to_csv,
)
from charter.constitution import load_constitution
from charter.errors import ConstitutionError, PromptError, UserError
from charter.prompts.escaped_cells import OWN_COLUMNS
from charter.records import Message, Prompt, make_prompt
from compat.harbour import QUESTIONS, write_principles, write_prompts
from constitution.layout_examples import ANSWER_IMPROVEMENT
from row_examples import TEXTS

SAID = TEXTS.filter(lambda text: bool(text.strip()))
FULL = st.fixed_dictionaries(
    {
        **{f"system_message_{name}": TEXTS for name in ("user_prompt", "critique", "revision")},
        "critique_revision_principles": st.lists(
            st.fixed_dictionaries({"critique": SAID, "revision": SAID}), min_size=1, max_size=3
        ),
        "critique_revision_few_shots": st.lists(
            st.fixed_dictionaries(
                dict.fromkeys(
                    ("input", "initial_answer", "critique_principle", "critique", "revision_principle", "revision"),
                    SAID,
                )
            ),
            max_size=2,
        ),
        "comparison_principles": st.lists(SAID, max_size=3),
    }
)


@settings(max_examples=60)
@given(told=FULL)
def test_principles_come_back_as_they_were(told: dict[str, Any]) -> None:
    """Every text of a whole file survives, there and back, however hostile it is."""
    with tempfile.TemporaryDirectory() as folder:
        path, again = (Path(folder) / name / "harbour.json" for name in ("one", "two"))
        path.parent.mkdir()
        again.parent.mkdir()
        path.write_text(json.dumps(told), "utf-8")
        principles = load_principles(path)
        assert save_principles(principles, again) == ()
        assert json.loads(again.read_text("utf-8")) == {**told, "comparison_few_shots": []}


def test_examples_of_comparison_come_back_as_the_same_examples(tmp_path: Path) -> None:
    """A task is written in our words, and means the same conversation, question and answers."""
    principles = load_principles(write_principles(tmp_path))
    assert save_principles(principles, tmp_path / "again.json") == ("name",), "which is the file's"
    assert load_principles(tmp_path / "again.json").few_shots == principles.few_shots
    (written,) = json.loads((tmp_path / "again.json").read_text("utf-8"))["comparison_few_shots"]
    assert written["selected_answer"] == ANSWER_IMPROVEMENT["comparison_few_shots"][0]["selected_answer"]


def test_an_example_without_a_critique_is_told(tmp_path: Path) -> None:
    """It is kept, and its line is named."""
    path = tmp_path / "harbour.json"
    path.write_text(json.dumps(ANSWER_IMPROVEMENT, indent=1), "utf-8")
    with pytest.warns(PrinciplesWarning, match=r'harbour\.json:14: example 2 of revision has no "critique"'):
        principles = load_principles(path)
    assert principles == load_constitution(path)
    assert len(principles.few_shots.revise) == 2


def test_their_own_output_files_are_read(tmp_path: Path) -> None:
    """Pairs that the library found unclear, or equal, are left out by name; a text without line breaks is a row."""
    path = tmp_path / "dpo.csv"
    path.write_text(
        "prompt,chosen,rejected\nWhy?,Because.,No.\nHow?,--unclear--,--unclear--\n", "utf-8", newline="\r\n"
    )
    loaded = load_pairs(path)
    assert [pair.prompt.text for pair in loaded.pairs] == ["Why?"]
    assert loaded.rejected == {"the two answers are equal": 1}
    path.write_text("text\n<|im_start|>userWhy?<|im_end|><|im_start|>assistantBecause.<|im_end|>\n", "utf-8")
    (row,) = load_sft_rows(path).rows
    assert (row.prompt.text, row.response) == ("Why?", "Because.")


def test_principles_that_are_not_there_are_named(tmp_path: Path) -> None:
    """The error says which file, and a fault in one names its line."""
    with pytest.raises(ConstitutionError, match=r"no constitution .*gone\.json"):
        load_principles(tmp_path / "gone.json")
    path = tmp_path / "bad.json"
    path.write_text('{\n "comparison_principles": "one"\n}', "utf-8")
    with pytest.raises(ConstitutionError, match=r"bad\.json:2"):
        load_principles(path)


def test_prompts_and_ids_are_in_the_columns_that_are_named(tmp_path: Path) -> None:
    """Any column may be the prompt, and any the id; without one, ids are those of the texts."""
    path = write_prompts(tmp_path)
    prompts = import_prompts_from_csv(path, prompt_column="prompt", id_column="n")
    assert [(one.id, one.text) for one in prompts] == [("a7", "Why does the tide turn?"), ("b2", "When is it high?")]
    unnamed = import_prompts_from_csv(path)
    turned = import_prompts_from_csv(write_prompts(tmp_path, "prompt\nWhen is it high?\nWhy does the tide turn?\n"))
    assert [one.id for one in unnamed] == [one.id for one in reversed(turned)]
    with pytest.raises(PromptError, match=r"prompts\.csv:1: there is no column 'question'; the columns are prompt"):
        import_prompts_from_csv(path, "question")


def test_rows_that_are_no_prompt_are_told(tmp_path: Path) -> None:
    """A text that stands twice, and an empty one, are counted by reason."""
    path = write_prompts(tmp_path, f'{QUESTIONS}sailing,7,When is it high?,c\nsailing,7,"  ",d\n')
    with pytest.warns(LeftOutWarning, match=r"prompts\.csv: 2 of 4 rows are left out \(1 duplicate text, 1 empty\)"):
        assert len(import_prompts_from_csv(path)) == 2


def test_a_text_that_looks_like_a_transcript_stays_one(tmp_path: Path) -> None:
    """Their cells are texts: nothing in them makes turns."""
    path = write_prompts(tmp_path, 'prompt\n"\n\nHuman: Who am I?\n\nAssistant: You."\n')
    (prompt,) = import_prompts_from_csv(path)
    assert [turn.content for turn in prompt.turns] == ["\n\nHuman: Who am I?\n\nAssistant: You."]


def _distinct(texts: Sequence[str]) -> list[Prompt]:
    return [make_prompt(text, "red_team", id=f"-{number}", category=text) for number, text in enumerate(texts)]


@settings(max_examples=80)
@given(texts=st.lists(SAID, min_size=1, max_size=4, unique=True))
def test_prompts_come_back_as_they_were(texts: list[str]) -> None:
    """Ids, texts and categories survive, and no cell is left that a spreadsheet would run."""
    prompts = _distinct(texts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.csv"
        assert save_prompts_to_csv(prompts, path) == len(prompts)
        back = import_prompts_from_csv(path)
        assert [(one.id, one.turns) for one in back] == [(one.id, one.turns) for one in prompts]
        assert [one.category for one in back] == texts
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    assert tuple(rows[0]) == OWN_COLUMNS
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)


def test_an_apostrophe_in_somebody_elses_file_is_meant(tmp_path: Path) -> None:
    """Only columns of ours are taken for escaped."""
    theirs = import_prompts_from_csv(write_prompts(tmp_path, "prompt\n\"'-ing' ends what?\"\n"))
    assert theirs[0].text == "'-ing' ends what?"


def test_prompts_of_several_turns_are_not_written(tmp_path: Path) -> None:
    """A cell is one question: what is more is told, and nothing is written of nothing."""
    turns = tuple(Message(role=role, content="x") for role in ("user", "assistant", "user"))
    talk = Prompt(id="talk", turns=turns, kind="helpful")
    with pytest.warns(LeftOutWarning, match="1 of 2 rows are left out \\(1 of more than one turn\\)"):
        assert save_prompts_to_csv([talk, make_prompt("One?", "red_team")], tmp_path / "prompts.csv", raw=True) == 1
    with pytest.raises(UserError, match=r"holds none of the prompts \(1 of more than one turn\)"):
        save_prompts_to_csv([talk], tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"none/prompts\.csv: cannot be written \(No such file or directory\)"):
        save_prompts_to_csv([make_prompt("One?", "red_team")], tmp_path / "none" / "prompts.csv")
