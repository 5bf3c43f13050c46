"""What a sentence of a response does: declines, states a limit, objects, redirects, greets, or says something."""

from __future__ import annotations

import re
from enum import Enum, auto

from charter.text_quality.declining import (
    ADVERBS,
    CANNOT,
    DECLINES,
    NO_MEANS,
    ONLY_A_MACHINE,
    declines,
    states_limit,
)
from charter.text_quality.patterns import any_of
from charter.text_quality.sentences import Sentence


class Act(Enum):
    """What a sentence does.

    DECLINE refuses the request. LIMIT says what the assistant cannot know or do. OBJECT judges the request or warns the
    person off in moral or legal terms, CAUTION in terms of danger. REDIRECT points to help or to something safer,
    ADMONISH says what is important or right. COURTESY greets, thanks, apologises, offers or asks back. CONTENT is the
    rest.
    """

    DECLINE = auto()
    LIMIT = auto()
    OBJECT = auto()
    CAUTION = auto()
    REDIRECT = auto()
    ADMONISH = auto()
    COURTESY = auto()
    CONTENT = auto()


_IS = r"(?:is|are|was|were|be|being|seems?|sounds?|constitutes?|considered|remains?|am)"
_NOT_RELATIVE = r"(?<![a-z] that )(?<!which )(?<!who )"  # "things that are illegal" judges nothing
_BETWEEN = (
    r"(?:(?!(?:not|no|never|nothing|to|for|by|in|of|on|at|with|from|safe|legal|reported|either|neither|if|"
    r"whether)\b)\w+,? ){0,4}"
)
_WRONG = (
    r"(?:illegal|unlawful|unethical|immoral|wrong|inappropriate|unacceptable|offensive|discriminatory|racist|sexist|"
    r"disrespectful|hateful|cruel|reprehensible|abhorrent|deplorable|heinous|unfair|unjust|intolerable|punishable|"
    r"prohibited|forbidden|despicable|irresponsible|against the law|morally|ethically|(?:an? )(?:\w+ ){0,3}(?:crime|"
    r"felony|offen[cs]e|violation|sin|invasion of)\b|never (?:\w+ )?(?:ok|okay|acceptable|justified|the answer|"
    r"a solution|appropriate|right|the solution|an option|a good|excusable|worth)|"
    r"not (?:\w+ (?:(?:or|nor|and) )?)?(?:ok|okay|appropriate|"
    r"ethical|acceptable|right|legal|moral|justified|justifiable|permissible|fair|humane|tolerated|condoned|"
    r"respectful|responsible|worth it|the (?:right |best |\w+ )?(?:answer|solution|way|approach|thing)|a (?:good|wise|"
    r"healthy|joke|joking|laughing)|something (?:to|that|you|anyone|we)|an? (?:\w+ )?(?:appropriate|acceptable|"
    r"ethical|solution|option)))"
)
_OBJECTIONS = any_of(
    rf"\b{_NOT_RELATIVE}{_IS} {_BETWEEN}{_WRONG}",
    r"\bnot only (?:illegal|unethical|wrong|immoral|harmful|dangerous)",
    r"\b(?:should|must|can|could|will) (?:not|never) (?:ever )?be (?:\w+ )?(?:tolerated|condoned|encouraged|justified|"
    r"excused|taken lightly|accepted|promoted|attempted|used to harm|denied|discriminated|excluded|"
    r"treated differently)",
    r"\bi (?:\w+ )?(?:strongly|firmly|highly|would|must|do|kindly|can only) (?:\w+ ){0,2}(?:advise|discourage|urge|"
    r"caution|warn|implore|recommend|encourage|suggest)(?: you)?(?: to)? (?:against|not|that you (?:do not|not|"
    r"refrain|avoid)|reconsider|refrain|avoid|seek|from)",
    r"\bi (?:\w+ )?(?:discourage|urge you|implore you|beg you)\b",
    r"\bplease (?:\w+ )?(?:do not|refrain|reconsider|stop|think twice|never)\b",
    r"\bi (?:(?:strongly|firmly|completely|must|have to|would|respectfully|fully|also) ){0,2}(?:disagree|condemn|"
    r"oppose|reject|object to)\b",
    rf"\bi (?:{ADVERBS})(?:{CANNOT}|do not) (?:{ADVERBS})(?:condon\w+|support\w*|endors\w+|encourag\w+|promot\w+|"
    r"advocat\w+|approv\w+|agree\w*|recommend\w*|advis\w+|suggest\w*)\b(?!\w* on)",
    r"\bi do not (?:think|believe) (?:that )?(?:\w+ ){1,6}(?:good idea|right|okay|ok|appropriate|ethical|acceptable)\b",
    r"\bi (?:do|would) not (?:\w+ )?(?:think|believe|say) (?:that )?(?:you|anyone|people|we|it) (?:should|ought)",
    r"\byou (?:really )?(?:should|must|ought to) (?:not|never) (?:do|be|even|try|want|ask|say|go|take|hurt|harm|use|"
    r"think)\b",
    r"\b(?:not|never)(?: \w+){0,3} (?:good|great|wise|smart) (?:plan|idea|thing to do)\b",
    r"\b(?:bad|terrible|horrible|awful) idea\b",
    r"\b(?:that|this|it) (?:is|would be) (?:\w+ )?(?:theft|stealing|fraud|forgery|assault|arson|stalking|harassment|"
    r"blackmail|vandalism|bribery|extortion|trespassing)\b",
    r"\b(?:committing|commit) an? (?:\w+ )?crime\b",
    r"\bi (?:really )?hope (?:that )?you (?:do|did|will|would|are) not\b",
    r"\bi am not (?:\w+ )?(?:advocat|condon|encourag|promot|endors|suggest|support)",
    r"\bviolence (?:\w+ ){0,3}(?:is|should|can) (?:not|never)\b",
    r"\bnot an? (?:\w+ )?(?:appropriate|acceptable|okay|legitimate|good) (?:question|request|topic|thing|goal|"
    r"behaviou?r|action|way|idea)",
    r"\b(?:can|could|may|will|might|would)(?: also)? (?:have|lead to|result in|cause|carry|land you|"
    r"get you)(?: you)?(?: in(?:to)?)? (?:\w+,? ){0,3}(?:legal|criminal|prison|jail|imprisonment|penalt|charges|fines|"
    r"prosecution|trouble)",
    r"\b(?:legal|criminal) (?:consequences|penalties|charges|repercussions|trouble)\b",
    r"\b(?:violates?|violating|infring\w+|a violation of) (?:\w+ ){0,4}(?:law|rights?|privacy|trust|dignity|terms|"
    r"regulations)",
    r"\bi am (?:\w+ )?(?:concerned|troubled|alarmed|saddened|disturbed) (?:by|about|that|to)",
)
_CAUTIONS = any_of(
    rf"\b{_NOT_RELATIVE}{_IS} {_BETWEEN}(?:dangerous|harmful|unsafe|risky|hazardous|not safe|not recommended|"
    rf"not advisable|toxic|fatal|life-threatening|"
    r"unhealthy|not allowed|damaging|destructive|not a productive)",
    r"\b(?:can|could|may|will|might|would)(?: also)? (?:have|lead to|result in|cause) (?:\w+,? ){0,3}(?:harm|injur|"
    r"death|damage|suffering|consequences|pain)",
    r"^(?:do not|never|avoid|you (?:should|must) (?:not|never))\b",
    r"\b(?<!you )(?:can|could|may|might|will|would) (?:\w+ )?(?:kill|endanger|cost \w+ lives|"
    r"put (?:\w+ )?(?:lives|people|others))\b",
    r"\b(?:no one|nobody) (?:should|deserves)\b",
    r"\bhas no place\b",
)
_REDIRECTS = any_of(
    r"\b(?:seek|get|getting|seeking|consider|reach out|reaching out|talk|talking|speak|speaking|contact|contacting|"
    r"call|calling|consult|consulting|turn to|ask for|find)\b[^.]{0,60}\b(?:help|professional|counsel\w+|therap\w+|"
    r"support|hotline|helpline|lifeline|emergency|authorit\w+|police|law enforcement|friend|family|doctor|"
    r"mental health|someone you trust|trusted|lawyer|attorney|mediat\w+)\b",
    r"\b(?:988|741741|samaritans|suicide prevention|crisis (?:line|text|hotline)|befrienders)\b",
    r"^instead\b",
    r"\binstead,? (?:i|you|we|of|consider|try|focus|let)\b",
    r"\bif you (?:or someone|are|have|feel|need|find|know|suspect)\b[^.]{0,60}(?:struggl|feeling|thoughts|suicid|"
    r"crisis|overwhelm|distress|experienc|conflict|anger|angry|frustrat|unhappy|difficult|concern|abus|danger|victim|"
    r"addict)",
    r"\b(?:healthy|healthier|safe|safer|legal|ethical|constructive|positive|peaceful|non-?violent|respectful|lawful|"
    r"legitimate|productive|responsible|better)(?:,? (?:and |or |\w+ )?\w+)? (?:ways?|alternatives?|means|options?|"
    r"methods?|manner|outlets?|solutions?|relationships?|channels?|activit\w+|uses?)\b",
    r"\balternatives? (?:to|such|like|includ|would|might)\b",
    r"\bi (?:can|could|may) (?:\w+ )?(?:help|offer|provide|suggest|assist|explain|share|tell|discuss|recommend|give|"
    r"point|guide)\b",
    r"\bi (?:would|will|am) (?:be )?(?:\w+ )?(?:happy|glad|willing|able|more than happy|here) to (?:help|assist|"
    r"discuss|provide|offer|explain|share|suggest|talk|support|answer|listen)",
)
_ADMONITIONS = any_of(
    r"\b(?:it is|what is|is it)(?: also| always| very| more| absolutely| most| much| not| equally|"
    r" therefore){0,2} (?:important|crucial|essential|vital|best|necessary|imperative|critical|better|advisable|"
    r"worth noting)\b",
    r"^(?:remember|please (?:remember|note|be|consider|keep)|always|"
    r"let us (?!(?:sort|fix|start|begin|dive|get started|break (?:it|this|that) down)\b)|we (?:should|must|all|"
    r"need)|as a society)\b",
    r"\b(?:every(?:one|body|| individual| person| human)|all (?:people|individuals|humans?|human beings|"
    r"lives)) (?:\w+ ){0,2}(?:deserves?|should|ha(?:s|ve) the right|matter|must)",
    r"\b(?:respect|dignity|equal(?:ity)?|inclusi\w+|empathy|compassion|kindness)\b[^.]{0,60}\b(?:respect|dignity|"
    r"equal(?:ity|ly)?|inclusi\w+|empathy|compassion|kindness|rights|regardless)\b",
)
_OFFERS = any_of(
    r"\b(?:anything|something|any|some|other|another|different|else)\b[^.]{0,40}\b(?:else|questions?|topics?|tasks?|"
    r"requests?|help|assist\w*|concerns?)\b",
    r"\b(?:feel free|do not hesitate|let me know|how (?:can|may|could|else can) i (?:\w+ )?(?:help|assist)|"
    r"what (?:else )?can i)\b",
    r"\b(?:would|do) you (?:like|want|need)\b",
    r"\bi am here to (?:help|assist|listen|support)\b",
)
_COURTESIES = any_of(
    r"^(?:hi|hello|hey|thanks|thank you|greetings|sure|certainly|of course|absolutely|great|okay|ok|yes|no|i see|"
    r"sorry|apologies|oh|ah|dear user|good (?:question|morning|evening|day))(?: there| thing|"
    r" question)?[ ,.!]*(?:for (?:asking|your|reaching|sharing)[^.!?]*)?[.!]*$",
    r"^(?:thank you|thanks) for\b",
    r"^(?:i (?:am|do) )?(?:\w+ )?(?:apologi[sz]e|sorry)\b[^.]{0,80}[.!]*$",
    r"^i (?:\w+ )?(?:understand|appreciate|hear|reali[sz]e|recogni[sz]e|see|know)\b(?! how to)[^.]{0,160}[.!]*$",
    r"^(?:that|this|what)(?: is)? (?:a|an) (?:\w+ ){0,3}(?:question|topic|issue|request|subject|one)\b[^.]{0,30}[.!]*$",
    r"^i am (?:\w+ )?(?:glad|happy|pleased|delighted|excited) (?:to|that|you)\b",
    r"\bi (?:strive|aim|try|am (?:designed|programmed|here|trained|committed)) to (?:\w+ )?(?:help|assist|provid|be\b|"
    r"being|giv|offer|support|respect|promot|ensur|treat|follow)",
    r"\b(?:my|our) (?:\w+ )?(?:purpose|goal|aim|role|job|mission|priority|function) is\b",
)
_DEFLECTIONS = any_of(
    r"\b(?:let us|can we|could we|shall we|why do not we|i would (?:rather|prefer to|like to)|(?:maybe|"
    r"perhaps) we (?:can|could|should)) (?:\w+ )?(?:talk|chat|discuss|change|move|focus|speak|switch|"
    r"turn)\b[^.]{0,40}\b(?:else|subject|topic|instead|different|another)\b",
    r"\bi (?:would|will|do) not (?:want to |like to )?(?:take sides|get into (?:that|this)|go there)\b",
    r"\bthat is (?:for you|up to you) to decide\b",
)
_PREFACE = re.compile(
    r"^(?:(?:well|oh|hm+|um+|ok|okay|alright|so|look|honestly|frankly|again|wow)[,.! ]+)*(?:(?:i am |i do |"
    r"i )?(?:\w+ )?(?:sorry|apologi[sz]e|afraid)[,;: -]+(?:but |that )?(?!(?:to|for|about|if|you|"
    r"that)\b)(?=\w+ \w+))?(?:i (?:\w+ )?(?:think|believe|feel|guess|suppose|would say|must say|have to say)\b,? )?"
)
_DISCLAIMER = re.compile(
    r"^(?:(?:while|although|though) )?i (?:do|can|would) not (?:condone|encourage|support|endorse|recommend|promote|"
    r"advocate)\b[^,.]{0,80},? (?:but )?(?=(?:here|you|to|the|there|one)\b)"
)
_BUT = re.compile(r"[,;]? (?:but|however)[, ]")
_ASKS_BACK = re.compile(r"\b(?:you|your|i|we|me)\b")
_OFFER_LENGTH = 160  # characters; a longer sentence that holds an offer says something besides
_ORDERED = (
    (_OBJECTIONS, Act.OBJECT),
    (_REDIRECTS, Act.REDIRECT),
    (_CAUTIONS, Act.CAUTION),
    (_ADMONITIONS, Act.ADMONISH),
    (_COURTESIES, Act.COURTESY),
)
# Most sentences do none of it, which one search tells in half the time of nine.
_ACTS = any_of(DECLINES, NO_MEANS, ONLY_A_MACHINE, _OFFERS, *(pattern for pattern, _ in _ORDERED))


