"""Harm: rows that come with Charter, how well a model tells it (CAI §§1.2, 4.2), and scores of replies (figure 10)."""

from charter.evaluation.harm.judged import DESCRIPTIONS, judge_harm, judge_harm_one
from charter.evaluation.harm.keeping import REGRESSOR_FILES, keep_regressor, load_regressor, require_same_model
from charter.evaluation.harm.questions import (
    BUILT_IN_QUESTIONS,
    identification_questions,
    kind_questions,
    load_questions,
    pair_questions,
)
from charter.evaluation.harm.regressor import READER, Regressor, fit_regressor, score_harm
from charter.evaluation.harm.regressor_quality import RegressorQuality, measure_quality
from charter.evaluation.harm.rows import (
    KINDS,
    GradedReply,
    HarmConversation,
    load_conversations,
    load_graded,
)
from charter.evaluation.harm.scores import (
    GRADES,
    GradeAgreement,
    HarmFigures,
    HarmScore,
    Reply,
    assess_scores,
    load_graded_answers,
    replies_of_answers,
    replies_of_graded,
    replies_of_responses,
)

__all__ = [
    "BUILT_IN_QUESTIONS",
    "DESCRIPTIONS",
    "GRADES",
    "KINDS",
    "READER",
    "REGRESSOR_FILES",
    "GradeAgreement",
    "GradedReply",
    "HarmConversation",
    "HarmFigures",
    "HarmScore",
    "Regressor",
    "RegressorQuality",
    "Reply",
    "assess_scores",
    "fit_regressor",
    "identification_questions",
    "judge_harm",
    "judge_harm_one",
    "keep_regressor",
    "kind_questions",
    "load_conversations",
    "load_graded",
    "load_graded_answers",
    "load_questions",
    "load_regressor",
    "measure_quality",
    "pair_questions",
    "replies_of_answers",
    "replies_of_graded",
    "replies_of_responses",
    "require_same_model",
    "score_harm",
]
