"""Requests that a model drafts for principles that have none of their own: critique, revision, choice.

A request that was derived by rule says the principle and little else. One that is written for the principle names what
to look for, and asks no less openly: whether something is wrong, or nothing. What is drafted is held to the linter's
rules on requests, and is a proposal: somebody accepts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from charter.authoring.answers import TextField
from charter.authoring.briefs import brief_lines, language_name
from charter.authoring.few_shots import own_examples, worked_examples
from charter.authoring.given_texts import fill_slots
from charter.authoring.structured import DRAFTING, Asked, Asking, WorkedExample, ask_for_rows
from charter.authoring.written import malformed
from charter.constitution import Constitution, Principle, check_constitution
from charter.constitution.derivation import DERIVATIONS, derived_fields
from charter.engines.base import Engine
from charter.records import Record
from charter.rows import Filtered, Mapped, RowMapper, map_rows

STAGE = "requests"

FIELDS = (
    TextField(
        "critique_request",
        "Critique request",
        "asks a critic to look at the assistant's last response by this principle: to say whether and where it "
        "departs from it, or that it is fine",
    ),
    TextField(
        "revision_request",
        "Revision request",
        "asks to rewrite the response so that it keeps to the principle and still helps, and to leave it as it is "
        "where it is fine",
    ),
    TextField("choice_question", "Choice question", "asks which of two responses keeps to the principle better"),
)

_SYSTEM = (
    "You write instructions for a language model that criticises and improves an assistant's responses by the "
    "principles of a constitution. Each principle needs three. Each stands on its own, names what this principle is "
    "about in plain words, and has one or two sentences. None takes it for granted that something is wrong."
)
_KEYS = ("principle", "language")
_LINTED = frozenset({"blank-text", "no-choice", "presumes-harm", "long-request"})


class DraftedRequests(Record):
    """The requests that were drafted for one principle; empty where the principle has its own."""

    principle: str
    critique_request: str = ""
    revision_request: str = ""
    choice_question: str = ""
    repaired: bool = False


@dataclass(frozen=True)
class Proposal:
    """One principle as it was (None where it is new) and as it would be."""

    before: Principle | None
    after: Principle

    @property
    def changed(self) -> tuple[tuple[str, str, str], ...]:
        """The fields whose text would change: name, before, after; of a new principle every one with a text."""
        names = ("title", "text", "category", "critique_request", "revision_request", "choice_question", "source")
        pairs = [(name, getattr(self.before, name, ""), getattr(self.after, name)) for name in names]
        return tuple((name, before, after) for name, before, after in pairs if before != after)


async def draft_requests_one(
    principle: Principle,
    constitution: Constitution,
    engine: Engine,
    asking: Asking,
    examples: tuple[WorkedExample, ...],
    *,
    wording: str = "",
) -> DraftedRequests | Filtered:
    """Draft one principle's requests, those that were derived by rule.

    Raises:
        EngineError: where the engine failed. An answer that cannot be read is left out, with its reason.
    """
    asked = requests_request(principle, constitution, examples, wording)
    answered = await ask_for_rows(engine, asked, asking, principle.id, partial(_check, principle, constitution))
    if not answered.rows:
        return Filtered(malformed(answered.reason))
    wanted = {name: answered.rows[0][name].strip() for name in derived_requests(principle)}
    return DraftedRequests(principle=principle.id, **wanted, repaired=answered.repaired)


def requests_request(
    principle: Principle, constitution: Constitution, examples: tuple[WorkedExample, ...] = (), wording: str = ""
) -> Asked:
    """Say what is asked for, before it takes a form; somebody's ``wording`` has the slot ``{principle}``."""
    language = principle.language or constitution.language
    about = brief_lines({"principle": principle.text, "language": language}, _KEYS)
    what = fill_slots(wording, {"principle": principle.text}) or f"The principle: {principle.text}"
    task = f"{what}\n\nLanguage of the instructions: {language_name(language)}"
    return Asked(_SYSTEM, task, about, FIELDS, examples=examples)


def draft_requests(
    constitution: Constitution,
    engine: Engine,
    *,
    asking: Asking = DRAFTING,
    wording: str = "",
    stage: str = STAGE,
    mapper: RowMapper = map_rows,
) -> Mapped[DraftedRequests]:
    """Draft requests for the principles of which one or more were derived by rule; the others are not asked about.

    Args:
        constitution: whose principles.
        engine: who writes.
        asking: the form of the answers, and how they are drawn.
        wording: how they are asked for, in place of ours (see ``given_texts.read_request_texts``).
        stage: the name under which rows are recorded.
        mapper: what maps the row function.
    """
    lacking = [principle for principle in constitution.principles if derived_requests(principle)]
    examples = worked_examples(own_examples("requests"), FIELDS, _KEYS, {})
    one = partial(
        draft_requests_one,
        constitution=constitution,
        engine=engine,
        asking=asking,
        examples=examples,
        wording=wording,
    )
    return mapper(one, lacking, stage, result=DraftedRequests)


def derived_requests(principle: Principle) -> tuple[str, ...]:
    """Name the requests of a principle that a rule made, of its text or of another request."""
    return tuple(name for name in derived_fields(principle) if name in DERIVATIONS)


def propose_requests(constitution: Constitution, drafted: Iterable[DraftedRequests]) -> tuple[Proposal, ...]:
    """Put drafted requests into their principles, as proposals."""
    proposals = []
    for one in drafted:
        before = constitution.principle(one.principle)
        texts = {name: getattr(one, name) for name in DERIVATIONS if getattr(one, name)}
        proposals.append(Proposal(before, before.model_copy(update=texts)))
    return tuple(proposals)


def accept(constitution: Constitution | None, proposals: Sequence[Proposal], **fields: str) -> Constitution:
    """Give the constitution with what was accepted: principles in their place, new ones at the end.

    Args:
        constitution: the base; None begins a new one, which needs at least one proposal.
        proposals: what was accepted; of two for one principle the later counts.
        fields: of a new constitution, such as its name.
    """
    after = {one.after.id: one.after for one in proposals}
    if constitution is None:
        return Constitution.model_validate({"principles": tuple(after.values()), **fields})
    own = tuple(after.pop(principle.id, principle) for principle in constitution.principles)
    return constitution.model_copy(update={"principles": (*own, *after.values())})


def _check(principle: Principle, constitution: Constitution, row: Mapping[str, str]) -> str | None:
    """Hold drafted requests to the linter's rules, which know the wording of English alone."""
    written = principle.model_copy(update={name: row[name].strip() for name in derived_requests(principle)})
    alone = Constitution(
        name=constitution.name, language=principle.language or constitution.language, principles=(written,)
    )
    broken = [finding.rule for finding in check_constitution(alone) if finding.rule in _LINTED]
    return f"a request that the rule {broken[0]} finds fault with" if broken else None
