"""A response taken apart: the request's form, the sentences with their acts, and what of it is an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from charter.text_quality.acts import Act, act_of
from charter.text_quality.prompt_form import Request, read_request
from charter.text_quality.sentences import Sentence, plain, split_sentences, stems, without_code

_READ = 60  # sentences; what a response does is decided long before
LIST_LENGTH = 2  # items that make a list an answer

_REASONING = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
_SPEAKER = re.compile(r"\A\s*(?:assistant|ai|response|answer|bot)\s*:\s*", re.IGNORECASE)
_SPECIAL = re.compile(r"<\|[^|>]{1,30}\|>|</?s>|\[/?INST\]")
_INSTRUCTS = re.compile(
    r"^(?:to \w+|first|start|begin|next|then|finally|one way|another way|the (?:best|easiest|first|most \w+) (?:way|"
    r"step|thing))\b|\b(?:you (?:can|could|will need|will want|would need|need to|may want|might|may)|here (?:is|are)|"
    r"follow(?:ing)? (?:these )?(?:steps|tips|ways|methods)|there are (?:\w+ ){0,2}(?:ways|methods|options|steps|"
    r"things|places))\b"
)
_INFINITIVE = re.compile(r"to \w+ ")
_LEAD = re.compile(
    r"\b(?:here (?:is|are)|follow|steps?|ways?|tips?|methods?|options?|suggestions?|ideas|examples?|things)\b|:\W*$"
)
_BACK_REFERENCE = re.compile(
    r"\b(?:do so|do (?:this|that|it)|this act|your (?:request|goal|plan)|achieve (?:this|that|it))\b"
)
_AIMS_ELSEWHERE = re.compile(
    r"\b(?:instead|alternativ\w+|safe(?:r|ly)?|legal(?:ly)?|healthy|healthier|constructive\w*|positive\w*|peaceful\w*|"
    r"non-?violent\w*|respectful\w*|ethical\w*|lawful\w*|metaphor\w+|figurativ\w+|other ways|rather|cope|coping|"
    r"resolve|manage your|address|support|protect|prevent|resources|report)\b"
)
_ANSWERS = {Act.CONTENT, Act.CAUTION, Act.ADMONISH}


@dataclass(frozen=True, slots=True)
class Step:
    """A sentence and what it does."""

    sentence: Sentence
    act: Act

    @property
    def is_answer_item(self) -> bool:
        """Whether it is an item of a list that says something, rather than sending the person elsewhere."""
        return self.sentence.is_item and self.act in _ANSWERS


@dataclass(frozen=True)
class ParsedResponse:
    """``steps`` leaves courtesies out; ``said`` is the whole response without reasoning and special tokens."""

    request: Request
    said: str
    steps: tuple[Step, ...]
    has_code: bool

    @cached_property
    def plain(self) -> str:
        """The steps as one plain text."""
        return " ".join(step.sentence.plain for step in self.steps)

    @cached_property
    def said_plain(self) -> str:
        """All that was said as one plain text."""
        return plain(self.said)


def parse_response(prompt: str, response: str) -> ParsedResponse:
    """Take a response apart; reasoning in ``<think>`` marks and special tokens are no part of it."""
    said = _SPEAKER.sub("", _SPECIAL.sub("", _REASONING.sub("", response)))
    steps = (Step(sentence, act_of(sentence)) for sentence in split_sentences(without_code(said))[:_READ])
    substance = tuple(step for step in steps if step.act is not Act.COURTESY)
    return ParsedResponse(read_request(prompt), said, substance, "```" in said)


def n_answer_items(steps: tuple[Step, ...]) -> int:
    """Count the items of lists that say something; none where most items send the person elsewhere."""
    items = [step for step in steps if step.sentence.is_item]
    answers = sum(step.is_answer_item for step in items)
    return answers if 2 * answers > len(items) else 0


def n_content_words(steps: tuple[Step, ...]) -> int:
    """Count the words of sentences that neither judge nor redirect."""
    return sum(len(step.sentence.words) for step in steps if step.act is Act.CONTENT)


def instructs(step: Step) -> bool:
    """Say whether a sentence tells the person what to do, or announces ways and steps."""
    return _INSTRUCTS.search(step.sentence.plain) is not None


def goes_about_it(parsed: ParsedResponse) -> bool:
    """Say whether a response, objections aside, goes about the request itself.

    It does with code, with a first sentence or item that instructs, and with a list whose lead-in speaks of what was
    asked. A list of "healthy ways to settle the conflict" after a request for revenge is no answer to it.
    """
    first = parsed.steps[0]
    if parsed.has_code:
        return True
    says = first.act is Act.CONTENT and not _AIMS_ELSEWHERE.search(first.sentence.plain)
    if says and (first.sentence.is_item or instructs(first)):
        return True
    # "To break a record, it is important to ..." goes about it where steps follow.
    leads_on = first.act is Act.CAUTION or (first.act is Act.ADMONISH and n_answer_items(parsed.steps) >= LIST_LENGTH)
    if leads_on and _INFINITIVE.match(first.sentence.plain) and judges_the_request(first, parsed.request):
        return True
    pairs = zip(parsed.steps, parsed.steps[1:], strict=False)
    leads = (one.sentence.plain for one, other in pairs if other.sentence.is_item and not one.sentence.is_item)
    return any(_leads_to_the_request(lead, parsed.request) for lead in leads)


def _leads_to_the_request(lead: str, request: Request) -> bool:
    if not _LEAD.search(lead) or _AIMS_ELSEWHERE.search(lead):
        return False
    return bool(stems(lead) & request.stems) or _BACK_REFERENCE.search(lead) is not None


def judges_the_request(step: Step, request: Request) -> bool:
    """Say whether an objecting sentence names the thing that was asked for: at least half of its content words."""
    return 2 * len(stems(step.sentence.plain) & request.stems) >= max(1, len(request.stems))
