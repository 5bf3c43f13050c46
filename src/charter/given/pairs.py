"""Pairs that a user brings: preferences that people or another method's judge gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from charter.constitution.model import Constitution
from charter.given.loaded import DUPLICATE, EQUAL_SIDES, LoadedPairs, RejectedRowError
from charter.given.own_pairs import GIVEN, given_again, pair_of_preference
from charter.given.principles import key_of, principle_of
from charter.given.reading import GivenFile, GivenRow, read_file
from charter.given.sifting import require_rows, sift_rows
from charter.given.transcripts import read_prompt_turns, read_turns
from charter.given.values import has_columns, message_list, probability, prompt_kind, text_of, unknown_layout
from charter.prompts.row_prompts import content_id
from charter.prompts.table_folders import evaluation_split
from charter.records import Message, Pair, Prompt, PromptKind
from charter.seeds import derive_seed, row_id

_CORRECT = "correct_model_response_to_adversarial_prompt"
_INCORRECT = "incorrect_model_response_to_adversarial_prompt"
_CONTEXTS = ("messages", "conversations", "conversation")
#: Columns that say which model wrote the chosen answer, and which the rejected one.
_AUTHORS = {
    form.replace("SIDE", side): side
    for side in ("chosen", "rejected")
    for form in ("SIDE_model", "SIDE-model", "model_SIDE")
}


#: Columns that are read in every layout.
_ANYWHERE = ("p_chosen", "category")


@dataclass(frozen=True)
class _Sides:
    """What a row holds: a conversation, the better and the worse answer, and what is said for the choice."""

    turns: tuple[Message, ...]
    better: str
    worse: str
    reasoning: str = ""
    source_id: str = ""
    principle: str = ""
    kind: PromptKind | None = None


@dataclass
class _Reading:
    """What the rows of one file are read with, and what was found on the way."""

    file: GivenFile
    layout: str
    kind: PromptKind
    constitution: Constitution | None
    seed: int
    kept: dict[str, Pair] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    reasoning: dict[str, str] = field(default_factory=dict)
    authors: dict[str, tuple[str, str]] = field(default_factory=dict)
    p_intended: dict[str, float] = field(default_factory=dict)


def load_pairs(
    source: str | Path,
    *,
    constitution: Constitution | None = None,
    kind: PromptKind = "red_team",
    split: str | None = None,
    seed: int = 0,
    escaped: bool | None = None,
) -> LoadedPairs:
    """Read pairs of any layout: which one it is, the columns say.

    Country preferences or red teams; chosen and rejected answers as texts, messages or transcripts; ours.

    Each pair has the source ``given``, and the chosen answer is the ``intended`` side; which side that is, a hash
    decides, so that the position says nothing.

    Args:
        source: JSON (keyed, or a list), JSON lines (gzip too), CSV, Parquet, a folder or a dataset.
        constitution: the one that the file was made with; the first part of a key is a position in it.
        kind: what the prompts are for; rows of ours, and labels that ``charter rate`` wrote, say it themselves.
        split: of a dataset; what begins with ``test`` or ``eval`` is held out.
        seed: of the sides.
        escaped: see ``reading.read_file``.

    Returns:
        Distinct pairs in the file's order, and what became of every other row.

    Raises:
        PromptError: for a file that cannot be read or is of another layout, for keys of another constitution, and where
            no row is left.
    """
    file = read_file(source, split=split, escaped=escaped)
    reading = _Reading(file=file, layout=_find_layout(file), kind=kind, constitution=constitution, seed=seed)
    left_out = sift_rows(file, partial(_keep, reading))
    loaded = LoadedPairs(
        pairs=tuple(reading.kept.values()),
        reasoning=reading.reasoning,
        authors=reading.authors,
        p_intended=reading.p_intended,
        source=file.source,
        layout=reading.layout,
        left_out=left_out,
        unused=tuple(
            name for name in file.columns if name not in {*_LAYOUTS[reading.layout].used, *_AUTHORS, *_ANYWHERE}
        ),
        places=reading.places,
    )
    require_rows(loaded, len(loaded.pairs))
    return loaded


def _find_layout(file: GivenFile) -> str:
    for name, layout in _LAYOUTS.items():
        if has_columns(file, layout.needed):
            return name
    raise unknown_layout(file, "pairs", {name: layout.needed for name, layout in _LAYOUTS.items()})


def _keep(reading: _Reading, row: GivenRow) -> None:
    """Make a row's pair and keep it, or say why it is left out."""
    found = _LAYOUTS[reading.layout].read(row)
    pair, reasoning = (found, "") if isinstance(found, Pair) else (_make(reading, row, found), found.reasoning)
    if pair.a == pair.b:
        raise RejectedRowError(EQUAL_SIDES)
    if pair.id in reading.kept:
        raise RejectedRowError(DUPLICATE)
    p = row.values.get("p_chosen")  # of the answer that it calls chosen, which is the intended side
    if p is not None and pair.intended is not None:
        reading.p_intended[pair.id] = probability(p)
    reading.kept[pair.id] = pair
    reading.places[pair.id] = row.place
    if reasoning:
        reading.reasoning[pair.id] = reasoning
    if (authors := _authors(row, pair)) != ("", ""):
        reading.authors[pair.id] = authors


