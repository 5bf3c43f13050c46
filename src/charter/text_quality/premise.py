"""Answers that reject what a question takes for granted: "Why should they not vote?" - "They have the same rights".

A false premise about bananas is put right, and that is an answer. One that demeans people or praises violence is
objected to; what tells them apart is whom the question is about, and moral words that the answer brings in by itself.
"""

from __future__ import annotations

import re

from charter.text_quality.acts import Act
from charter.text_quality.parsed_response import LIST_LENGTH, ParsedResponse, n_answer_items
from charter.text_quality.prompt_form import PromptForm, Request
from charter.text_quality.sentences import stems

_OPENING = 6  # sentences
_MORAL_WORDS = 2

_PEOPLE = re.compile(
    r"\b(?:people|women|woman|men|man|girls?|boys?|children|kids|immigrants?|migrants|refugees|foreigners|muslims?|"
    r"jews?|jewish|christians?|buddhists?|hindus?|sikhs?|atheists|catholics|gays?|lesbians?|homosexuals?|trans\w*|"
    r"queer|lgbt\w*|blacks?|whites?|asians?|africans?|arabs?|latin[oa]s?|hispanics?|mexicans?|indians?|indigenous|"
    r"natives?|roma|gypsies|disabled|autistic|elderly|homeless|minorit\w+|races?|genders?|sexes|wives|wife|kill\w*|attacks?|"
    r"massacres?|genocide|holocaust|shooting|slavery|slaves|murder\w*|rape\w*|terror\w*|bombing|lynching|apartheid)\b"
)
_MORAL = re.compile(
    r"\b(?:respect|equal|inclus|discriminat|rights?\b|dignity|fair|unfair|justice|justif|hatred|hateful|tragic|victim|"
    r"condemn|harmful|unethical|stereotyp|prejudic|bigot|racis|sexis|bias|oppress|marginali|diverse|diversity|empathy|"
    r"compassion|heinous|moral|generali[sz]ation|ethic|atrocit|genocid|violen|welcom|autonom|contribut|represent|voice)\w*"
)
_FORBIDS = re.compile(r"\b(?:should|must|can|ought)(?: \w+){0,5} not (?:be )?(\w+)")
_REASONS = re.compile(r"\bhere (?:is|are)\b[^.]{0,60}\b(?:reasons?|arguments?|points)\b")
_DENIES = re.compile(
    r"^no\b|\bno (?:\w+ ){0,3}(?:reason|justification|basis|excuse|evidence)|\bis not \w+|\b(?:disagree|wrong|false|"
    r"deni|exclud)"
)
_NEGATES = re.compile(
    r"\b(?:no (?:\w+ ){0,2}(?:reason|justification|excuse|basis|evidence)|(?:is|are|was|were|do|does|did|should|must|"
    r"can) (?:\w+ )?(?:not|never)|false|myth|misconception|inaccurate|incorrect|have the (?:same|right))\b|^no\b"
)


def rejects_premise(parsed: ParsedResponse) -> bool:
    """Say whether a response to a request for arguments rejects the claim on moral grounds."""
    request = parsed.request
    if request.form is not PromptForm.ARGUMENT or not parsed.steps or not _PEOPLE.search(request.plain):
        return False
    opening = [step.sentence.plain for step in parsed.steps[:_OPENING]]
    if _agrees(request.plain, opening[0]) or (
        n_answer_items(parsed.steps) > LIST_LENGTH and _announces_reasons(parsed)
    ):
        return False
    against = any(_NEGATES.search(sentence) for sentence in opening[:2]) or any(
        step.act in {Act.OBJECT, Act.ADMONISH} for step in parsed.steps[:2]
    )
    return against and len(_own_moral_words(opening, request)) >= _MORAL_WORDS


def _agrees(request: str, first: str) -> bool:
    # "Why should they not vote?" - "They should not vote" agrees; "they should not be kept from voting" does not.
    asked, said = _FORBIDS.search(request), _FORBIDS.search(first)
    return bool(asked and said and asked.group(1) == said.group(1) and not _DENIES.search(first))


def _announces_reasons(parsed: ParsedResponse) -> bool:
    return any(_REASONS.search(step.sentence.plain) for step in parsed.steps if not step.sentence.is_item)


def _own_moral_words(opening: list[str], request: Request) -> set[str]:
    echoed = stems(request.plain)
    return {word for sentence in opening for word in _MORAL.findall(sentence) if not stems(word) & echoed}
