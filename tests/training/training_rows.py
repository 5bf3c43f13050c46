"""Rows for the training tests."""

from __future__ import annotations

from charter.records import Preference, SftRow, make_prompt

RESPONSES = (
    "I would rather explain why I object than refuse without a word.",
    "First clean the chain, then count the links.",
    "Keep the lamps lit.",
    "Ask which question was hardest, and why; then write three more on the board for the class to answer at home.",
    "No.",
    "A harbour is a safer place at night, when the boats find their way by the lamps.",
    "The second one is better, because it helps without doing harm.",
)


def sft_rows(n: int) -> list[SftRow]:
    """Make rows of various lengths."""
    return [
        SftRow(
            id=f"row-{number}",
            prompt=make_prompt(f"Question {number}: what now?" + " And then?" * (number % 4), "helpful"),
            response=f"{RESPONSES[number % len(RESPONSES)]} ({number})",
            origin="reference",
        )
        for number in range(n)
    ]


def preference(number: int, p_chosen: float = 0.8, **fields: str) -> Preference:
    """Make one judged pair."""
    responses = {
        "chosen": f"{RESPONSES[number % len(RESPONSES)]} ({number})",
        "rejected": f"{RESPONSES[(number + 3) % len(RESPONSES)]}",
    }
    return Preference(
        id=f"preference-{number}",
        prompt=make_prompt(f"Question {number}: what now?" + " And then?" * (number % 4), "red_team"),
        **{**responses, **fields},
        p_chosen=p_chosen,
        source="on_policy",
        verdicts=(),
        pair=f"pair-{number}",
        chosen_side="a",
        p_judge=p_chosen,
        position_bias=0.0,
    )


def preferences(n: int) -> list[Preference]:
    """Make judged pairs with labels from 0.5 to 1."""
    return [preference(number, 0.5 + 0.5 * number / max(1, n - 1)) for number in range(n)]
