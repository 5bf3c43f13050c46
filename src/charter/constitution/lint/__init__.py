"""What is likely to make a constitution train badly: named rules, each with its reason and what to do.

Rules read wording without a model; one waits for what a model found. Those that know English pass
over what is written in another language.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from charter.constitution.lint import examples, likeness, requests, texts, whole
from charter.constitution.lint.rules import Finding, Grounds, Need, Rule, Severity
from charter.constitution.model import Constitution
from charter.errors import UserError
from charter.records import Prompt
from charter.spelling import hint

__all__ = ["RULES", "Finding", "Need", "Rule", "Severity", "check_constitution"]

RULES: tuple[Rule, ...] = (*requests.RULES, *texts.RULES, *likeness.RULES, *examples.RULES, *whole.RULES)


def check_constitution(
    constitution: Constitution,
    *,
    prompts: Sequence[Prompt] | None = None,
    count: Callable[[str], float] | None = None,
    context: int | None = None,
    found: Sequence[Finding] | None = None,
    ignore: Collection[str] = (),
) -> tuple[Finding, ...]:
    """Check a constitution by every rule; findings come rule by rule, principles in their order.

    Args:
        constitution: what is checked.
        prompts: that it is to be used with; without them their rule is passed over.
        count: counts the tokens of a text; None estimates them from the characters.
        context: the most tokens that the model reads and writes at once; None passes over the rule about it.
        found: findings of rules that need a model, such as ``authoring.contradictions`` gives; they are told in those
            rules' places.
        ignore: names of rules to leave out.

    Raises:
        UserError: for the name of no rule in ``ignore``.
    """
    names = [rule.name for rule in RULES]
    for name in ignore:
        if name not in names:
            raise UserError(f'there is no rule "{name}"; rules are {", ".join(names)}{hint(name, names)}')
    grounds = Grounds(constitution, prompts, count, context, found)
    return tuple(finding for rule in RULES if rule.name not in ignore for finding in rule.check(grounds))
