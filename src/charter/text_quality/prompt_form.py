"""What a prompt asks for, by its form: the same sentence answers one question and objects to another.

"Arson is a crime" answers "What is arson?" and declines "How do I commit arson?".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property, lru_cache

from charter.text_quality.sentences import plain, stems, words

_HARM = re.compile(
    r"\b(?:kill\w*|murder\w*|suicid\w*|die|dying|end (?:my|his|her|their|your|it all)|hurt\w*|harm\w*|attack\w*|"
    r"beat\w*|punch\w*|slap\w*|hit|hitting|stab\w*|shoot\w*|strangl\w*|chok\w*|smother\w*|poison\w*|bomb\w*|"
    r"blow\w* up|explo\w+|weapons?|guns?|rifles?|ammunition|steal\w*|stole\w*|rob|robbing|robber\w*|shoplift\w*|"
    r"burglar\w*|break\w* into|rape\w*|molest\w*|abus\w+|kidnap\w*|hostage\w*|tortur\w*|assault\w*|assassin\w*|"
    r"massacre\w*|genocid\w*|exterminat\w*|eradicat\w*|eliminat\w*|execut\w+|terror\w*|arson|set \w+ (?:\w+ )?on fire|"
    r"burn\w*|destroy\w*|demolish\w*|sabotag\w*|vandal\w*|slash\w*|smash\w*|crush\w*|hack\w*|malware|ransomware|virus|"
    r"phish\w*|scam\w*|fraud\w*|launder\w*|forg\w+|counterfeit\w*|blackmail\w*|extort\w*|brib\w+|smuggl\w*|"
    r"traffick\w*|drugs?|cocaine|heroin|meth\w*|crack|ecstasy|lsd|fentanyl|stalk\w*|spy\w*|dox\w*|harass\w*|bull(?:y|"
    r"ied|ying)|threat\w*|racis\w*|sexis\w*|slurs?|hate\w*|discriminat\w*|inferior|cheat\w*|lie|lying|revenge|"
    r"illegal\w*|without (?:\w+ )?(?:consent|getting caught|being caught|noticing|knowing)|get away with|do away with|"
    r"get rid of|take out|dispose of|dead body|corpse|self-harm|cut myself|overdos\w*|starv\w*|anorexi\w*|evade|"
    r"dodg\w+)\b"
)
_IN_FLIGHT = 1024  # prompts: rows take turns by the hundred, and each reads its own several times
_HUMAN_TURN = re.compile(r"(?:^|\n)\s*Human:\s*(.*?)(?=\n\s*Assistant:|\Z)", re.DOTALL)


class PromptForm(Enum):
    """What a prompt asks for.

    ACTION asks how to do something, or for something to be made; ARGUMENT for reasons in favour of a claim; ADVICE
    whether to; INFORMATION for facts; WRITING for a text in another voice, or for work on a given one. STATEMENT asks
    for nothing.
    """

    ACTION = auto()
    ARGUMENT = auto()
    ADVICE = auto()
    INFORMATION = auto()
    WRITING = auto()
    STATEMENT = auto()


_FORMS: tuple[tuple[PromptForm, re.Pattern[str]], ...] = (
    (
        PromptForm.WRITING,
        re.compile(
            r"\b(?:write|compose|draft|create|generate|tell|make up|give|continue|finish|"
            r"reply)\b[^.?]{0,40}\b(?:story|poem|song|lyrics|dialogue|script|scene|letter|e-?mail|haiku|limerick|"
            r"novel|monologue|play|message|speech|tale|sonnet|screenplay)\b|\b(?:translate|rewrite|paraphrase|"
            r"summari[sz]e|proofread|rephrase|classify|categori[sz]e|role-?play)\b|\b(?:the|this|following|given|"
            r"above|below) (?:\w+ )?(?:article|text|paragraph|passage|sentences?|essay|excerpt|chat|conversation|"
            r"review|document|snippet|aphorism)\b"
        ),
    ),
    (
        PromptForm.ACTION,
        re.compile(
            r"\bhow (?:\w+ )?(?:do|can|could|would|should|might|to|may)(?: (?:i|we|you|one|someone|somebody|people|"
            r"a person)\b|\b(?! \w+s\b))|^where to \w+|"
            r"\bwhere (?:can|do|could|should|would|might) (?:i|we|you|one)\b|\b(?:best|"
            r"easiest|good|quickest|fastest|safest|cheapest|effective|efficient) (?:ways?|plan|method|strategy|place|"
            r"time|approach)\b|\bwhat (?:\w+ )?(?:steps|can|could|should|do|would|methods?|tools?|"
            r"ingredients)(?: \w+)? (?:i|we|you|one)\b|\b(?:a|some) (?:ways?|methods?|tips|tricks|plans?|"
            r"ideas?) (?:to|for|of)\b|\bways? to\b|\btips (?:for|on)\b|\b(?:help|teach|show|give|provide|tell) (?:me|"
            r"us)\b(?! (?:\w+ ){0,3}(?:reasons?|why|what|about|who|when|if|whether))|\b(?:instructions|recipe|"
            r"tutorial|guide|blueprint|step-by-step|code|script|program) (?:for|to|on|that)\b|^(?:please |can you |"
            r"could you |would you |will you )*(?:write|create|generate|make|build|design|draft|plan|give|provide|"
            r"teach|develop|produce|outline|suggest|recommend|find|prepare|implement)\b|\bi (?:want|need|would like|"
            r"plan|intend|am going|am trying|have decided) to\b"
        ),
    ),
    (
        PromptForm.ARGUMENT,
        re.compile(
            r"\bwhy (?:should|is|are|was|were|can|must|would|does|do)\b|\breasons? (?:why|for|that|to)\b|"
            r"\bexplain why\b|\b(?:argument|argue|evidence|case|justif\w+|proof|prove)\b[^?]{0,20}\b(?:that|for|"
            r"against|why)\b"
        ),
    ),
    (
        PromptForm.ADVICE,
        re.compile(
            r"\b(?:should|can|may|could|must|shall) (?:i|we)\b|\bdo you (?:think|recommend|agree|believe)\b|"
            r"\bwhat do you think\b"
        ),
    ),
    (
        PromptForm.INFORMATION,
        re.compile(
            r"\b(?:what|who|whom|whose|which|when|where|how|why|is|are|was|were|does|did|do|has|have|can|"
            r"will)\b[^.!]*\?|^(?:what|who|whom|whose|which|when|where|how|why)\b|\b(?:explain|describe|define|list|"
            r"name|summari[sz]e|compare|discuss|tell me (?:about|what|who|when|if))\b"
        ),
    ),
)


@dataclass(frozen=True)
class Request:
    """What a response answers; its forms are made when first read. ``is_one_turn`` where it is the whole prompt."""

    text: str
    is_one_turn: bool

    @cached_property
    def plain(self) -> str:
        """The request in plain form."""
        return plain(self.text)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its words."""
        return words(self.text)

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of its content words."""
        return stems(self.text)

    @cached_property
    def form(self) -> PromptForm:
        """What is asked for; of several requests the more demanding form decides."""
        return next((form for form, pattern in _FORMS if pattern.search(self.plain)), PromptForm.STATEMENT)

    @cached_property
    def names_harm(self) -> bool:
        """Whether its words can mean harm; those of "How do I kill a process?" can, so this alone proves nothing."""
        return _HARM.search(self.plain) is not None


@lru_cache(maxsize=_IN_FLIGHT)
def read_request(prompt: str) -> Request:
    """Take the last human turn of a transcript, or the whole prompt where it is none."""
    turns = _HUMAN_TURN.findall(prompt) if "Human:" in prompt else []
    whole = prompt.strip()
    request = turns[-1].strip() if turns else whole
    return Request(request, request == whole)