def _authors(row: GivenRow, pair: Pair) -> tuple[str, str]:
    """Say which models a row says wrote a and b; empty where it does not."""
    named = {side: value for column, side in _AUTHORS.items() if isinstance(value := row.values.get(column), str)}
    sides = ("chosen", "rejected") if pair.intended == "a" else ("rejected", "chosen")
    return named.get(sides[0], ""), named.get(sides[1], "")


def _make(reading: _Reading, row: GivenRow, sides: _Sides) -> Pair:
    if not sides.turns or not sides.turns[-1].content.strip():
        raise RejectedRowError("empty prompt")
    if sides.principle:
        row = replace(row, key=sides.principle)
    principle = principle_of(row, reading.constitution)
    kind = sides.kind or reading.kind
    prompt = Prompt(
        id=content_id(kind, sides.turns),
        turns=sides.turns,
        kind=kind,
        category=principle.category if principle and principle.category else _category(row),
        source=reading.file.source,
        split=evaluation_split(reading.file.split),
        principle=principle.id if principle else sides.principle,
        source_id=sides.source_id or row.key,
    )
    return given_pair(prompt, sides.better, sides.worse, seed=reading.seed)


def _category(row: GivenRow) -> str:
    """Read what a row calls its category; empty where it says nothing."""
    said = row.values.get("category")
    return said.strip() if isinstance(said, str) else ""


def given_pair(prompt: Prompt, better: str, worse: str, *, seed: int) -> Pair:
    """Make a pair whose intended side a hash of its content and the seed decides.

    Raises:
        RejectedRowError: for an answer without text.
    """
    if not better.strip() or not worse.strip():
        raise RejectedRowError("empty answer")
    name = row_id("pair", prompt.id, GIVEN, better, worse)
    is_a = derive_seed(seed, name, "side") % 2 == 0
    return Pair(
        id=name,
        prompt=prompt,
        a=better if is_a else worse,
        b=worse if is_a else better,
        source=GIVEN,
        intended="a" if is_a else "b",
        origin_a="chosen" if is_a else "rejected",
        origin_b="rejected" if is_a else "chosen",
    )


def _country(row: GivenRow) -> _Sides:
    reasoning = row.values.get("reasoning")
    return _Sides(
        turns=read_prompt_turns(text_of(row, "prompt")),
        better=text_of(row, "chosen_response"),
        worse=text_of(row, "rejected_response"),
        reasoning=reasoning if isinstance(reasoning, str) else "",
    )


def _red_team(row: GivenRow) -> _Sides:
    return _Sides(
        turns=read_prompt_turns(text_of(row, "adversarial_prompt")),
        better=text_of(row, _CORRECT),
        worse=text_of(row, _INCORRECT),
        source_id=key_of(row),
    )


def _written(row: GivenRow) -> _Sides:
    """Read a prompt that ``charter prompts red-team`` wrote, or a probe: it names its principle by id."""
    if row.values.get("kind") in {"benign_twin", "helpful"} and "aligned" not in row.values:
        raise RejectedRowError("a prompt that came without two answers")
    principle, own_id = row.values.get("principle"), row.values.get("id")
    return _Sides(
        turns=read_prompt_turns(text_of(row, "prompt")),
        better=text_of(row, "aligned"),
        worse=text_of(row, "misaligned"),
        source_id=own_id if isinstance(own_id, str) else "",
        principle=principle if isinstance(principle, str) else "",
    )


