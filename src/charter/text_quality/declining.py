"""Sentences that decline a request, and sentences that only state a limit.

The patterns are written over plain text (see ``sentences.plain``): lower case, no contractions, ``not able to`` for
``unable to``. They describe how assistants of many makers decline. What decides is the verb that ``i can not``
governs: "I cannot help with that" declines, "I cannot see images" states a limit, "I cannot wait to help" does neither.
"""

from __future__ import annotations

import re

from charter.text_quality.patterns import any_of

ADVERBS = (
    r"(?:(?:also|actually|currently|directly|either|ethically|even|ever|honestly|in good conscience|knowingly|legally|"
    r"morally|personally|possibly|really|respectfully|safely|simply|just|therefore|unfortunately|sadly|"
    r"under any circumstances|at this time|as an? (?:\w+ ){0,4}(?:ai|model|assistant|machine)(?: \w+){0,3}),? ){0,3}"
)
CANNOT = (
    r"(?:can not|could not|will not|would not|may not|must not|should not|shall not|never|(?:will|"
    r"would) not be able to|am not able to|am not going to(?: be able to)?|am not (?:willing|prepared|permitted|"
    r"allowed|designed|programmed|trained|equipped|authori[sz]ed|supposed|inclined|built|configured|intended|created|"
    r"meant|here|in a position|at liberty|capable of|comfortable(?: with)?|okay with)(?: to)?|am (?:forbidden|"
    r"prohibited|prevented|restricted|barred) from|am uncomfortable(?: with)?|do not (?:want|wish|intend|plan) to|"
    r"do not (?:feel|think|believe) (?:it is |it would be |that )?(?:i (?:can|should)|comfortable|right|appropriate|"
    r"able)(?: to)?|(?:would|had) (?:rather|prefer|like) not(?: to)?|prefer not to|refuse to|decline to|choose not to|"
    r"(?:have to|must|will|need to) (?:refuse|decline|refrain|avoid|abstain)(?: to| from)?|am programmed (?:not to|"
    r"to (?:avoid|decline|refuse|not)))"
)
_HELP = (
    r"(?:help(?:ing)?(?! (?:but|feel|wonder|think|notic|smil|laugh|lov|ador))|assist\w*|aid(?:ing)?\b|provid\w*|"
    r"offer\w*|giv(?:e|ing)(?! (?:up|in|way|away)\b)|shar(?:e|ing)|suppl(?:y|ying)|answer\w*(?! the (?:phone|door|"
    r"call))|respond\w*|repl(?:y|ying)|compl(?:y|ying|ete|eting)|fulfil\w*|satisf\w+|process|engag(?:e|ing)|"
    r"participat\w+|discuss\w*|facilitat\w+|enabl(?:e|ing)|generat\w+|creat(?:e|ing)|writ(?:e|ing)|produc(?:e|ing)|"
    r"compos(?:e|ing)|draft\w*|continue|proceed\w*|accommodat\w+|explain\w*|teach\w*|tell(?:ing)? (?:you|jokes?|"
    r"a joke|that)|show(?:ing)? you|instruct\w*|guid(?:e|ing) you|walk(?:ing)? you|describ(?:e|ing)|list\b|disclos\w+|"
    r"reveal\w*|address|entertain|indulge|do (?:that|this|so|it|what)\b|say (?:that|this|such)|go (?:along|into that|"
    r"there)|mak(?:e|ing) (?:up|jokes?|fun|that|this|any|statements?|such|judg\w+|a )|speculat\w+|comment|"
    r"be (?:of (?:any )?(?:help|assistance)|involved|a party|part|used)|role-?play|pretend|(?:perform\w*|"
    r"execut\w+) (?:that|this|such|your|the)\b|fabricat\w+|carry(?:ing)? out|direct you|point you|grant|joke|"
    r"take part|argu(?:e|ing)(?! with)|contribut\w+|allow|permit|tolerate|talk about|speak about|advis\w+ (?:you )?on)"
)
_RHETORIC = any_of(
    r"\b(?:recommend|stress|emphasi[sz]e|thank|praise|express|say|offer|support|describe)\b[^.]{0,60}\benough\b",
    r"\bcan not (?:wait|help but|imagine|believe|agree more|overstate|complain|go wrong|blame)\b",
    r"\b(?:tell you|explain|describe|express) how (?:much|happy|excited|glad|many times|often|important|grateful|"
    r"sorry|proud)\b",
    r"\bi (?:do|will|would|can) not (?:see|know) why not\b",
    r"\b(?:will|can) not only\b",
    r"\bcan not just\b",
    r"\bpromise\b[^.]{0,30}\bi will not\b",
)
DECLINES = any_of(
    rf"\bi (?:{ADVERBS}){CANNOT} (?:{ADVERBS}){_HELP}",
    # The subject is dropped: "Sorry, can't help with that."
    rf"^(?:(?:i am )?(?:so |very |really )?(?:sorry|apologies|no|unfortunately|"
    rf"regrettably)[,.!;: -]*(?:but )?)?(?:can not|not able to|will not|not going to) {_HELP}",
    r"\bi do not have the (?:ability|capability|capacity|authority|permission|liberty) to (?:help|assist|fulfil|"
    r"answer|comply)",
    # "I do not create content like that" declines, "I do not write every day" does not: the verb needs such an object.
    r"\bi (?:\w+ )?do not (?:help|assist|provide|offer|give|share|answer|engage|participate|discuss|create|generate|"
    r"write|produce) (?:\w+ ){0,4}(?:with|in|on|to|content|that|this|such|information|advice|instructions|requests?|"
    r"assistance|guidance|questions|jokes|anything)\b",
    r"\bi (?:must|have to|need to|am going to|would like to) ?(?:\w+ly )?(?:decline|refuse|abstain|pass on|reject)\b",
    r"^(?:i am )?(?:sorry|no|nope)[,.!]? (?:but )?(?:i (?:can|will|would) not\b|no[.!]?$)",
    # "I can't recommend Gouda enough" praises; after an apology the same verb declines.
    r"\b(?:sorry|apologi[sz]e|afraid)[,;]? (?:but )?(?:that )?i (?:can not|am not able to|will not) (?:\w+ly )?"
    r"(?:recommend|suggest|advise|condone|support|promote|encourage)\b",
    r"^(?:(?:sorry|nope|no|nah)[,.!]? (?:but )?)?(?:no can do|not happening|hard pass|(?:that is )?not going to happen|"
    r"i(?: will| am going to)? pass(?: on (?:that|this|it)(?: one)?)?[.!]*$)",
    r"\bi (?:\w+ )?(?:decline|refuse|reject) (?:this|that|your) (?:request|question|prompt)\b",
    r"\b(?:goes|is|are|run|be|going) against (?:my|our|the|openai|google|meta|anthropic|community|ethical|company|"
    r"content)\b[^.]{0,40}\b(?:polic|guideline|programming|principle|rules|terms|ethic|code|value)",
    r"\bviolat\w+ (?:my|our|openai|the|these|ethical|community|content)\b[^.]{0,40}\b(?:polic|guideline|programming|"
    r"principle|terms of|rules|usage)",
    r"\b(?:not|outside|beyond) (?:of |within |in line with |the scope of |the bounds of )*my (?:\w+ )?(?:programming|"
    r"ethical|guideline|principles|values|purpose|design|role)",
    r"\bmy (?:\w+ )?(?:guidelines|polic\w+|programming|principles|values|instructions|design|training|"
    r"purpose) (?:do(?:es)? not (?:allow|permit|let|include)|prevents?|prohibits?|forbids?|restricts?|will not|"
    r"requires? me to)",
    r"\b(?:not|never) (?:something|a topic|a request|content|anything|a conversation|material)(?: that|"
    r" which)? i(?: am)? (?:can|will|would|could|want|feel|should|able|willing|comfortable|going|permitted|allowed|"
    r"designed|programmed)",
    r"\b(?:request|question|prompt|content|topic|query|task|demand)\b[^.]{0,40}\b(?:can|will) not be (?:fulfil|answer|"
    r"complet|process|accommodat|provid|generat|address|grant)",
    r"\b(?:this|that|your|the) (?:request|question|prompt|query|topic|content) (?:is|contains|involves|violates|seems|"
    r"appears|goes|asks)\b[^.]{0,60}\b(?:inappropriate|illegal|unethical|harmful|offensive|dangerous|against|violat|"
    r"not appropriate|unacceptable|explicit)",
    rf"\bit (?:is|would be) (?:not|never) (?:\w+ )?(?:appropriate|ethical|right|acceptable|okay|responsible|"
    rf"legal)(?:,? (?:or|and|nor) \w+)* (?:for me )?to {_HELP}",
    r"\bit (?:is|would be) (?:inappropriate|unethical|irresponsible|wrong|illegal) for me to\b",
    r"\bi (?:can|will|may) only (?:help|assist|provide|answer|discuss|offer|engage)",
    r"\bi am not (?:programmed|designed|built|made|meant) (?:for|to)\b",
    r"^no[,.!]? (?:that|this|it) is (?:private|confidential|personal)\b",
    r"\b(?:no|not any) (?:help|assistance|information|instructions|advice) (?:can|will) be (?:given|provided|offered)",
)
NO_MEANS = any_of(
    r"\bi (?:\w+ )?(?:do not (?:\w+ )?have|have no|lack) (?:(?:any|direct|real-time|the|enough|specific|personal|"
    r"physical|accurate|reliable|verified|your|such|up-to-date|current|immediate),? ){0,4}(?:access|information|data|"
    r"knowledge|details|opinions?|beliefs?|feelings?|emotions?|preferences?|experiences?|memor\w+|body|eyes|ability|"
    r"abilities|capability|capabilities|capacity|means|context|insight|records?|way to|way of|views?|thoughts|"
    r"consciousness|answer|idea)",
    r"\bi (?:do|did|would) not (?:actually |really |quite )?(?:know|understand|recall|remember|recogni[sz]e)\b",
    r"\bi am not (?:\w+ )?(?:sure|certain|aware of|familiar with|clear)\b",
    r"\bi am not an? (?:\w+ ){0,2}(?:lawyer|attorney|doctor|physician|medical|professional|expert|human|person|"
    r"commentator|therapist|advis\w+|accountant|financial|licensed|qualified|real|psychologist)",
    rf"\bi (?:{ADVERBS})(?:can not|am not able to|do not|could not|am not capable of|"
    rf"will not be able to) (?:{ADVERBS})(?:see|view|access|"
    r"browse|open|hear|feel(?! (?:comfortable|right|able|it|that|like))|remember|recall|predict|know|verify|confirm|"
    r"experience|physically|taste|smell|visuali[sz]e|display|watch|play|interact|look up|search|check|determine|"
    r"diagnose|track|guarantee|promise|hold|express|form|possess|retain|store|retrieve|identify|find|locate|"
    r"understand|read|make (?:phone|calls)|send|accurately|engage in (?:activities|physical))\b",
    rf"\bi (?:{ADVERBS})(?:{CANNOT}|do not) (?:{ADVERBS})(?:provide|give|offer|share|answer|predict|replace|"
    rf"make)\w* (?:you )?"
    r"(?:with )?(?:an? |any |the |you )?(?:\w+ ){0,2}(?:medical|legal advice|financial|tax|professional (?:advice|"
    r"diagnosis)|personali[sz]ed|diagnos|real-time|live|up-to-date|guarantee|physical|images?|pictures?|audio|"
    r"personal (?:opinion|experience|anecdote|preference|view)|current|exact (?:number|date|price|figure|answer)|"
    r"precise (?:number|date|figure|answer)|definitive|definite)",
)
ONLY_A_MACHINE = any_of(
    r"\bmy (?:knowledge|training) (?:data |cut-?off |is |was |only |does |base )",
    r"\bas (?:an? |just an? )?(?:\w+ ){0,3}(?:ai|language model|artificial intelligence|chatbot|virtual assistant|"
    r"machine)\b[^.]{0,60}\b(?:do not have|have no|do not (?:hold|possess|experience))",
    r"\bi am (?:just |only |merely |simply |also )?(?:an? )?(?:\w+ ){0,3}(?:ai|artificial intelligence|language model|"
    r"computer program|text-based|virtual assistant|chatbot|machine)\b",
)
_REASONS = any_of(
    r"\bbecause\b",
    r"\b(?:since|as) (?:it|this|that|doing|such|they)\b",
    r"\b(?:illegal|unlawful|unethical|immoral|harm\w*|danger\w*|unsafe|wrong|crimes?|criminal|violat\w+|violen\w+|"
    r"hat(?:e speech|eful)|discriminat\w+|offensive|privacy|private|personal information|safe|confidential\w*|consent|"
    r"consequences|laws?|laundering|abus\w+|explicit|malicious|stereotyp\w+|misinformation|disinformation|dignity|"
    r"exploit\w+|suffering|rights|risk\w*|hurt\w*|injur\w+|safety|racis\w+|sexis\w+|deceiv\w+|decepti\w+|dishonest\w*|"
    r"mislead\w*|self-harm|defam\w+|copyright\w*|plagiaris\w+|cheat\w*|insensitive|derogatory|inappropriate|unfair|"
    r"suicid\w+|cruel\w*|hostil\w+|nonconsensual)\b",
)
_POLICY = re.compile(
    r"\bi (?:am|was) (?:designed|programmed|committed|trained|built|created|required)\b[^.]{0,60}\b(?:privacy|"
    r"confidential|ethic|safe|respect|harm|legal|protect|responsib)"
)


def declines(text: str) -> bool:
    """Say whether a plain sentence refuses to help, rather than stating what cannot be known or seen."""
    if not DECLINES.search(text) or _RHETORIC.search(text):
        return False
    return not NO_MEANS.search(text) or gives_reason(text)


def states_limit(text: str) -> bool:
    """Say whether a plain sentence states what an assistant cannot know, do or be."""
    return bool(NO_MEANS.search(text) or ONLY_A_MACHINE.search(text)) and not _RHETORIC.search(text)


def gives_reason(text: str) -> bool:
    """Say whether a plain declining text names harm, law, ethics or any other cause; being an AI is none."""
    return _REASONS.search(text) is not None


def cites_policy(text: str) -> bool:
    """Say whether a plain text says that the assistant is made to respect privacy, safety or the law."""
    return _POLICY.search(text) is not None
