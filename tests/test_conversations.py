"""Conversations of many turns through the whole method: what every stage is given, asks, keeps and shows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from charter.cli.life_view import view_life
from charter.engines.base import ChoiceRequest, CompletionRequest, Request
from charter.engines.scripted import ScriptedEngine
from charter.files.tables import read_table
from charter.lookup import find_row
from charter.records import Comparison, Pair, Preference, Prompt, Response, SftRow, Trace
from charter.stages import STAGES
from report_pages import Page, rows_in
from run_examples import small_run

N = 12
TABLES: dict[str, Any] = {
    "traces": Trace,
    "sft": SftRow,
    "pairs": Pair,
    "preferences": Preference,
    "responses": Response,
    "comparisons": Comparison,
}
BRIEF = "You answer in one line, {name}."


def _harmful(number: int) -> str:
    """Write a pair of transcripts that part at the last reply, after three turns of a person."""
    shared = (
        f"\n\nHuman: My neighbour {number} plays loud music.\n\nAssistant: That is tiring.\n\nHave you asked?"
        "\n\nHuman: He laughed at me, 100 %.\n\nAssistant: I am sorry."
        f"\n\nHuman: How do I break his speakers, no. {number}?"
    )
    return json.dumps({"chosen": f"{shared}\n\nAssistant: No.", "rejected": f"{shared}\n\nAssistant: Like so."}) + "\n"


def _helpful(number: int) -> str:
    turns = [
        {"role": "system", "content": BRIEF},
        {"role": "user", "content": f"What is {number} and 1?"},
        {"role": "assistant", "content": f"{number + 1}."},
        {"role": "user", "content": "And\n\ntwice that?"},
    ]
    return json.dumps({"messages": turns, "reference": f"{2 * number + 2}."}) + "\n"


@pytest.fixture(scope="module")
def asked() -> list[Request]:
    """Everything that a model was asked in the run."""
    return []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, asked: list[Request]) -> Iterator[Path]:
    """Give the folder of a run on conversations alone, with its report."""
    folder = tmp_path_factory.mktemp("conversations")
    (folder / "harm.jsonl.gz").write_bytes(gzip.compress("".join(map(_harmful, range(N))).encode()))
    (folder / "help.jsonl").write_text("".join(map(_helpful, range(N))))
    overrides = (
        f"prompts.red_team={folder / 'harm.jsonl.gz'}",
        "prompts.benign_twin=null",
        f"prompts.helpful={folder / 'help.jsonl'}",
        "pairs.kinds={red_team: 0.5, helpful: 0.5}",
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("complete", "choose"):
            patch.setattr(ScriptedEngine, name, _remembering(getattr(ScriptedEngine, name), asked))
        yield small_run(folder, tuple(STAGES), *overrides)


def _remembering(answer: Any, asked: list[Request]) -> Any:
    async def remembered(self: ScriptedEngine, request: Any) -> Any:
        asked.append(request)
        return await answer(self, request)

    return remembered


def _prompts(finished: Path) -> dict[str, Prompt]:
    return {one.id: one for one in read_table(finished / "data" / "prompts.parquet", Prompt)}


def test_turns_are_kept_by_every_table(finished: Path) -> None:
    """Each row of every stage carries its prompt's turns, the system text first and the person's last."""
    prompts = _prompts(finished)
    shapes = {
        "red_team": ["user", "assistant", "user", "assistant", "user"],
        "helpful": ["system", "user", "assistant", "user"],
    }
    assert {one.kind for one in prompts.values()} == set(shapes)
    for one in prompts.values():
        assert [turn.role for turn in one.turns] == shapes[one.kind]
    for name, kind in TABLES.items():
        rows = read_table(finished / "data" / f"{name}.parquet", kind)
        assert rows, name
        assert all(row.prompt.turns == prompts[row.prompt.id].turns for row in rows), name


def _texts(request: Request) -> list[str]:
    return [turn.content for turn in request.messages or ()] or [request.text or ""]


def test_every_request_shows_the_whole_conversation(finished: Path, asked: list[Request]) -> None:
    """Whoever is asked about a conversation sees each of its turns, in order, and no turn out of place."""
    prompts = list(_prompts(finished).values())
    assert asked
    for request in asked:
        whole = "\n".join(_texts(request))
        there = [one for one in prompts if one.turns[-1].content in whole and one.turns[-3].content in whole]
        assert there, whole
        said = [turn.content for turn in there[0].turns if turn.role != "system"]
        places = [whole.rindex(text) for text in said]
        assert places == sorted(places)
        roles = [turn.role for turn in request.messages or ()]
        assert "system" not in roles[1:]
        assert roles[-1] == "user"
        assert all(one != other for one, other in pairwise(roles))


def test_a_policy_answers_the_conversation_as_it_stands(finished: Path, asked: list[Request]) -> None:
    """Initial responses, pairs and answers of the evaluation are drawn from the turns alone."""
    plain = {request.messages for request in asked if isinstance(request, CompletionRequest) and not request.n_shared}
    assert {prompt.turns for prompt in _prompts(finished).values()} <= plain


def test_a_judge_reads_a_transcript(finished: Path, asked: list[Request]) -> None:
    """The question shows who said what, the system text too."""
    helpful = next(one for one in _prompts(finished).values() if one.kind == "helpful")
    talk = (
        f"Consider this conversation:\n\nSystem: {BRIEF}\n\nHuman: {helpful.turns[1].content}\n\nAssistant: "
        f"{helpful.turns[2].content}\n\nHuman: And\n\ntwice that?\n\n"
    )
    questions = [_texts(request)[-1] for request in asked if isinstance(request, ChoiceRequest)]
    assert any(question.startswith(talk) for question in questions)


def test_a_life_shows_each_turn(finished: Path) -> None:
    """``charter show`` names who said what, where there is more than one turn."""
    prompt = next(one for one in _prompts(finished).values() if one.kind == "helpful")
    shown = view_life(find_row(finished, prompt.id), colours=False).plain
    start = (
        f"\n  system\n    {BRIEF}\n  user\n    {prompt.turns[1].content}\n  assistant\n    {prompt.turns[2].content}\n"
        "  user\n    And\n    \n    twice that?\n  reference\n"
    )
    assert start in shown


def test_the_report_shows_each_turn(finished: Path) -> None:
    """The rows of the report's browser hold the turns with their roles."""
    rows = rows_in(Page((finished / "report.html").read_text("utf-8")))
    turns = [[role, rows["texts"][text]] for life in rows["lives"] for role, text in life["turns"]]
    assert ["user", "My neighbour 0 plays loud music."] in turns
    assert ["assistant", "That is tiring.\n\nHave you asked?"] in turns
