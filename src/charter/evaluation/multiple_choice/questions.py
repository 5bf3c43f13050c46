"""Questions with options: read from files, with the places where each option's text stands."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from charter.errors import PromptError
from charter.prompts.grouping import normalise_text
from charter.prompts.json_rows import read_json_task
from charter.prompts.reading import SourceRow, read_rows
from charter.prompts.text_files import file_kind
from charter.seeds import row_id

OPENING = " ("  # a question ends with it, so that the letter is the next token
_CUE = re.compile(r"\n[^\n]*(?:[:?]|\bis)\s*$")  # a last line that asks for the answer, such as "Answer:"
_HEADING = re.compile(r"(?:^|\n)\s*(?:options|choices|answers)\s*:?\s*$", re.IGNORECASE)
_LAYOUTS = (
    "{prompt, corrects, incorrects}; a BIG-bench task of {examples: [{input, target_scores}]}; "
    "{question, choices, answer}"
)


@dataclass(frozen=True)
class ChoiceRow:
    """A question whose text ends where the answer begins, with the letters that are right and wrong.

    Attributes:
        id: of the row.
        text: the question with its options, and the answer's opening bracket.
        corrects: the letters that are right.
        incorrects: the letters that are wrong.
        context: questions of one context ask about the same thing; they are resampled together.
        slots: where each option's text stands in ``text``, in the order of the letters; empty where the question does
            not show a line for each.
        conversations: the whole conversation that each option makes, in the order of the letters; empty where the file
            holds none.
    """

    id: str
    text: str
    corrects: tuple[str, ...]
    incorrects: tuple[str, ...]
    context: str = ""
    slots: tuple[tuple[int, int], ...] = ()
    conversations: tuple[str, ...] = ()

    @property
    def letters(self) -> tuple[str, ...]:
        """All letters, in the order of the alphabet: were the right ones first, no preference would be right."""
        return tuple(sorted((*self.corrects, *self.incorrects)))

    @property
    def options(self) -> tuple[str, ...]:
        """The options' texts by letter; empty where the question does not show them."""
        return tuple(self.text[first:last] for first, last in self.slots)

    @property
    def asked(self) -> str:
        """What is asked, without the options and their heading."""
        return _before_options(self.text.removesuffix(OPENING), self.letters)

    def shown_as(self, order: Sequence[int]) -> str:
        """Show the options in another order under the same letters: at each place the option of that number."""
        text, options = self.text, self.options
        for place in reversed(range(len(self.slots))):
            first, last = self.slots[place]
            text = f"{text[:first]}{options[order[place]]}{text[last:]}"
        return text


def load_choices(path: str) -> list[ChoiceRow]:
    """Read questions in any of three layouts.

    JSON lines of ``{prompt, corrects, incorrects}`` whose options are letters such as ``" (A)"``, with the whole
    conversations in ``text_correct`` and ``text_incorrect`` where there are any; a BIG-bench task of
    ``{examples: [{input, target_scores}]}``; rows of ``{question, choices, answer}``, as the tasks of lm-eval have
    them. A row's context is its optional ``context``, else what stands before the options.

    Raises:
        PromptError: naming the line and what is wrong.
    """
    return [read_choice(row) for row in _task_rows(Path(path)) or read_rows(path)]


def _task_rows(path: Path) -> list[SourceRow]:
    """Read the examples of a BIG-bench task, each behind the task's prefix; none where the file is no such task."""
    task = read_json_task(path, "examples") if path.is_file() and file_kind(path) == ".json" else None
    if task is None:
        return []
    told, rows = task
    prefix = told.get("task_prefix") or ""
    if not isinstance(prefix, str):
        raise PromptError(f"{path}: 'task_prefix' is {type(prefix).__name__}; expected a text")
    return [replace(row, values=row.values | {"input": f"{prefix}{_text(row, 'input')}"}) for row in rows]


