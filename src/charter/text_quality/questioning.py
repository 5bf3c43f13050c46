"""Whether a response is one short question, as a tutor who leaves the thinking to the learner asks it.

What can be counted is the form: a question that gives the answer away, or is about something else, counts too.
"""

from __future__ import annotations

import re

from charter.text_quality.sentences import words

#: Two short sentences, one that tells what cannot be worked out and the question, are no longer.
LONGEST_QUESTION = 40

_MARK = re.compile(r"[?\uff1f\u061f]+")  # several in a row ask no more than one does
_AT_ITS_END = re.compile(r"[?\uff1f\u061f]+[\"'\u2019\u201d)\]*_\s]*\Z")


def asks_one_question(text: str, max_words: int = LONGEST_QUESTION) -> bool:
    """Say whether a response holds one question mark, at its end, and no more than ``max_words`` words.

    Args:
        text: of the response.
        max_words: the most it may have, those before the question with it.
    """
    has_one = len(_MARK.findall(text)) == 1 and _AT_ITS_END.search(text) is not None
    return has_one and len(words(text)) <= max_words
