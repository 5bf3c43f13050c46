"""Multiple choice by log-prob: the likeliest option letter is the answer (CAI §2)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.constitution.model import Constitution
from charter.engines.base import ChoiceRequest, Engine
from charter.errors import PromptError
from charter.evaluation.measuring import measure
from charter.prompts.contamination import find_seen
from charter.prompts.grouping import normalise_text
from charter.prompts.reading import SourceRow, read_rows
from charter.prompts.selection import shown_contexts
from charter.records import Measurement, Prompt, Record
from charter.rows import Mapped, RowMapper
from charter.seeds import row_id

_OPENING = " ("  # a question ends with it, so that the letter is the next token


@dataclass(frozen=True)
class ChoiceRow:
    """A question whose text ends where the answer begins, with the letters that are right and wrong.

    Questions of one ``context`` ask about the same thing; they are resampled together.
    """

    id: str
    text: str
    corrects: tuple[str, ...]
    incorrects: tuple[str, ...]
    context: str = ""


class ChoiceAnswer(Record):
    """A model's reading of one question: log-probabilities by option, and whether the likeliest is right."""

    id: str
    options: tuple[str, ...]
    logprobs: tuple[float, ...]
    mass: float
    correct: bool


def load_choices(path: str) -> list[ChoiceRow]:
    """Read JSON lines of ``{prompt, corrects, incorrects}`` whose options are letters such as ``" (A)"``.

    A row's context is its optional ``context``, else its prompt before the first line that begins with an option.

    Raises:
        PromptError: naming the line and what is wrong.
    """
    return [_row(row) for row in read_rows(path)]


def _row(row: SourceRow) -> ChoiceRow:
    values = row.values
    for name in ("prompt", "corrects", "incorrects"):
        if name not in values:
            raise PromptError(f"{row.place}: {name!r} is missing; a row is {{prompt, corrects, incorrects}}")
    if not isinstance(values["prompt"], str):
        raise PromptError(f"{row.place}: 'prompt' is {type(values['prompt']).__name__}; expected a text")
    letters = {name: _letters(values[name], name, row) for name in ("corrects", "incorrects")}
    if not letters["corrects"] or not letters["incorrects"]:
        raise PromptError(f"{row.place}: at least one option must be right and one wrong")
    options = (*letters["corrects"], *letters["incorrects"])
    if len(set(options)) != len(options):
        raise PromptError(f"{row.place}: a letter occurs twice in {', '.join(options)}; each option has its own")
    text = values["prompt"].rstrip()
    return ChoiceRow(
        row_id("choice", Path(row.place).name, text),  # the same from whatever folder the file is named
        f"{text}{_OPENING}",
        letters["corrects"],
        letters["incorrects"],
        context=str(values.get("context") or _context(text, options)),
    )


def _context(text: str, options: Sequence[str]) -> str:
    """Take what stands before the options, normalised; the whole where nothing does, or no line begins with one."""
    first = re.search(rf"^\s*(?:\((?:{'|'.join(options)})\)|(?:{'|'.join(options)})[.):])", text, re.MULTILINE)
    before = text[: first.start()] if first else ""
    return normalise_text(before if before.strip() else text)


def _letters(options: Any, name: str, row: SourceRow) -> tuple[str, ...]:
    if not isinstance(options, list):
        raise PromptError(f"{row.place}: {name!r} is {options!r}; expected a list of letters such as [' (A)']")
    return tuple(_letter(option, row) for option in options)


def _letter(option: Any, row: SourceRow) -> str:
    letter = str(option).strip().removeprefix("(").removesuffix(")")
    if len(letter) != 1 or not letter.isalpha():
        raise PromptError(f"{row.place}: the option {option!r} is not a letter such as ' (A)'")
    return letter


def asked_in(path: str) -> list[str]:
    """Read what the questions of a file ask, without their options: what no training prompt may ask.

    Raises:
        PromptError: naming the line and what is wrong.
    """
    return [_asked(row) for row in load_choices(path)]


def _asked(row: ChoiceRow) -> str:
    return _context(row.text.removesuffix(_OPENING), (*row.corrects, *row.incorrects))


def seen_texts(constitutions: Iterable[Constitution], trained_on: Iterable[Prompt]) -> dict[str, list[str]]:
    """Gather what a run has shown already, by where: in the constitutions' few-shot examples, in training prompts."""
    return {
        "a few-shot example": shown_contexts(constitutions),
        "a training prompt": [prompt.text for prompt in trained_on],
    }


def leave_out_seen(
    rows: Sequence[ChoiceRow], seen: Mapping[str, Iterable[str]], near_duplicates: float | None = None
) -> tuple[list[ChoiceRow], dict[str, int]]:
    """Leave out questions whose context was seen before, in whatever dress.

    A context that the file names by something else than its text does not hide the text: that is looked at too.

    Args:
        rows: the questions.
        seen: texts by where they were seen (see ``seen_texts``).
        near_duplicates: how much a context and a text must resemble each other; None goes by those that differ in
            writing alone.

    Returns:
        The other questions, and how many were left out, by reason.

    Raises:
        PromptError: for a threshold out of bounds.
    """
    shown = [(text, place) for place, texts in seen.items() for text in texts]
    asked = [*map(_asked, rows), *(row.context for row in rows)]  # each row's text, then each row's context
    found = find_seen(asked, [text for text, _ in shown], near_duplicates)
    places = {one.index % len(rows): shown[one.other][1] for one in reversed(found)}
    left_out = Counter(f"shares its context with {place}" for place in places.values())
    return [row for number, row in enumerate(rows) if number not in places], dict(left_out)


async def answer_one(row: ChoiceRow, engine: Engine) -> ChoiceAnswer:
    """Read the letters' log-probabilities after the question's opening bracket, in one forward pass.

    Letters stand in the order of the alphabet, so that of equally likely ones the first counts: were the right ones
    first, a model with no preference would be right every time.
    """
    options = tuple(sorted((*row.corrects, *row.incorrects)))
    choice = await engine.choose(ChoiceRequest(text=row.text, options=options))
    best = max(range(len(options)), key=lambda index: choice.logprobs[index])
    return ChoiceAnswer(
        id=row.id,
        options=options,
        logprobs=choice.logprobs,
        mass=choice.mass,
        correct=options[best] in row.corrects,
    )


def answer(
    rows: Sequence[ChoiceRow], model: str, engine: Engine, *, file: str, mapper: RowMapper
) -> Mapped[ChoiceAnswer]:
    """Answer every question of a file with one model."""

    async def one(row: ChoiceRow) -> ChoiceAnswer:
        return await answer_one(row, engine)

    return mapper(one, rows, f"evaluate/choice {Path(file).name}/{model}", result=ChoiceAnswer)


def measure_accuracy(
    file: str, rows: Sequence[ChoiceRow], answers: Mapping[str, Sequence[ChoiceAnswer]], *, base: str
) -> list[Measurement]:
    """Measure each model's share of right answers on one file; questions of one context are resampled together.

    Where all questions have the same context it is an instruction, and they count as independent.
    """
    contexts = {row.id: row.context for row in rows}
    values = {model: {one.id: float(one.correct) for one in found} for model, found in answers.items()}
    name = f"multiple_choice:{Path(file).name}"
    groups = contexts if len(set(contexts.values())) > 1 else None
    return measure(name, values, subset=Path(file).name, base=base, better="higher", rows=file, groups=groups)
