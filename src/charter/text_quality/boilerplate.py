"""Boilerplate: preachy phrases, endings that many texts share, preambles, and critique that leaks into a revision.

Over-trained models grow preachy and uniform (CAI §4.3), and small ones confuse critique and revision (CAI §3.1).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from charter.text_quality.patterns import any_of
from charter.text_quality.sentences import plain, split_sentences, without_quotations, words

_PREACHES = (
    re.compile(
        r"\bit is (?:also |always |very )?(?:important|crucial|essential|vital|worth) (?:to )?(?:remember|note|noting|"
        r"recogni[sz]e|understand|acknowledge|respect|consider|be mindful|approach|keep in mind)\b"
    ),
    re.compile(r"\bas (?:an? )?(?:\w+ ){0,3}(?:ai|language model|ai assistant)\b"),
    re.compile(
        r"\b(?:every(?:one| person| individual| human being)|all (?:people|individuals|"
        r"human beings)) (?:\w+ )?(?:deserves?|has the right|should be treated|matters?)\b"
    ),
    re.compile(
        r"\b(?:dignity and respect|respect and dignity|kindness and respect|respect and (?:kindness|empathy|"
        r"compassion))\b"
    ),
    re.compile(r"\b(?:valid,? valued|you are (?:not alone|valued|valid|worthy|loved|cared for|enough))\b"),
    re.compile(
        r"\bregardless of (?:their |your |one's |our )?(?:race|gender|background|religion|ethnicity|sexual|age)\b"
    ),
    re.compile(
        r"\b(?:seek|consider seeking|reach out (?:to|for)|speak (?:to|with)|talk to|"
        r"consult)\b[^.]{0,40}\b(?:professional|therapist|counsell?or|mental health|support|someone you trust|"
        r"trusted)\b"
    ),
    re.compile(r"\bi am here to (?:help|support|listen|assist)\b"),
    re.compile(
        r"\b(?:promot|foster|creat|build)\w* (?:an? )?(?:\w+ ){0,2}(?:inclusiv\w*|inclusion|culture of|understanding|"
        r"equality|equity|positive|safe|respectful|welcoming|healthy)\b"
    ),
    re.compile(
        r"\b(?:complex|sensitive|nuanced|multifaceted|delicate) (?:and (?:\w+ ))?(?:issue|topic|subject|matter|"
        r"question)\b"
    ),
    re.compile(r"\b(?:potential|possible|serious|negative) (?:\w+ )?(?:consequences|impact|harm)\b"),
    re.compile(
        r"\b(?:safe|legal|ethical|responsible|respectful|helpful|harmless)(?:,| and|, and) (?:safe|legal|ethical|"
        r"responsible|respectful|helpful|harmless|honest)\b"
    ),
    re.compile(r"\b(?:i (?:can not|do not|will not) (?:condone|support|encourage|endorse|promote))\b"),
    re.compile(r"^(?:ultimately|remember|always remember|in conclusion|overall|together)\b"),
    re.compile(r"\b(?:empathy|compassion|kindness),? (?:and )?(?:empathy|compassion|kindness|understanding|respect)\b"),
)
_PREACHY_PHRASES = 2
_PREACHY_SHARE = 0.25  # phrases a sentence

_REWRITTEN = r"(?:revised|rewritten|revision|rewrite|improved|updated|edited|corrected|modified|rephrased)"
_REPLACING = rf"(?:{_REWRITTEN}|new|better|alternative|safer|final)"
_ANSWER = r"(?:response|answer|reply|version|text|message|output|revision|rewrite)"
_AGREES = r"(?:sure|certainly|of course|absolutely|okay|ok|yes|thank you|thanks|understood|got it)"
_PREAMBLE = any_of(
    rf"(?:{_AGREES}\b[^.!:\n]{{0,40}}[.,!:]* )*(?:here(?: is| are)|below is|this is|"
    rf"the following is)\b[^.:\n]{{0,40}}\b(?:{_REWRITTEN}\b[^.\n]{{0,60}}:|{_REPLACING} (?:\w+ ){{0,2}}{_ANSWER}\b)",
    rf"(?:{_AGREES}[,.!]* )?here is (?:the|my|your|an?|one possible|how i (?:would|might)) (?:\w+ ){{0,3}}"
    r"(?:response|answer|reply|version|rewrite)\b[^.\n]{0,60}:",
    r"#* ?(?:the |my |final |full )?(?:response|reply|revision|rewrite)(?: \d+)? ?:",
    rf"#* ?(?:the |my |full )?(?:{_REWRITTEN}|{_REPLACING} {_ANSWER}|{_REWRITTEN} by the assistant) ?(?:\d+ ?)?:",
    rf"#+ ?{_REPLACING} {_ANSWER}$",
    r"(?:i have|i|we have) (?:now |also )?(?:revised|rewritten|rewrote|edited|updated|modified|"
    r"rephrased)\b[^.\n]{0,60}"
    rf"\b{_ANSWER}\b",
    rf"(?:a|the) {_REPLACING} {_ANSWER} (?:is|could be|would be|might be|follows)\b",
    r"(?:based on|in light of|following|taking) (?:the |this |your |that )(?:\w+ )?(?:critiques?|feedback|criticism)\b",
)

_THE_ANSWER = (
    r"(?:(?:the|my|this|that|your) (?:(?:assistant|ai|model|chatbot|bot)'?s? )?(?:(?:last|previous|prior|original|"
    r"initial|earlier|first|above|old) )(?:response|answer|reply)|(?:the )?(?:assistant|ai|model|chatbot|"
    r"bot)'s (?:\w+ )?(?:response|answer|reply))"
)
_LEAKS = any_of(
    r"\b(?:critique|revision) ?request\b",
    r"(?:^|\s)(?:\*\*)?(?:critique|criticism|critic)(?:\*\*)? ?:",
    r"\bthe (?:critique|criticism|critic)(?:'s)?\b(?! of (?:pure|practical|judgment))",
    rf"\b{_THE_ANSWER}\b",
    r"\bthe (?:revised |rewritten )?(?:response|answer|reply)(?: above| given| provided)? (?:(?:also|still|only|"
    r"clearly|completely) )?(?:fails|encourages|promotes|suggests|lacks|implies|ignores|violates|perpetuates|"
    r"reinforces|contains|could be|could have|should be|should have|should not|does not|did not|was (?:harmful|toxic|"
    r"inappropriate|unethical|offensive|dangerous|not)|is (?:harmful|toxic|inappropriate|unethical|offensive|"
    r"dangerous|problematic|racist|sexist|biased|preachy|unhelpful|not (?:harmful|toxic|helpful)))\b",
    r"\bthe (?:assistant|ai assistant|chatbot) (?:should|could|would|did|does|has|was|is|fails|failed|provides?|"
    r"suggests?|encourages?|might)\b",
    r"\b(?:this|the) (?:revision|rewrite|revised (?:response|version|answer))\b",
    r"\bmy (?:critique|revision|revised)\b",
)
# Critics run on and write the revision too; what stands after such a label is no critique.
_WRITTEN_AHEAD = re.compile(
    r"^\W*(?:revision ?request|revision|revised (?:response|answer|version))\b[^\n:]{0,40}:",
    re.IGNORECASE | re.MULTILINE,
)
_SHARED_RUN = 8  # words in a row
_SHARED_SHARE = 0.4  # of the revision's runs
_LONGEST_RUN = 25  # words in a row that nobody writes twice by chance


@dataclass(frozen=True, slots=True)
class CommonEnding:
    """An ending that several texts share: an example of the last sentence, and how many texts end so."""

    text: str
    count: int
    share: float


def preachy_phrases(text: str) -> int:
    """Count the stock phrases of moralising answers in a text, each pattern once a sentence."""
    sentences = [sentence.plain for sentence in split_sentences(text)]
    return sum(pattern.search(sentence) is not None for sentence in sentences for pattern in _PREACHES)


def is_boilerplate(text: str) -> bool:
    """Say whether stock phrases carry a text: two or more, and at least one for every four sentences."""
    found = preachy_phrases(text)
    return found >= _PREACHY_PHRASES and found >= _PREACHY_SHARE * len(split_sentences(text))


def common_endings(
    texts: Iterable[str], *, n_words: int = 6, min_count: int = 3, min_share: float = 0.05
) -> tuple[CommonEnding, ...]:
    """Find the endings that many texts share, the most common first.

    Args:
        texts: the texts of one set, such as a round's revisions; empty ones count in the share.
        n_words: how many last words must agree (a shorter last sentence agrees as a whole).
        min_count: how many texts must share an ending.
        min_share: what share of the texts must.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    example: dict[tuple[str, ...], str] = {}
    n_texts = 0
    for text in texts:
        n_texts += 1
        sentences = split_sentences(text)
        ending = words(sentences[-1].text)[-n_words:] if sentences else ()
        if ending:
            counts[ending] += 1
            example.setdefault(ending, sentences[-1].text)
    shared = ((ending, count) for ending, count in counts.most_common() if count >= min_count)
    found = (CommonEnding(example[ending], count, count / n_texts) for ending, count in shared)
    return tuple(one for one in found if one.share >= min_share)


