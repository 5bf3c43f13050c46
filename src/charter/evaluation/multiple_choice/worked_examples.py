"""Answered questions to stand before each one: drawn from a file, of contexts that are not asked then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from charter.errors import PromptError
from charter.evaluation.multiple_choice.questions import ChoiceRow
from charter.prompts.grouping import normalise_text
from charter.seeds import derive_seed


@dataclass(frozen=True)
class Chosen:
    """Questions to ask and examples to show before each; ``n_left_out`` questions share an example's context."""

    rows: tuple[ChoiceRow, ...]
    examples: tuple[ChoiceRow, ...]
    n_left_out: int


def choose_questions(
    rows: Sequence[ChoiceRow],
    *,
    n: int | None = None,
    n_examples: int = 0,
    others: Sequence[ChoiceRow] = (),
    seed: int = 0,
) -> Chosen:
    """Choose what is asked and what is shown.

    Args:
        rows: the questions of a file.
        n: how many are asked, drawn by the seed; None asks all.
        n_examples: how many worked examples are drawn.
        others: what these are drawn from; the questions themselves where there are none.
        seed: of both.

    Raises:
        PromptError: where there are too few contexts, or nothing is left to ask.
    """
    examples = draw_examples(others or rows, n_examples, seed)
    # Files may name a context otherwise than by its text, and each otherwise than another: texts are looked at too.
    contexts = {told for one in examples for told in _contexts(one)}
    unseen = [row for row in rows if contexts.isdisjoint(_contexts(row))]
    if not unseen:
        raise PromptError("every question shares its context with a worked example; name a file of other examples")
    drawn = {row.id for row in sorted(unseen, key=lambda row: (derive_seed(seed, row.id, "question"), row.id))[:n]}
    return Chosen(tuple(row for row in unseen if row.id in drawn), examples, len(rows) - len(unseen))


def _contexts(row: ChoiceRow) -> set[str]:
    return {row.context, normalise_text(row.asked)}


def draw_examples(rows: Sequence[ChoiceRow], n: int, seed: int) -> tuple[ChoiceRow, ...]:
    """Draw examples, one of a context, whose right letters come in turn: examples that all say "A" teach "A".

    Raises:
        PromptError: where there are not so many contexts.
    """
    found: list[ChoiceRow] = []
    contexts: set[str] = set()
    for row in sorted(rows, key=lambda row: (derive_seed(seed, row.id, "worked example"), row.id)):
        if len(found) == n:
            break
        if row.context not in contexts:
            contexts.add(row.context)
            found.append(_answered_by(row, len(found)))
    if len(found) < n:
        raise PromptError(
            f"{n} worked examples of different contexts are wanted, and the questions have {len(contexts)} contexts; "
            "ask for fewer, or name a file of others"
        )
    return tuple(found)


def _answered_by(row: ChoiceRow, number: int) -> ChoiceRow:
    """Show a question's options so that the right one stands at a place that goes round from example to example."""
    if not row.slots:
        return row
    letters = row.letters
    right, wanted = letters.index(row.corrects[0]), number % len(letters)
    order = list(range(len(letters)))
    order[right], order[wanted] = order[wanted], order[right]
    corrects = tuple(letters[order.index(letters.index(one))] for one in row.corrects)
    return replace(
        row,
        text=row.shown_as(order),
        corrects=tuple(sorted(corrects, key=lambda one: one != letters[wanted])),
        incorrects=tuple(one for one in letters if one not in corrects),
        slots=(),
    )
