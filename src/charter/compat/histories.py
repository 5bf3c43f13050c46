"""What was asked and answered about one prompt, under the keys of the answer-improvement library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeGuard, TypeVar

from charter.constitution.model import Constitution
from charter.errors import UserError
from charter.feedback.settling import is_tie, judged_of
from charter.records import Preference, Trace, Unlabelled

RowT_co = TypeVar("RowT_co", covariant=True)

_LETTERS = {"a": "(A)", "b": "(B)"}


class History(Mapping[str, str], Generic[RowT_co]):
    """Texts by their keys, as that library's dictionaries have them; ``dict(history)`` gives one that JSON holds.

    Attributes:
        row: Charter's own row behind them, with ids, quality flags, verdicts and probabilities.
    """

    def __init__(self, row: RowT_co, texts: Mapping[str, str]) -> None:
        self.row = row
        self._texts = dict(texts)

    def __getitem__(self, key: str) -> str:
        return self._texts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return repr(self._texts)


Improved = History[Trace]
Compared = History[Preference | Unlabelled]


def improved(trace: Trace) -> Improved:
    """Tell of an answer that was criticised and revised once."""
    (one,) = trace.rounds
    return History(
        trace,
        {
            "id": trace.prompt.id,
            "user_prompt": trace.prompt.turns[-1].content,
            "initial_answer": trace.initial,
            "critique_principle": one.critique_request,
            "critique": one.critique,
            "revision_principle": one.revision_request,
            "revision": one.revision,
        },
    )


def compared(found: Preference | Unlabelled, principles: Constitution) -> Compared:
    """Tell of two answers that were compared by one principle.

    The chain of thought is that of the order that is shown, empty where none was asked for or drawn. The selected
    answer is what both orders came to, empty where they prefer neither or no verdict could be read.
    """
    judged = judged_of(found)
    shown = next(one for one in judged.verdicts if one.order == "ab")
    questions = {one.id: one.choice_question for one in principles.principles}
    return History(
        found,
        {
            "id": judged.prompt.id,
            "user_prompt": judged.prompt.turns[-1].content,
            "comparison_answer_1": judged.a,
            "comparison_answer_2": judged.b,
            "comparison_principle": questions[shown.principle],
            "chain_of_thought": next(iter(shown.chains), ""),
            "selected_answer": _LETTERS[found.chosen_side] if prefers(found) else "",
        },
    )


def prefers(found: Preference | Unlabelled) -> TypeGuard[Preference]:
    """Tell whether one of two answers is preferred at all."""
    return isinstance(found, Preference) and not is_tie(found.p_chosen)


def rows_of(responses: Iterable[Any], *kinds: type[Any]) -> list[Any]:
    """Give Charter's rows behind what a loop gave.

    Args:
        responses: of the loop.
        kinds: of row that it gives.

    Raises:
        UserError: for what it did not give.
    """
    found = list(responses)
    if not all(isinstance(one, History) and isinstance(one.row, kinds) for one in found):
        raise UserError("these are no responses of this loop; hand on the list that it gave, not copies made by dict")
    return [one.row for one in found]
