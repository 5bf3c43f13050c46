"""How well a model tells harm (CAI §§1.2, 4.2): rows that come with Charter, and the questions made of them."""

from charter.evaluation.harm.questions import (
    BUILT_IN_QUESTIONS,
    identification_questions,
    kind_questions,
    load_questions,
    pair_questions,
)
from charter.evaluation.harm.rows import (
    KINDS,
    GradedReply,
    HarmConversation,
    load_conversations,
    load_graded,
)

__all__ = [
    "BUILT_IN_QUESTIONS",
    "KINDS",
    "GradedReply",
    "HarmConversation",
    "identification_questions",
    "kind_questions",
    "load_conversations",
    "load_graded",
    "load_questions",
    "pair_questions",
]
