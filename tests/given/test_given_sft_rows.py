from __future__ import annotations

import contextlib
import csv
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charter.engines.templates import TemplateRefusedError, chatml
from charter.errors import ModelError, PromptError
from charter.given import LoadedSftRows, load_sft_rows
from charter.publishing import export_rows
from charter.records import Message, SftRow, make_prompt
from row_examples import TEXTS

Write = Callable[[Sequence[Message]], str]
ROWS = st.lists(
    st.tuples(TEXTS, TEXTS).map(
        lambda two: SftRow(id=repr(two), prompt=make_prompt(two[0], "red_team"), response=two[1], origin="revision 1")
    ),
    min_size=1,
    max_size=3,
)


def zephyr(turns: Sequence[Message]) -> str:
    """Write a conversation as a model of that family does; a system text may be missing."""
    return "".join(f"<|{turn.role}|>\n{turn.content}</s>\n" for turn in turns)


def instructions(turns: Sequence[Message]) -> str:
    """Write a conversation with the system text inside the question, trimmed, and the answer open at its end."""
    system, said = ("", turns) if turns[0].role != "system" else (f"{turns[0].content}\n\n", turns[1:])
    if [turn.role for turn in said] != ["user", "assistant"]:
        raise TemplateRefusedError("user and assistant take turns")
    return f"<s>[INST] {system}{said[0].content.strip()} [/INST] {said[1].content.strip()}"


def with_default(turns: Sequence[Message]) -> str:
    """Write ChatML, with a system text of the template's own where there is none."""
    first = () if turns[0].role == "system" else (Message(role="system", content="You are helpful."),)
    return chatml((*first, *turns))


WRITERS: dict[str, Write] = {"chatml": chatml, "zephyr": zephyr, "inst": instructions, "default": with_default}


def write(folder: Path, *texts: str) -> Path:
    """Write a CSV of texts."""
    path = folder / "sft.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    return path


def said(loaded: LoadedSftRows) -> list[tuple[str, ...]]:
    """Give the turns and the answer of each row."""
    return [(*(turn.content for turn in row.prompt.turns), row.response) for row in loaded.rows]


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=60)
@given(rows=ROWS)
def test_exported_texts_come_back_or_are_named(name: str, rows: list[SftRow]) -> None:
    """What comes back is written as the text that was read; nothing else does, and nothing is lost in silence."""
    render = WRITERS[name]
    with tempfile.TemporaryDirectory() as folder:
        export_rows({"sft": rows}, Path(folder) / "out", "answer-improvement", render=render)
        found: list[SftRow] = []
        n_left_out = len(rows)
        with contextlib.suppress(PromptError):  # where none is left
            loaded = load_sft_rows(Path(folder) / "out" / "sft.csv", template=render)
            found, n_left_out = list(loaded.rows), len(loaded.left_out)
    written = [render((*row.prompt.turns, Message(role="assistant", content=row.response))) for row in rows]
    assert len(found) + n_left_out == len(rows)
    for row in found:
        assert render((*row.prompt.turns, Message(role="assistant", content=row.response))) in written
    plain = [(row.prompt.text, row.response) for row in rows if "<" not in row.prompt.text + row.response]
    trimmed = (lambda text: text.strip()) if name == "inst" else str
    kept = {(row.prompt.text, row.response) for row in found}
    assert {tuple(map(trimmed, one)) for one in plain if all(map(str.strip, one)) and "[" not in "".join(one)} <= kept


def test_a_system_text_is_a_turn_of_its_own(tmp_path: Path) -> None:
    """One that the template brings itself is none."""
    turns = [Message(role=role, content=role.upper()) for role in ("system", "user", "assistant")]
    path = write(tmp_path, with_default(turns), with_default(turns[1:]))
    assert said(load_sft_rows(path, template=with_default)) == [("SYSTEM", "USER", "ASSISTANT"), ("USER", "ASSISTANT")]


def test_texts_without_line_breaks_are_read_and_doubted(tmp_path: Path) -> None:
    """The library takes line breaks out of what it writes: the template's own are found all the same."""
    turns = [Message(role="user", content="Name two.\nSlowly."), Message(role="assistant", content="One.\nTwo.")]
    loaded = load_sft_rows(write(tmp_path, zephyr(turns).replace("\n", ""), zephyr(turns)), template=zephyr)
    assert said(loaded) == [("Name two.Slowly.", "One.Two."), ("Name two.\nSlowly.", "One.\nTwo.")]
    assert [(note.place.rsplit("/")[-1], note.reason) for note in loaded.doubted] == [
        ("sft.csv:2", "its line breaks are gone")
    ]


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (("user:A", "assistant:B", "user:C", "assistant:D"), "holds marks of the template inside of a turn"),
        (("user:A", "assistant:B<|im_end|>"), "holds marks of the template inside of a turn"),
        (("user:A",), "not one question and its answer as the template writes them"),
        (("user: ", "assistant:B"), "empty prompt"),
        (("user:A", "assistant:\n"), "empty answer"),
    ],
)
def test_what_is_no_question_and_answer_is_left_out(turns: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    """Several turns look as one with marks inside: nobody can tell, so that neither is guessed."""
    pairs = [one.split(":", 1) for one in turns]
    text = chatml([Message.model_validate({"role": role, "content": content}) for role, content in pairs])
    good = chatml([Message(role="user", content="Q"), Message(role="assistant", content="R")])
    loaded = load_sft_rows(write(tmp_path, text, good, good))
    assert said(loaded) == [("Q", "R")]
    assert loaded.rejected == {reason: 1, "exact duplicate": 1}


def test_another_template_and_another_column_are_named(tmp_path: Path) -> None:
    """The error says how the texts were read, and what to name."""
    path = write(tmp_path, zephyr([Message(role="user", content="Q"), Message(role="assistant", content="R")]))
    with pytest.raises(
        PromptError, match=r"sft\.csv:2: not one question.*name the model whose chat template the texts"
    ):
        load_sft_rows(path)
    path.write_text("prompt,answer\nQ,R\n", "utf-8")
    with pytest.raises(PromptError, match=r"the columns are prompt, answer, as in no layout of rows for SFT; .*: text"):
        load_sft_rows(path)
    with pytest.raises(ModelError, match="does not write a question and its answer out whole"):
        load_sft_rows(write(tmp_path, "x"), template=lambda _: "one text for all")


def test_the_template_is_that_of_a_model(tmp_path: Path, tiny_model: Path) -> None:
    """A model's folder stands for its template."""
    text = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nR<|im_end|>\n"
    assert said(load_sft_rows(write(tmp_path, text), template=str(tiny_model))) == [("Q", "R")]