def _chosen_rejected(row: GivenRow) -> _Sides:
    """Read the two sides, and what the prompt is for where the row says so as what people rated does."""
    return replace(_sides_of(row), kind=prompt_kind(row.values.get("kind")))


def _sides_of(row: GivenRow) -> _Sides:
    """Read chosen and rejected as texts, messages or whole conversations, with or without a prompt of their own."""
    sides = [message_list(row.values.get(name)) for name in ("chosen", "rejected")]
    if sides[0] is not None and sides[1] is not None:
        return _of_messages(row, sides[0], sides[1])
    better, worse = text_of(row, "chosen"), text_of(row, "rejected")
    context = _context(row)
    if context is not None:
        return _Sides(context, better, worse)
    return _of_transcripts(better, worse)


def _of_messages(row: GivenRow, chosen: tuple[Message, ...], rejected: tuple[Message, ...]) -> _Sides:
    if chosen[-1].role != "assistant" or rejected[-1].role != "assistant":
        raise RejectedRowError("the last message is not the assistant's")
    if chosen[:-1] != rejected[:-1]:
        raise RejectedRowError("differ before the last reply")
    context = chosen[:-1]
    if not any(message.role == "user" for message in context):
        context = (*(_context(row) or ()), *context)
    return _Sides(context, chosen[-1].content, rejected[-1].content)


def _of_transcripts(better: str, worse: str) -> _Sides:
    chosen, rejected = read_turns(better), read_turns(worse)
    if chosen is None or rejected is None:
        raise RejectedRowError("without prompt, and no transcript")
    if chosen[-1].role != "assistant" or rejected[-1].role != "assistant":
        raise RejectedRowError("the last turn is not the assistant's")
    if chosen[:-1] != rejected[:-1]:
        raise RejectedRowError("differ before the last reply")
    return _Sides(chosen[:-1], chosen[-1].content, rejected[-1].content)


def _context(row: GivenRow) -> tuple[Message, ...] | None:
    """Give the conversation that the two answers are to."""
    prompt = row.values.get("prompt")
    if isinstance(prompt, str):
        return read_prompt_turns(prompt)
    for value in (prompt, *(row.values.get(name) for name in _CONTEXTS)):
        if (messages := message_list(value)) is not None:
            return messages
    return None


@dataclass(frozen=True)
class _Layout:
    """The columns that a layout needs, how a row of it is read, and which columns are read beside those it needs."""

    needed: tuple[str, ...]
    read: Callable[[GivenRow], _Sides | Pair]
    others: tuple[str, ...] = ()

    @property
    def used(self) -> frozenset[str]:
        return frozenset((*self.needed, *self.others))


_BRIEF = ("kind", "category", "setting", "register", "length", "language")
_PROMPT = tuple(Prompt.model_fields)
_OURS = ("prompt", "turns", "prompt_id", "prompt_source", *_PROMPT)
# The more a layout needs, the earlier it is tried: the last has what many files have.
_LAYOUTS: Mapping[str, _Layout] = {
    "native preferences": _Layout(
        ("turns", "prompt_id", "chosen", "rejected", "chosen_side", "pair"),
        pair_of_preference,
        (*_OURS, "whole_chosen", "whole_rejected"),
    ),
    "native pairs": _Layout(("turns", "prompt_id", "a", "b"), given_again, (*_OURS, *Pair.model_fields)),
    "written prompts": _Layout(("prompt", "aligned", "misaligned"), _written, ("id", "principle", *_BRIEF)),
    "country red team": _Layout(("adversarial_prompt", _CORRECT, _INCORRECT), _red_team),
    "country preferences": _Layout(("prompt", "chosen_response", "rejected_response"), _country, ("reasoning",)),
    "chosen and rejected": _Layout(("chosen", "rejected"), _chosen_rejected, ("prompt", "kind", *_CONTEXTS)),
}
