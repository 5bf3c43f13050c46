"""Rules about the wording of a principle's text. All but one read English."""

from __future__ import annotations

import re
from collections.abc import Iterator

from charter.constitution.lint.rules import REQUESTS, Remark, Rule, of_each
from charter.constitution.lint.wording import FUNCTION_WORDS, find, is_unwritten, quoted, words_of
from charter.constitution.model import Principle

_FORBIDS = re.compile(
    r"^\s*(?:do not|don['\u2019]t|never|avoid|refuse|no)\b|\b(?:must|should|may|shall) (?:not|never)\b"
    r"|\b(?:mustn|shouldn)['\u2019]t\b|\b(?:assistant|response|model|ai) (?:does not|do not|doesn['\u2019]t|never)\b",
    re.IGNORECASE,
)
_SAYS_WHAT_TO_DO = re.compile(
    r"\b(?:instead|rather|but|and (?:says?|offers?|explains?|helps?|gives?|tells?|names?|asks?))\b|\bby \w+ing\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?]\s+")

# Praise and blame: what it takes to earn them is what a principle is for.
_PRAISE = frozenset(
    words_of(
        """
    acceptable adequate adequately appropriate appropriately bad badly best better careful carefully correct correctly
    decent desirable desired effective effectively ethical ethically excellent exemplary fine good great harmful
    harmless harmlessly helpful helpfully high highest ideal ideally inappropriate moral morally nice nicely optimal
    optimally perfect perfectly poor positive positively possible proper properly quality reasonable reasonably
    responsible responsibly right safe safely sensible sensibly standards suitable suitably unethical useful usefully
    valuable virtuous well wise wisely worthwhile wrong
    """
    )
)
# Verbs and nouns that go with them and add nothing to see.
_FILLERS = frozenset(
    words_of(
        """
    act acts acting actions aim aims attempt attempts behave behaves behaviour behavior conduct content endeavour ensure
    ensures follow follows help helps information kind make makes making manner output outputs person people please
    principle principles produce produces provide provides providing request requests seek seeks serve serves
    strive strives system things think try tries user users way ways word words work works
    """
    )
)
_LET_OUT = re.compile(
    r"\b(?:as|if|when|where|wherever|whenever) (?:it is |it's |this is )?"
    r"(?:appropriate|applicable|possible|feasible|reasonable|suitable|practicable|needed|necessary)\b"
    r"|\b(?:as (?:much|far|well) as (?:is )?(?:possible|practicable|feasible|reasonable))\b"
    r"|(?:(?:^|[.;!] )|\b(?:assistant|response|ai|model|it|should|must|shall|will) )(?:always )?"
    r"(?:tr(?:y|ies)|attempts?|strives?|aims?|endeavou?rs?|seeks?) (?:to|for)\b"
    r"|\b(?:ideally|to the extent (?:possible|feasible)|use(?:s)? (?:good|best) judge?ment)\b"
    r"|(?:\betc\b\.?|\band so (?:on|forth)\b|\band the like\b)",
    re.IGNORECASE,
)
_ADDS = re.compile(
    r"(?:^|[.;!]\s+)(?:also|additionally|in addition|furthermore|moreover|secondly|second,)\b"
    r"|\b(?:it|they|assistant|response|ai|model|must|should|shall) (?:must |should |shall )?also\b"
    r"|\b(?:must|should|shall)\b[^.;?!]*\band (?:it )?(?:must|should|shall)\b"
    r"|(?:^|\s)\(?1[.)]\s[^\n]*\s\(?2[.)]\s|(?:^|\n)\s*[-*\u2022] [^\n]+\n\s*[-*\u2022] ",
    re.IGNORECASE,
)
# Verbs by which a sentence of its own gives an order.
_ORDERS = frozenset(
    words_of(
        """
    accept acknowledge admit advocate aid answer ask assist build challenge choose cite combat consider correct decline
    defend develop discourage embrace emphasise emphasize encourage ensure explain foster guard guide heal help honour
    honor implement include inform invite keep listen maintain mention name offer praise prefer preserve prevent
    prioritise prioritize promote protect provide recognise recognize recommend refuse reject remind respect safeguard
    say show speak state stress suggest support tell treat uphold use value warn welcome write
    """
    )
)


