"""What a model writes about one red-team prompt in one structured answer: a critique with its revision, or a pair.

A critique and a revision by one call are the method's layout for models behind an API (METHOD, ``structured``); both
sides of a preference with the reason for it are a synthesised pair. The wording of the request is a country's own. What
is known beforehand (the prompt, the response that is criticised, the requests that a critique and a revision answer) is
never asked for: where models were to repeat it, one prompt in six came back as something else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal

from charter.authoring.answers import TextField
from charter.authoring.checks import reply_fault
from charter.authoring.given_texts import EXAMPLES_SLOT, PREF, SFT, GivenTexts, Section
from charter.authoring.structured import Asked, Asking, ask_for_rows, stage_of_tries
from charter.authoring.written import malformed, without_mark
from charter.constitution.model import Constitution, Principle
from charter.engines.base import Engine
from charter.given.loaded import LoadedPairs
from charter.given.principles import split_key
from charter.prompts.grouping import normalise_text
from charter.records import Record
from charter.rows import Filtered, Mapped, RowMapper, map_rows
from charter.seeds import row_id

ReplyName = Literal["revisions", "preferences"]


@dataclass(frozen=True)
class ReplyKind:
    """What is written about a prompt: where its wording stands, and what each row holds."""

    name: ReplyName
    section: Section
    fields: tuple[TextField, ...]
    system: str


REVISIONS = ReplyKind(
    "revisions",
    SFT,
    (
        TextField(
            "critique", "Critique", "where the response keeps to the principle and where it departs from it, and why"
        ),
        TextField(
            "revision",
            "Revision",
            "the whole response rewritten by the critique, ready to be sent, without a word about the critique",
        ),
    ),
    "You criticise an assistant's responses by a principle, and rewrite them.",
)
PREFERENCES = ReplyKind(
    "preferences",
    PREF,
    (
        TextField("chosen", "Chosen", "a whole response to the prompt that keeps to the principle"),
        TextField(
            "rejected",
            "Rejected",
            "a whole response to the prompt that a real assistant could give and that keeps less to it",
        ),
        TextField("reasoning", "Reasoning", "why the first keeps to the principle better than the second"),
    ),
    "You write pairs of responses of an assistant, of which one keeps to a principle better than the other.",
)
KINDS: Mapping[ReplyName, ReplyKind] = {kind.name: kind for kind in (REVISIONS, PREFERENCES)}


@dataclass(frozen=True)
class Start:
    """What is written about: a prompt, the principle that it presses on, and a response that does not keep to it.

    ``key`` says where its rows stand in a country's files: ``"0_3"`` is the fourth prompt of the first principle.
    """

    key: str
    principle: Principle
    prompt: str
    response: str

    @cached_property
    def id(self) -> str:
        """A name after what it says, so that a start that says something else is another one."""
        asked = (self.principle.text, self.principle.critique_request, self.principle.revision_request)
        return row_id("start", self.key, asked, self.prompt, self.response)


@dataclass(frozen=True)
class Starts:
    """What is written about, and the rows of the file that are left out, by reason."""

    rows: tuple[Start, ...]
    left_out: Mapping[str, int]


class WrittenReplies(Record):
    """What came of one start, by its id: whole rows, the others by reason, and how many repairs it took."""

    start: str
    rows: tuple[dict[str, str], ...]
    lost: dict[str, int]
    n_repairs: int = 0


@dataclass(frozen=True)
class ReplyWriting:
    """How it is asked for, the same for every start: whose wording, which examples, and how many rows a call."""

    kind: ReplyKind
    texts: GivenTexts
    samples: str
    n: int
    asking: Asking

    @cached_property
    def shown(self) -> str:
        """The examples, normalised, to tell a copy by."""
        return normalise_text(self.samples)


@dataclass(frozen=True)
class ReplyAccount:
    """What became of every start and of every row that was asked for.

    ``missing`` are the keys of starts without a row, each with the reason. The rows that were asked for are those kept,
    those ``lost`` of answers with another whole row, and those of the ``missing``.
    """

    n_starts: int
    n_asked: int
    n_kept: int
    n_repaired: int
    n_repairs: int
    lost: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[tuple[str, str], ...] = ()

    @property
    def reasons(self) -> dict[str, int]:
        """Count the missing by reason, the most frequent first."""
        return dict(Counter(reason for _, reason in self.missing).most_common())

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "prompts": self.n_starts,
            "asked": self.n_asked,
            "kept": self.n_kept,
            "repaired": self.n_repaired,
            "repairs": self.n_repairs,
            "lost_rows": dict(self.lost),
            "missing": [{"key": key, "reason": reason} for key, reason in self.missing],
        }


def find_starts(loaded: LoadedPairs, constitution: Constitution) -> Starts:
    """Give the prompts of a red team, each with its incorrect response, under the keys of a country's files.

    Args:
        loaded: red-team rows that were read as pairs, with ``constitution``.
        constitution: the one that they press on; a principle's position is the first part of a key.
    """
    positions = {name: place for place, name in enumerate(constitution.ids)}
    left_out = Counter(loaded.left_out_or_undecided)
    n_of: Counter[int] = Counter()
    starts = []
    for pair in loaded.sided:
        place = positions.get(pair.prompt.principle)
        if place is None:
            left_out["of no principle of the constitution"] += 1
            continue
        own = split_key(pair.prompt.source_id)
        key = pair.prompt.source_id if own is not None and own[0] == place else f"{place}_{n_of[place]}"
        n_of[place] += 1
        worse = pair.b if pair.intended == "a" else pair.a
        starts.append(Start(key, constitution.principles[place], pair.prompt.text, worse))
    return Starts(tuple(starts), dict(left_out))


def write_replies(
    starts: Sequence[Start],
    engine: Engine,
    kind: ReplyKind,
    texts: GivenTexts,
    *,
    samples: Sequence[Any] = (),
    n: int | None = None,
    asking: Asking | None = None,
    mapper: RowMapper = map_rows,
) -> Mapped[WrittenReplies]:
    """Write revisions or preferences, one call for each start.

    Args:
        starts: what is written about.
        engine: who writes; it is held to a JSON schema where it can be.
        kind: ``REVISIONS`` or ``PREFERENCES``.
        texts: the wording, from the section of that kind.
        samples: worked examples, texts or mappings; they need a user prompt with the slot for them.
        n: rows of each start; None takes what the wording says, or one.
        asking: the form of the answers, how they are drawn, and the seed.
        mapper: what maps the row function.

    Returns:
        What came of each start. ``settle_replies`` gives the account.
    """
    asking = asking or Asking(temperature=1.0, top_p=1.0)
    writing = ReplyWriting(kind, texts, _shown(samples), n or texts.per_call or 1, asking)
    stage = stage_of_tries(kind.name, asking.n_repairs + 1)
    return mapper(partial(write_reply_one, engine=engine, writing=writing), starts, stage, result=WrittenReplies)


async def write_reply_one(start: Start, engine: Engine, writing: ReplyWriting) -> WrittenReplies | Filtered:
    """Write about one prompt, or say why there is no row.

    Raises:
        EngineError: where the engine failed. An answer that cannot be read is left out, with its reason.
    """
    check = partial(reply_fault, samples=writing.shown, fields=writing.kind.fields)
    answered = await ask_for_rows(engine, reply_request(start, writing), writing.asking, start.id, check)
    if not answered.rows:
        return Filtered(malformed(answered.reason))
    return WrittenReplies(start=start.id, rows=answered.rows, lost=answered.lost, n_repairs=answered.n_repairs)


def reply_request(start: Start, writing: ReplyWriting) -> Asked:
    """Say what is asked for, before it takes a form: the wording with its slots filled, and what the rows answer."""
    kind, texts = writing.kind, writing.texts
    slots = {
        "principle": start.principle.text,
        "rt_prompt": start.prompt,
        "initial_response": start.response,
        kind.section.number: str(writing.n),
        EXAMPLES_SLOT: writing.samples,
    }
    given = texts.request(slots, examples=bool(writing.samples))
    answers = (
        f"The critique answers this request: {start.principle.critique_request}\n"
        f"The revision answers this one: {start.principle.revision_request}"
    )
    task = f"{given}\n\n{answers}" if kind is REVISIONS else given
    return Asked(texts.system or kind.system, task, task, kind.fields, writing.n)


def settle_replies(mapped: Mapped[WrittenReplies], starts: Sequence[Start], n: int) -> ReplyAccount:
    """Account for every start, and for every row that was asked for.

    Args:
        mapped: what ``write_replies`` gave.
        starts: those that it was given.
        n: rows of each.
    """
    without = mapped.filtered | mapped.failed
    lost: Counter[str] = Counter()
    for one in mapped.done:
        lost.update(one.lost)
    return ReplyAccount(
        n_starts=len(starts),
        n_asked=n * len(starts),
        n_kept=sum(len(one.rows) for one in mapped.done),
        n_repaired=sum(one.n_repairs > 0 for one in mapped.done),
        n_repairs=sum(one.n_repairs for one in mapped.done),
        lost=dict(lost.most_common()),
        missing=tuple((one.key, without_mark(without[one.id])) for one in starts if one.id in without),
    )


def _shown(samples: Sequence[Any]) -> str:
    """Write examples as they are: texts with empty lines between them, anything else as JSON."""
    if all(isinstance(one, str) for one in samples):
        return "\n\n".join(one.strip("\n") for one in samples)
    return json.dumps(list(samples), ensure_ascii=False)