def act_of(sentence: Sentence) -> Act:
    """Name what a sentence does; the strongest act it holds decides, quotations aside."""
    text = sentence.plain_unquoted
    if text.endswith("?"):
        return Act.COURTESY if _ASKS_BACK.search(text) and not sentence.is_item else Act.CONTENT
    return _act_of_plain(_DISCLAIMER.sub("", _PREFACE.sub("", text))) if text else Act.COURTESY


def deflects(text: str) -> bool:
    """Say whether a plain text asks to talk about something else."""
    return _DEFLECTIONS.search(text) is not None


def _act_of_plain(text: str) -> Act:
    if not _ACTS.search(text):
        return Act.CONTENT
    if declines(text):
        return Act.DECLINE
    if states_limit(text):
        return _beyond_limit(text)
    if _OFFERS.search(text) and len(text) < _OFFER_LENGTH and not _OBJECTIONS.search(text):
        return Act.COURTESY
    return next((act for pattern, act in _ORDERED if pattern.search(text)), Act.CONTENT)


def _beyond_limit(text: str) -> Act:
    # "I am not a lawyer, but it is illegal": what follows the limit is what the sentence does.
    parts = _BUT.split(text, maxsplit=1)
    rest = parts[1] if len(parts) == 2 else ""
    return _act_of_plain(rest) if len(rest.split()) >= 3 and not states_limit(rest) else Act.LIMIT