def _unwritten(principle: Principle) -> Iterator[Remark]:
    for name in ("text", *REQUESTS):
        said = getattr(principle, name)
        if is_unwritten(said):
            yield Remark(f"the {name} is still to be written: {quoted(said)}")


def _untestable(principle: Principle) -> Iterator[Remark]:
    words = [word for word in words_of(principle.text) if word not in FUNCTION_WORDS]
    if words and all(word in _PRAISE or word in _FILLERS for word in words) and any(word in _PRAISE for word in words):
        yield Remark(f"the text names nothing that could be seen in a response: {quoted(principle.text)}")


def _let_out(principle: Principle) -> Iterator[Remark]:
    found = find(_LET_OUT, principle.text)
    if found:
        yield Remark(
            f'"{found.group().strip()}" leaves it to the model when the principle holds: {quoted(principle.text)}'
        )


def _two_rules(principle: Principle) -> Iterator[Remark]:
    text = principle.text
    sentences = [words_of(sentence) for sentence in _SENTENCE_END.split(text) if sentence.strip()]
    orders = [words[0] for words in sentences if words and words[0] in _ORDERS]
    found = find(_ADDS, text)
    if found or len(orders) > 1:
        sign = f'"{" ".join(found.group().split())}"' if found else f'"{orders[0]} ..." and "{orders[1]} ..."'
        yield Remark(f"the text seems to hold two rules ({sign[:80]}): {quoted(text)}")


def _negative_framing(principle: Principle) -> Iterator[Remark]:
    if find(_FORBIDS, principle.text) and not find(_SAYS_WHAT_TO_DO, principle.text):
        yield Remark(f"the text says only what not to do: {quoted(principle.text)}")


RULES = (
    Rule(
        "unwritten",
        "warning",
        "a text or request that begins with TODO, TBD or FIXME",
        "It holds the place of one that somebody is to write. A model is put to it as to any other: critiques and "
        "verdicts are then about nothing.",
        "write it, or take the principle out",
        of_each(_unwritten),
    ),
    Rule(
        "untestable",
        "warning",
        "a text that praises and names nothing that could be seen",
        "Whether a response is good, proper or safe is what critic and judge are to find out; a principle that says no "
        "more leaves each model to its own idea of it. Principles about behaviour agree better with people's choices "
        "than those about traits (C3AI, arXiv 2502.15861).",
        "say what a reader would see in a response that follows it, and in one that does not",
        of_each(_untestable, english_only=True),
    ),
    Rule(
        "let-out",
        "note",
        'words such as "as appropriate", "try to", "etc."',
        "They leave it to the reader when a rule holds. Requirements engineers call them loopholes: they excuse "
        "whatever fails a test (ISO/IEC/IEEE 29148; word lists find them with a precision of about 59 %, arXiv "
        "1611.08847).",
        "say when it holds and when it does not, or leave the words out",
        of_each(_let_out, english_only=True),
    ),
    Rule(
        "two-rules",
        "note",
        "two rules in one text",
        "One request then asks for two things: a critique finds one of them, a verdict mixes both, and the votes that "
        "are kept per principle no longer say which rule a response broke. One principle of sixteen is drawn at a time "
        "(CAI \u00a73.1), so that more principles cost nothing.",
        "make two principles of it, each with its own id and weight",
        of_each(_two_rules, english_only=True),
    ),
    Rule(
        "negative-framing",
        "note",
        "a text that says only what not to do",
        "A ban alone leaves open what to do in its place, and a small model fills that with refusals. Positively "
        "framed principles agree better with people's choices (C3AI, arXiv 2502.15861); that study's tuned models "
        "kept to bans more easily, so a ban beside what to do is fine.",
        "say what a good response does instead",
        of_each(_negative_framing, english_only=True),
    ),
)
