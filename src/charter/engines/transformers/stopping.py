"""When a drawn text ends: end tokens, stop strings and limits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from charter.engines.transformers.jobs import Drawing

_TAIL_MARGIN = 8  # tokens decoded beyond those that can hold a stop string, so that a cut character does not matter
_CUT_CHARACTER = "\ufffd"


class Stopping:
    """Decides after each token whether a text has ended, and decodes it.

    Args:
        tokenizer: the model's tokenizer.
        end_ids: tokens that end a turn or a text.
    """

    def __init__(self, tokenizer: Any, end_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._end_ids = end_ids
        self._piece = lru_cache(maxsize=None)(self._decode_one)  # bounded by the vocabulary

    def accept(self, job: Drawing, token: int) -> bool:
        """Take a job's next token; True where that ended it and it was answered."""
        job.tokens.append(token)
        if token in self._end_ids:
            job.finish(self._decode(job.tokens[:-1]), stopped=True)
            return True
        if job.sampling.stop and self._may_end(token, job.sampling.stop):
            cut = self._cut(job.tokens, job.sampling.stop)
            if cut is not None:
                job.finish(cut, stopped=True)
                return True
        if len(job.tokens) >= job.max_tokens:
            job.finish(self._decode(job.tokens), stopped=False)
            return True
        return False

    def _may_end(self, token: int, stops: Sequence[str]) -> bool:
        """Whether a stop string can be completed by this token: cheap, and True far too often rather than never."""
        piece = self._piece(token)
        return not piece or _CUT_CHARACTER in piece or any(stop[-1] in piece or stop[-1].isspace() for stop in stops)

    def _cut(self, tokens: list[int], stops: Sequence[str]) -> str | None:
        """Cut the text before the stop string that comes first, or None where there is none."""
        n_tail = max(len(stop.encode()) for stop in stops) + _TAIL_MARGIN
        tail = self._decode(tokens[-n_tail:])
        if not any(stop in tail for stop in stops):
            return None
        text = self._decode(tokens)
        found = [place for stop in stops if (place := text.find(stop)) >= 0]
        return text[: min(found)] if found else None

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _decode_one(self, token: int) -> str:
        return self._decode([token])