def read_choice(row: SourceRow) -> ChoiceRow:
    """Read one question, in whichever of the layouts of ``load_choices`` it is.

    Raises:
        PromptError: naming the row's place and what is wrong.
    """
    if "target_scores" in row.values:
        return _of_scores(row)
    if "choices" in row.values:
        return _of_choices(row)
    return _of_letters(row)


def _of_letters(row: SourceRow) -> ChoiceRow:
    values = row.values
    for name in ("prompt", "corrects", "incorrects"):
        if name not in values:
            raise PromptError(f"{row.place}: {name!r} is missing; a row is {_LAYOUTS}")
    text = _text(row, "prompt").rstrip()
    letters = {name: _letters(values[name], name, row) for name in ("corrects", "incorrects")}
    if not letters["corrects"] or not letters["incorrects"]:
        raise PromptError(f"{row.place}: at least one option must be right and one wrong")
    options = (*letters["corrects"], *letters["incorrects"])
    if len(set(options)) != len(options):
        raise PromptError(f"{row.place}: a letter occurs twice in {', '.join(options)}; each option has its own")
    return _made(row, text, letters["corrects"], letters["incorrects"])


def _of_scores(row: SourceRow) -> ChoiceRow:
    """Read BIG-bench's layout: what is right has the highest score."""
    scores = row.values["target_scores"]
    if not isinstance(scores, Mapping) or not all(_is_number(one) for one in scores.values()):
        raise PromptError(f"{row.place}: 'target_scores' is {scores!r}; expected {{option: number}}")
    if len(set(scores.values())) < 2:
        raise PromptError(f"{row.place}: 'target_scores' tells no right option from a wrong one")
    best = max(scores.values())
    return _shown(row, _text(row, "input"), list(scores), {n for n, one in enumerate(scores.values()) if one == best})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _of_choices(row: SourceRow) -> ChoiceRow:
    """Read ``{question, choices, answer}``: the answer is a number counted from 0, a letter or a choice's text."""
    name = next((one for one in ("question", "query", "input", "prompt") if one in row.values), "question")
    choices = row.values["choices"]
    labels: Any = None
    if isinstance(choices, dict):
        labels = choices.get("label")
        choices = choices.get("text")
    if not isinstance(choices, list) or not all(isinstance(one, str) for one in choices):
        raise PromptError(f"{row.place}: 'choices' is {choices!r}; expected a list of texts")
    key = next((one for one in ("answer", "gold", "answerKey", "label") if row.values.get(one) is not None), None)
    if key is None:
        raise PromptError(f"{row.place}: 'answer' is missing; give a choice's number from 0, letter or text")
    names = list(ascii_uppercase[: len(choices)]) if labels is None else _labels(row, labels, choices)
    return _shown(row, _text(row, name), choices, {_number(row, row.values[key], choices, names)})


def _labels(row: SourceRow, labels: Any, choices: Sequence[str]) -> list[Any]:
    """Check what a file itself calls its choices: letters, or numbers of any kind."""
    if not isinstance(labels, list) or len(labels) != len(choices):
        raise PromptError(f"{row.place}: 'label' of 'choices' is {labels!r}; expected one for each of {len(choices)}")
    return labels


def _number(row: SourceRow, answer: Any, choices: Sequence[str], names: Sequence[Any]) -> int:
    if isinstance(answer, int) and not isinstance(answer, bool):
        if answer in names:  # labels may be numbers themselves, and begin with 1
            return names.index(answer)
        if 0 <= answer < len(choices):
            return answer
    for known in (choices, names):
        if answer in known:
            return known.index(answer)
    if str(answer).isdecimal() and int(answer) < len(choices):
        return int(answer)
    raise PromptError(f"{row.place}: the answer {answer!r} is none of the {len(choices)} choices")


