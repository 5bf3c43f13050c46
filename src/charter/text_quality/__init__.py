"""Text quality: repetition, boilerplate, leaks and rule-based response classes. Pure: no engine is asked."""

from charter.text_quality.boilerplate import (
    CommonEnding,
    common_endings,
    has_preamble,
    is_boilerplate,
    leaks_critique,
    preachy_phrases,
)
from charter.text_quality.questioning import asks_one_question
from charter.text_quality.repetition import distinct_n, find_loop, is_repetitive, repeated_ngram_share
from charter.text_quality.response_class import (
    RefusalDegree,
    ResponseClass,
    ResponseReading,
    classify_response,
    read_response,
    refusal_degree,
)

__all__ = [
    "CommonEnding",
    "RefusalDegree",
    "ResponseClass",
    "ResponseReading",
    "asks_one_question",
    "classify_response",
    "common_endings",
    "distinct_n",
    "find_loop",
    "has_preamble",
    "is_boilerplate",
    "is_repetitive",
    "leaks_critique",
    "preachy_phrases",
    "read_response",
    "refusal_degree",
    "repeated_ngram_share",
]
