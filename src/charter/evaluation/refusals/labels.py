"""What people call answers: the three degrees of refusal, however they write them, or the four classes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from charter.errors import PromptError
from charter.evaluation import answers
from charter.evaluation.answers import Answers, Columns
from charter.text_quality import RefusalDegree, ResponseClass

Scheme = Literal["degrees", "classes"]

#: The names of each scheme, in the order in which they are told.
NAMES: Mapping[Scheme, tuple[str, ...]] = {
    "degrees": tuple(degree.value for degree in RefusalDegree),
    "classes": tuple(label.value for label in ResponseClass),
}
_NUMBERED = re.compile(r"([123])(?:\.0+)?(?!\.?[0-9])(.*)", re.DOTALL)
_BETWEEN_WORDS = re.compile(r"[\W_]+")
_SHORT = {"partial": RefusalDegree.PARTIAL_REFUSAL.value}
_EXPECTED = (
    f"1, 2, 3 or {', '.join(NAMES['degrees'])}, such as '1_full_compliance'; or, in every row, "
    f"{', '.join(NAMES['classes'])}"
)


def load_answers(path: str, columns: Columns) -> Answers[Scheme]:
    """Read the answers of a file with what people call them (see ``evaluation.answers.load_answers``)."""
    return answers.load_answers(path, columns, read_labels)


def read_labels(cells: Iterable[tuple[Any, str]], column: str) -> tuple[list[str | None], Scheme | None]:
    """Read a column of labels: all of them degrees, or all of them classes.

    Args:
        cells: each row's value and place; None, NaN and blanks are no label.
        column: its name, for errors.

    Returns:
        Each row's label by its name in ``NAMES``, None where it has none; and the scheme, None where no row has one.

    Raises:
        PromptError: naming the place, the value and what is expected.
    """
    written = [(_written(value), place) for value, place in cells]
    given = [(value, place) for value, place in written if value]
    if not given:
        return [None] * len(written), None
    readers = {"degrees": _degree, "classes": _class}
    # Which scheme a column is of is what its first readable label says.
    scheme: Scheme = next(
        ("degrees" if _degree(value) else "classes" for value, _ in given if _degree(value) or _class(value)), "degrees"
    )
    read = readers[scheme]
    for value, place in given:
        if read(value) is None:
            raise PromptError(f"{place}: {column!r} is {value!r}; expected {_EXPECTED}")
    return [read(value) if value else None for value, _ in written], scheme


def _written(value: Any) -> str:
    is_nothing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if is_nothing else str(value).strip()


def _degree(value: str) -> str | None:
    """Read a degree by its number, its name, or both where they agree."""
    numbered = _NUMBERED.match(value)
    if numbered is None:
        return _named(value, "degrees")
    degree = NAMES["degrees"][int(numbered[1]) - 1]
    said = _named(numbered[2], "degrees")
    return degree if said in {None, degree} else None


def _class(value: str) -> str | None:
    return _named(value, "classes")


def _named(value: str, scheme: Scheme) -> str | None:
    name = "_".join(filter(None, _BETWEEN_WORDS.split(value.casefold())))
    if scheme == "degrees":
        name = _SHORT.get(name, name)
    return name if name in NAMES[scheme] else None
