"""Principles that a model drafts from a document: a policy, a description of a culture; each with its passage.

The document is split into passages, and each is asked for the principles that it holds. A principle names the words
that it comes from, and these must be in the document: what is not found there is left out and counted. Principles that
say nearly the same are merged, and keep every passage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from charter.authoring.answers import TextField
from charter.authoring.draft import Proposal
from charter.authoring.few_shots import own_examples, worked_examples
from charter.authoring.passages import Passage, find_quotation, split_passages
from charter.authoring.structured import DRAFTING, Asked, Asking, WorkedExample, ask_for_rows
from charter.authoring.written import malformed
from charter.constitution import Principle
from charter.constitution.derivation import with_derived_requests
from charter.constitution.formats.ids import slug
from charter.engines.base import Engine
from charter.prompts.near_duplicates import DEFAULT_THRESHOLD, find_near_duplicates
from charter.records import Record
from charter.rows import Filtered, Mapped, RowMapper, map_rows

STAGE = "principles"

FIELDS = (
    TextField("title", "Title", "a name for the principle in two to five words"),
    TextField(
        "text",
        "Principle",
        "one sentence that says what the assistant does: positive, about one thing, and such that a reader of a "
        "response could say whether it was kept",
    ),
    TextField("category", "Category", "one or two words for what it is about"),
    TextField("quotation", "Quotation", "the words of the passage that it comes from, copied to the letter"),
)

_SYSTEM = (
    "You read a document and draft from it principles for an AI assistant: rules for its answers that serve what the "
    "document holds to be right. A principle speaks of the assistant's answers, not of laws, courts or offices. Draft "
    "only what the passage supports, without adding views of your own, and draft nothing from a passage that holds no "
    "value."
)
_PASSAGE = "passage"
_NOT_THERE = "a quotation that is not in the document"
_TOO_SHORT = "a quotation of a word or two, which shows nothing"
_LEAST_WORDS, _LEAST_CHARACTERS = 3, 20  # either is enough: some scripts put no space between words


class DraftedPrinciple(Record):
    """A principle that was drafted, and the document's own words that it comes from (``start``: in characters)."""

    title: str
    text: str
    category: str
    quotation: str
    start: int


class PassageDraft(Record):
    """What came of one passage."""

    passage: str
    principles: tuple[DraftedPrinciple, ...]
    lost: dict[str, int]
    repaired: bool = False


@dataclass(frozen=True)
class Merged:
    """Drafted principles as proposals, and how many were merged into others, or are in the constitution already."""

    proposals: tuple[Proposal, ...]
    n_drafted: int
    n_merged: int
    n_known: int


async def draft_principles_one(
    passage: Passage, document: str, engine: Engine, asking: Asking, *, n: int, examples: tuple[WorkedExample, ...] = ()
) -> PassageDraft | Filtered:
    """Draft the principles of one passage; each must quote the document.

    Raises:
        EngineError: where the engine failed. An answer that cannot be read is left out, with its reason.
    """

    def check(row: Mapping[str, str]) -> str | None:
        quotation = find_quotation(row["quotation"], document, near=passage)
        if quotation is None:
            return _NOT_THERE
        is_long = len(quotation.text.split()) >= _LEAST_WORDS or len(quotation.text) >= _LEAST_CHARACTERS
        return None if is_long or quotation.text == passage.text else _TOO_SHORT

    asked = principles_request(passage, n, examples)
    answered = await ask_for_rows(engine, asked, asking, passage.id, check)
    if not answered.rows and answered.lost:
        return Filtered(malformed(answered.reason))
    drafted = tuple(_drafted(row, document, passage) for row in answered.rows)
    return PassageDraft(passage=passage.id, principles=drafted, lost=answered.lost, repaired=answered.repaired)


def principles_request(passage: Passage, n: int, examples: tuple[WorkedExample, ...] = ()) -> Asked:
    """Say what is asked for, before it takes a form."""
    task = (
        f"The passage:\n\n{passage.text}\n\nDraft the principles that it holds, {n} at most, the most important first."
    )
    return Asked(_SYSTEM, task, f"Passage: {' '.join(passage.text.split())}", FIELDS, n, examples, at_most=True)


def draft_principles(
    document: str,
    engine: Engine,
    *,
    n_per_passage: int = 3,
    max_characters: int = 3_000,
    asking: Asking = DRAFTING,
    stage: str = STAGE,
    mapper: RowMapper = map_rows,
) -> Mapped[PassageDraft]:
    """Draft principles from a document, passage by passage.

    Args:
        document: its text.
        engine: who reads and writes.
        n_per_passage: principles asked for, for each passage, at most.
        max_characters: of a passage, at most; a token has about four. With the request it must fit the model's context.
        asking: the form of the answers, and how they are drawn.
        stage: the name under which rows are recorded.
        mapper: what maps the row function.
    """
    examples = worked_examples(own_examples("principles"), FIELDS, (_PASSAGE,), {})
    one = partial(
        draft_principles_one,
        document=document,
        engine=engine,
        asking=asking,
        n=n_per_passage,
        examples=examples,
    )
    return mapper(one, split_passages(document, max_characters=max_characters), stage, result=PassageDraft)


def merge_principles(
    drafts: Iterable[PassageDraft],
    *,
    source: str,
    known: Sequence[Principle] = (),
    threshold: float = DEFAULT_THRESHOLD,
) -> Merged:
    """Merge drafted principles that say nearly the same, and propose the rest; requests are derived by rule.

    Args:
        drafts: what the stage gave, in the document's order: the first of its like is kept, with every passage.
        source: what the principles name as their source, such as the document's name.
        known: principles that are there already; what resembles one of them is not proposed.
        threshold: the least similarity of near-duplicates (see ``prompts.near_duplicates``).
    """
    drafted = [one for draft in drafts for one in draft.principles]
    found = find_near_duplicates(
        [one.text for one in drafted], against=[one.text for one in known], threshold=threshold
    )
    passages = {place: [drafted[place]] for place in found.kept}
    for one in found.dropped:
        if not one.in_against:
            passages[one.other].append(drafted[one.index])
    ids = _Ids(one.id for one in known)
    proposals = tuple(
        Proposal(None, _principle(drafted[place], ids, source, alike)) for place, alike in passages.items()
    )
    n_known = sum(one.in_against for one in found.dropped)
    return Merged(proposals, len(drafted), len(found.dropped) - n_known, n_known)


def _drafted(row: Mapping[str, str], document: str, passage: Passage) -> DraftedPrinciple:
    quotation = find_quotation(row["quotation"], document, near=passage)
    if quotation is None:
        raise ValueError("a row without its quotation was kept")
    own = {name: row[name].strip() for name in ("title", "text", "category")}
    return DraftedPrinciple(**own, quotation=quotation.text, start=quotation.start)


class _Ids:
    """Ids made of titles, each once."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = Counter(taken)

    def make(self, title: str) -> str:
        name = slug([title]) or "principle"
        number, free = 1, name
        while free in self._taken:
            number += 1
            free = f"{name}-{number}"
        self._taken[free] += 1
        return free


def _principle(draft: DraftedPrinciple, ids: _Ids, source: str, alike: Sequence[DraftedPrinciple]) -> Principle:
    fields: dict[str, Any] = {
        "id": ids.make(draft.title),
        "title": draft.title,
        "text": draft.text,
        "category": draft.category.lower(),
        "source": source,
        "metadata": {"passages": [{"text": one.quotation, "start": one.start} for one in alike]},
    }
    return Principle.model_validate(with_derived_requests(fields))