def _shown(row: SourceRow, question: str, options: Sequence[str], right: set[int]) -> ChoiceRow:
    """Show options that a file keeps apart from the question, a line each."""
    if not 2 <= len(options) <= len(ascii_uppercase):
        raise PromptError(f"{row.place}: has {len(options)} options; expected 2 to {len(ascii_uppercase)}")
    if blank := [one for one in options if not one.strip()]:
        raise PromptError(f"{row.place}: the option {blank[0]!r} says nothing")
    letters = ascii_uppercase[: len(options)]
    text, slots = f"{question.rstrip()}\n\nOptions:", []
    for letter, option in zip(letters, options, strict=True):
        text += f"\n({letter}) "
        slots.append((len(text), len(text) + len(option.strip())))
        text += option.strip()
    corrects = tuple(letter for number, letter in enumerate(letters) if number in right)
    incorrects = tuple(letter for number, letter in enumerate(letters) if number not in right)
    if not incorrects:
        raise PromptError(f"{row.place}: at least one option must be right and one wrong")
    return _made(row, f"{text}\n\nAnswer:", corrects, incorrects, tuple(slots))


def _made(
    row: SourceRow,
    text: str,
    corrects: tuple[str, ...],
    incorrects: tuple[str, ...],
    slots: tuple[tuple[int, int], ...] | None = None,
) -> ChoiceRow:
    letters, own = sorted((*corrects, *incorrects)), row.values.get("context")
    return ChoiceRow(
        row_id("choice", Path(row.place).name, text),  # the same from whatever folder the file is named
        f"{text}{OPENING}",
        corrects,
        incorrects,
        context=normalise_text(_before_options(text, letters)) if own in {None, ""} else str(own),
        slots=_slots(text, letters) if slots is None else slots,
        conversations=_conversations(row, corrects, letters),
    )


def _conversations(row: SourceRow, corrects: Sequence[str], letters: Sequence[str]) -> tuple[str, ...]:
    """Read the conversations of a row with two options: the right one's and the wrong one's."""
    names = ("text_correct", "text_incorrect")
    if len(letters) != 2 or not all(row.values.get(name) for name in names):
        return ()
    right, wrong = (_text(row, name) for name in names)
    return (right, wrong) if corrects[0] == letters[0] else (wrong, right)


def _text(row: SourceRow, name: str) -> str:
    value = row.values.get(name)
    if not isinstance(value, str):
        raise PromptError(f"{row.place}: {name!r} is {type(value).__name__}; expected a text")
    return value


def _marker(letters: Sequence[str]) -> str:
    one = "|".join(letters)
    return rf"^[^\S\n]*(?:\((?:{one})\)|(?:{one})[.):])"


def _before_options(text: str, letters: Sequence[str]) -> str:
    """Take what stands before the options and their heading; the whole text where nothing does."""
    first = re.search(_marker(letters), text, re.MULTILINE)
    before = text[: first.start()].rstrip() if first else ""
    return _HEADING.sub("", before).rstrip() or text


def _slots(text: str, letters: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Find each option's text: from its letter to the next one's, the last one's to a line that asks for the answer."""
    begins = []
    at = 0
    for letter in letters:
        found = re.compile(rf"{_marker([letter])}[^\S\n]*", re.MULTILINE).search(text, at)
        if found is None:
            return ()
        begins.append((found.start(), found.end()))
        at = found.end()
    last = len(text)
    if (cue := _CUE.search(text, at)) is not None:
        last = cue.start()
    ends = [first for first, _ in begins[1:]] + [last]
    slots = tuple((first, first + len(text[first:end].rstrip())) for (_, first), end in zip(begins, ends, strict=True))
    return slots if all(first < end for first, end in slots) else ()


def _letters(options: Any, name: str, row: SourceRow) -> tuple[str, ...]:
    if not isinstance(options, list):
        raise PromptError(f"{row.place}: {name!r} is {options!r}; expected a list of letters such as [' (A)']")
    return tuple(_letter(option, row) for option in options)


def _letter(option: Any, row: SourceRow) -> str:
    letter = str(option).strip().removeprefix("(").removesuffix(")")
    if len(letter) != 1 or not letter.isalpha():
        raise PromptError(f"{row.place}: the option {option!r} is not a letter such as ' (A)'")
    return letter