def has_preamble(text: str) -> bool:
    """Say whether a text opens by announcing itself, as in "Here is the revised response:" or "Revision:"."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return _PREAMBLE.match(plain(first).lstrip("*_\"'> ")) is not None


def leaks_critique(revision: str, critique: str) -> bool:
    """Say whether a revision talks about the response it revises, or repeats its critique.

    It does where it names the critique or the assistant's answer from outside ("the response fails to", "my previous
    answer"), and where its words are largely the critique's own: 25 in a row, or 40 % of all runs of eight. What the
    critique quotes is left out, since a revision may rightly keep it, and so is a revision that it runs on to.
    """
    if _LEAKS.search(plain(without_quotations(revision))):
        return True
    said, judged = words(revision), words(without_quotations(_WRITTEN_AHEAD.split(critique, maxsplit=1)[0]))
    if not said or not judged:
        return False
    own = _runs(said, _SHARED_RUN)
    n_shared = sum(map(set(_runs(judged, _SHARED_RUN)).__contains__, own))
    if not n_shared:  # then no longer run is shared either
        return False
    return n_shared >= _SHARED_SHARE * len(own) or not set(_runs(judged, _LONGEST_RUN)).isdisjoint(
        _runs(said, _LONGEST_RUN)
    )


def _runs(said: tuple[str, ...], n: int) -> list[tuple[str, ...]]:
    return [said[start : start + n] for start in range(len(said) - n + 1)]
