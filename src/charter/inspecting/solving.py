"""The solver of questions with options: a model is asked in both orders, and what it says is read by Charter."""

from __future__ import annotations

from inspect_ai.model import ModelOutput, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver

from charter.evaluation.harm import load_questions
from charter.evaluation.multiple_choice import (
    Asking,
    ChoiceAnswer,
    ChoiceRow,
    OptionReading,
    answer_one,
    answered,
    choose_questions,
)
from charter.inspecting.lending import InspectEngine

ANSWER = "charter_answer"  # where a sample's store has what was read
_IN_CHAT = Asking(layout="chat")


@solver
def ask_in_both_orders(file: str, n: int | None, seed: int, logprobs: bool) -> Solver:
    """Ask each question in the order of the file and in the reverse one.

    Args:
        file: of the questions, or a built-in name.
        n: of them, drawn by the seed; None asks all.
        seed: of the questions drawn.
        logprobs: whether to read the letters' log-probabilities where the provider tells them.
    """
    rows = {row.id: row for row in drawn_questions(file, n, seed)}

    async def solve(state: TaskState, _: Generate) -> TaskState:
        row = rows[str(state.sample_id)]
        found = await answer_one(row, InspectEngine(get_model(), logprobs), _IN_CHAT)
        readable = answered(row, [one for one in found.readings if one.mass])
        votes = [_vote(row, one) for one in found.readings]
        state.store.set(ANSWER, {
            "correct": readable.correct,
            "votes": votes,
            "p": dict(zip(readable.options, readable.p, strict=True)) if readable.p else {},
            "read_as": _read_as(found),
        })  # fmt: skip
        state.output = ModelOutput.from_content(str(state.model), ", ".join(str(one) for one in votes))
        return state

    return solve


def drawn_questions(file: str, n: int | None, seed: int) -> tuple[ChoiceRow, ...]:
    """Give the questions that are asked: of a file or a built-in name, ``n`` of them drawn by the seed."""
    return choose_questions(load_questions(file), n=n, seed=seed).rows


def _vote(row: ChoiceRow, reading: OptionReading) -> str | None:
    """Name the option that one order's answer is for, by the letter that it has in the file."""
    if not reading.mass:
        return None
    return row.letters[reading.logits.index(max(reading.logits))]


def _read_as(answer: ChoiceAnswer) -> str:
    return "log-probabilities" if any(0 < (one.mass or 0.0) < 1 for one in answer.readings) else "letters in text"
