"""Asking a model for rows with named text fields, in one of two forms; a malformed answer is repaired.

- ``json``: a JSON array of objects, described in the request: for models that follow instructions.
- ``labelled``: lines such as ``Prompt: ...``, a blank line between rows, worked examples in the same form: what a model
  of 135 million parameters can follow, through its chat template or as raw text that only has to be gone on with.

The system text and the worked examples come first and are the same in every request of a stage, so that engines compute
them once. There is no constrained decoding: answers are read tolerantly (``answers``), and what is lost is counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from charter.authoring.answers import TOO_FEW, AnswerRows, FormName, TextField, count_reasons, read_rows
from charter.engines.base import CompletionRequest, Engine, Sampling
from charter.records import Message
from charter.seeds import canonical_json, derive_seed

LayoutName = Literal["auto", "chat", "text"]
Check = Callable[[Mapping[str, str]], "str | None"]

_EXAMPLE_END = "####"
_MAX_SHOWN = 4_000  # characters of a malformed answer that are shown when it is to be repaired
_MAX_REASONS = 3
_EMPTY_ARRAY = re.compile(r"\[\s*\]")


@dataclass(frozen=True)
class WorkedExample:
    """Rows as they should be, and what was asked for to get them."""

    about: str
    rows: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Asked:
    """What is asked for, before it takes a form.

    Args:
        system: who writes, and what for; the same for every row of a stage.
        task: what to write this time, in whole sentences.
        about: the same in a few labelled lines, as the worked examples have them.
        fields: what each row holds.
        n: how many rows.
        at_most: whether fewer rows, or none, are a whole answer too.
        examples: rows as they should be.
        opening: words that the first field begins with, where labelled lines are gone on with as raw text: a small
            model that has to begin by itself answers instead of asking.
    """

    system: str
    task: str
    about: str
    fields: tuple[TextField, ...]
    n: int = 1
    examples: tuple[WorkedExample, ...] = ()
    opening: str = ""
    at_most: bool = False


@dataclass(frozen=True)
class Asking:
    """How rows are asked for, the same for every row of a stage.

    Args:
        form: ``json`` or ``labelled``.
        layout: ``chat`` goes through the model's template, ``text`` is raw; ``auto`` takes raw text for labelled lines
            where the engine reads it, and for models without a template.
        temperature: of every completion.
        top_p: nucleus kept at each token.
        max_tokens: at most, for each row that is asked for.
        n_repairs: how often an answer without one whole row is asked for again, at most.
        seed: of the run; each row derives its own.
    """

    form: FormName = "json"
    layout: LayoutName = "auto"
    temperature: float = 0.7
    top_p: float = 0.9
    max_tokens: int = 384
    n_repairs: int = 1
    seed: int = 0


def stage_of_tries(stage: str, n_tries: int) -> str:
    """Name a stage after how often it asks for rows: where it asks more often, what had no row is asked on.

    What was answered before is remembered by request, so that nothing is asked twice.
    """
    return f"{stage}, {n_tries} tries"


#: What stands in a constitution is not to vary much.
DRAFTING = Asking(temperature=0.3)


@dataclass(frozen=True)
class Answered:
    """What came of one request: whole rows, the reasons of those that are missing, and how many repairs it took."""

    rows: tuple[dict[str, str], ...]
    lost: dict[str, int]
    n_repairs: int = 0

    @property
    def repaired(self) -> bool:
        """Whether it was asked for again."""
        return self.n_repairs > 0

    @property
    def reason(self) -> str:
        """Why there is no row: the most frequent reason."""
        return next(iter(self.lost), "")


async def ask_for_rows(engine: Engine, asked: Asked, asking: Asking, row: str, check: Check | None = None) -> Answered:
    """Ask for rows, and again where the answer holds none that is whole.

    Args:
        engine: who writes.
        asked: what.
        asking: how.
        row: the row's id, from which the seeds derive.
        check: looks at a whole row, and gives the reason why it cannot be kept.

    Raises:
        EngineError: where the engine failed. No answer raises, however malformed.
    """
    request = rows_request(engine, asked, asking, derive_seed(asking.seed, row, "rows"))
    read, answer = await _answer(engine, request, asked, asking, check)
    n_repairs = 0
    while not read.rows and read.faults and n_repairs < asking.n_repairs:
        n_repairs += 1
        seed = derive_seed(asking.seed, row, "repair" if n_repairs == 1 else f"repair {n_repairs}")
        again = repair_request(request, asked, asking, answer, read.faults, seed)
        read, answer = await _answer(engine, again, asked, asking, check)
    return Answered(read.rows, count_reasons(read.faults), n_repairs)


async def _answer(
    engine: Engine, request: CompletionRequest, asked: Asked, asking: Asking, check: Check | None
) -> tuple[AnswerRows, str]:
    completion = await engine.complete(request)
    text = completion.text
    if _is_begun(request, asking):
        text = _begun(asked) + text
    read = read_rows(text, asked.fields, asking.form, n=asked.n, cut=completion.finish == "length")
    if asked.at_most:
        read = _no_fewer(read, text)
    return (read if check is None else _checked(read, check)), completion.text


def _no_fewer(read: AnswerRows, text: str) -> AnswerRows:
    """Count no rows as missing that need not be there; an empty array is the answer that there is none."""
    if not read.rows and _EMPTY_ARRAY.search(text):
        return AnswerRows()
    return AnswerRows(read.rows, tuple(fault for fault in read.faults if fault != TOO_FEW))


def _checked(read: AnswerRows, check: Check) -> AnswerRows:
    reasons = [check(row) for row in read.rows]
    kept = tuple(row for row, reason in zip(read.rows, reasons, strict=True) if reason is None)
    return AnswerRows(kept, (*(reason for reason in reasons if reason is not None), *read.faults))


def rows_request(engine: Engine, asked: Asked, asking: Asking, seed: int) -> CompletionRequest:
    """Write the request for some rows."""
    sampling = Sampling(
        max_tokens=asked.n * asking.max_tokens, temperature=asking.temperature, top_p=asking.top_p, seed=seed
    )
    if _reads_text(engine, asking):
        shared, own = _as_text(asked, asking.form)
        stop = (f"\n{_EXAMPLE_END}",) if asking.form == "labelled" else ()
        return CompletionRequest(
            text=shared + own, sampling=sampling.model_copy(update={"stop": stop}), n_shared=len(shared)
        )
    is_held = asking.form == "json" and "schema" in engine.capabilities
    shared_turns, question = _as_turns(asked, asking.form, is_held=is_held)
    return CompletionRequest(
        messages=(*shared_turns, Message(role="user", content=question)),
        sampling=sampling,
        n_shared=len(shared_turns),
        json_schema=_rows_schema(asked) if is_held else None,
    )


def repair_request(  # noqa: PLR0917 - in the order of what happened
    request: CompletionRequest, asked: Asked, asking: Asking, answer: str, faults: Sequence[str], seed: int
) -> CompletionRequest:
    """Write the request that shows a malformed answer and what is wrong with it."""
    shown = answer if len(answer) <= _MAX_SHOWN else f"{answer[:_MAX_SHOWN]} [...]"
    reasons = "; ".join(list(count_reasons(faults))[:_MAX_REASONS])
    complaint = f"That answer cannot be used: {reasons}. Write it again."
    sampling = request.sampling.model_copy(update={"seed": seed})
    if request.messages is not None:
        complaint = f"{complaint} {_form_in_words(asked, asking.form, is_held=request.json_schema is not None)}"
        turns = (Message(role="assistant", content=shown), Message(role="user", content=complaint))
        return CompletionRequest(
            messages=(*request.messages, *turns),
            sampling=sampling,
            n_shared=len(request.messages),
            json_schema=request.json_schema,
        )
    before = request.text or ""
    again = f"{asked.about}\n{_begun(asked)}" if asking.form == "labelled" else "The JSON array:\n"
    text = f"{before}{shown}\n\n{_EXAMPLE_END}\n\n{complaint}\n\n{again}"
    return CompletionRequest(text=text, sampling=sampling, n_shared=len(before))


def _rows_schema(asked: Asked) -> str:
    """Write the schema of the rows. An object stands around them: some servers take no array by itself."""
    row = {
        "type": "object",
        "properties": {one.name: {"type": "string"} for one in asked.fields},
        "required": [one.name for one in asked.fields],
        "additionalProperties": False,
    }
    whole = {
        "type": "object",
        "properties": {"rows": {"type": "array", "items": row}},
        "required": ["rows"],
        "additionalProperties": False,
    }
    return canonical_json(whole)


def _reads_text(engine: Engine, asking: Asking) -> bool:
    if asking.layout == "auto":
        can = engine.capabilities
        return "chat" not in can or (asking.form == "labelled" and "text" in can)
    return asking.layout == "text"


def _is_begun(request: CompletionRequest, asking: Asking) -> bool:
    """Say whether the request ends with the first label, which the answer then lacks."""
    return request.text is not None and asking.form == "labelled"


def _begun(asked: Asked) -> str:
    label = f"{asked.fields[0].label}:"
    return f"{label} {asked.opening}" if asked.opening else label


def _as_turns(asked: Asked, form: FormName, *, is_held: bool) -> tuple[tuple[Message, ...], str]:
    """Write turns: those that are the same in every request, and the last one."""
    if form == "json":
        system = f"{asked.system}\n\n{_form_in_words(asked, form, is_held=is_held)}{_json_examples(asked)}"
        return (Message(role="system", content=system),), f"{asked.task}\n\n{_how_many(asked, 'objects')}"
    turns = [Message(role="system", content=f"{asked.system}\n\n{_form_in_words(asked, form)}")]
    for example in asked.examples:
        turns.append(Message(role="user", content=example.about))
        turns.append(Message(role="assistant", content=labelled_rows(example.rows, asked.fields)))
    return tuple(turns), asked.about if asked.n == 1 else f"{asked.about}\n\n{_how_many(asked, 'rows')}"


def _as_text(asked: Asked, form: FormName) -> tuple[str, str]:
    """Write plain text: what is the same in every request, and the rest, after which the answer follows."""
    if form == "json":
        shared = f"{asked.system}\n\n{_form_in_words(asked, form)}{_json_examples(asked)}\n\n"
        return shared, f"{asked.task}\n\n{_how_many(asked, 'objects')}\n\nThe JSON array:\n"
    examples = "".join(
        f"{example.about}\n{labelled_rows(example.rows, asked.fields)}\n\n{_EXAMPLE_END}\n\n"
        for example in asked.examples
    )
    return f"{asked.system}\n\n{examples}", f"{asked.about}\n{_begun(asked)}"


def _how_many(asked: Asked, what: str) -> str:
    if asked.at_most:
        return (
            f"Write up to {asked.n} {what}, or an empty array."
            if what == "objects"
            else f"Write up to {asked.n} {what}."
        )
    return f"Write {asked.n} {what}." if asked.n > 1 else f"Write one {what.removesuffix('s')}."


def _form_in_words(asked: Asked, form: FormName, *, is_held: bool = False) -> str:
    """Describe an answer; one that is held to the schema of the rows is an object around them."""
    if form == "json":
        keys = "\n".join(f'- "{one.name}": {one.about}' for one in asked.fields)
        whole = 'object whose one key "rows" has an array of objects,' if is_held else "array of objects"
        return (
            f"Answer with a JSON {whole} and with nothing else. Each object has these keys, and each value is "
            f"a text:\n{keys}"
        )
    lines = "\n".join(f"{one.label}: {one.about}" for one in asked.fields)
    return f"Answer with lines of this form and with nothing else, and leave a blank line between rows:\n\n{lines}"


def _json_examples(asked: Asked) -> str:
    if not asked.examples:
        return ""
    shown: list[dict[str, Any]] = [
        {one.name: row[one.name] for one in asked.fields if one.name in row}
        for example in asked.examples
        for row in example.rows
    ]
    written = json.dumps(shown, ensure_ascii=False, indent=1)
    return f"\n\nExamples of such objects, for other requests (copy none of them):\n{written}"


def labelled_rows(rows: Sequence[Mapping[str, str]], fields: Sequence[TextField]) -> str:
    """Write rows as labelled lines, a blank line between them."""
    return "\n\n".join("\n".join(f"{one.label}: {row.get(one.name, '')}" for one in fields) for row in rows)
