"""What a rule is: a name, why it is there, what to do, and a look at a constitution that yields remarks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from charter.constitution.model import Constitution, Principle
from charter.records import Prompt, Record

Severity = Literal["error", "warning", "note"]
Need = Literal["model", "prompts", "context"]

#: The requests of a principle, in the order in which they are made.
REQUESTS = ("critique_request", "revision_request", "choice_question")


class Finding(Record):
    """Something to look at. ``principle`` is the id it is about, empty for the constitution as a whole.

    An ``error`` breaks the method, a ``warning`` makes it worse, a ``note`` is advice.
    """

    rule: str
    severity: Severity
    principle: str = ""
    message: str
    remedy: str


class Remark(NamedTuple):
    """What one rule has to say, once: the message, the remedy where the rule's own is too general, and whom about."""

    message: str
    remedy: str = ""
    principle: str = ""


@dataclass(frozen=True)
class Grounds:
    """What a constitution is checked by; what is None is not known, and rules that need it are passed over.

    Args:
        constitution: what is checked.
        prompts: that it is to be used with.
        count: counts the tokens of a text.
        context: the most tokens that the model reads and writes at once.
        found: findings of rules that need a model, by whoever asked one.
    """

    constitution: Constitution
    prompts: Sequence[Prompt] | None = None
    count: Callable[[str], float] | None = None
    context: int | None = None
    found: Sequence[Finding] | None = None

    def has(self, need: Need | None) -> bool:
        """Tell whether what a rule needs beside the constitution is there."""
        there = {"model": self.found, "prompts": self.prompts, "context": self.context}
        return need is None or there[need] is not None


Look = Callable[[Grounds], Iterator[Remark]]


@dataclass(frozen=True)
class Rule:
    """One check.

    Args:
        name: by which it is ignored.
        severity: how grave it is.
        finds: what it finds, in a few words.
        reason: why that is a fault: what is known of it, and from where.
        fix: what to do.
        look: what finds it; None where a model does, elsewhere.
        needs: what it needs beside the constitution.
    """

    name: str
    severity: Severity
    finds: str
    reason: str
    fix: str
    look: Look | None
    needs: Need | None = None

    def check(self, grounds: Grounds) -> Iterator[Finding]:
        """Check a constitution; nothing is found where something is missing that the rule needs."""
        if not grounds.has(self.needs):
            return
        if self.look is None:
            yield from (one for one in grounds.found or () if one.rule == self.name)
            return
        for message, remedy, principle in self.look(grounds):
            yield Finding(
                rule=self.name,
                severity=self.severity,
                principle=principle,
                message=message,
                remedy=remedy or self.fix,
            )

    def to_dict(self) -> dict[str, str | None]:
        """Give plain values, as JSON holds them."""
        told = ("name", "severity", "finds", "reason", "fix", "needs")
        return {name: getattr(self, name) for name in told}


def of_each(look: Callable[[Principle], Iterator[Remark]], *, english_only: bool = False) -> Look:
    """Make a look at one principle a look at all of them; or at those in English, where it reads English wording."""

    def look_at_all(grounds: Grounds) -> Iterator[Remark]:
        for principle in grounds.constitution.principles:
            if not english_only or is_english(principle, grounds.constitution):
                for remark in look(principle):
                    yield remark._replace(principle=principle.id)

    return look_at_all


def is_english(principle: Principle, constitution: Constitution) -> bool:
    """Tell whether a principle is written in English."""
    return (principle.language or constitution.language).lower().split("-")[0] == "en"
