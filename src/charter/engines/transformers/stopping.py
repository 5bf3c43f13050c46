"""When a drawn text ends: end tokens, stop strings and limits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from charter.engines.transformers.jobs import Drawing

_CUT_CHARACTER = "\ufffd"


class Stopping:
    """Decides after each token whether a text has ended, and decodes it.

    A text ends with the first token after which the decoded whole holds a stop string. Most tokens are ruled out by
    their own text, which is decoded once; some others by the last few tokens; only then is the whole decoded.

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
        if job.sampling.stop and self._may_end(job.tokens, job.sampling.stop):
            cut = self._cut(job.tokens, job.sampling.stop)
            if cut is not None:
                job.finish(cut, stopped=True)
                return True
        if len(job.tokens) >= job.max_tokens:
            job.finish(self._decode(job.tokens), stopped=False)
            return True
        return False

    def _may_end(self, tokens: list[int], stops: tuple[str, ...]) -> bool:
        """Whether a stop string can be completed by the last token: cheap, and True too often rather than never."""
        for mark, reach in _marks(stops):
            for token in tokens[-reach:]:
                if not self._is_whole(token) or mark in self._piece(token):
                    return True
        return False

    def _cut(self, tokens: list[int], stops: tuple[str, ...]) -> str | None:
        """Cut the text before the stop string that comes first, or None where there is none."""
        start = self._start_of_tail(tokens, max(map(len, stops)))
        tail = self._decode(tokens[start:])
        if not any(stop in tail for stop in stops):
            return None
        text = self._decode(tokens)
        found = [place for stop in stops if (place := text.find(stop)) >= 0]
        return text[: min(found)] if found else None

    def _start_of_tail(self, tokens: list[int], n_characters: int) -> int:
        """Say from which token on the text shows whatever of ``n_characters`` the last token completes.

        One token more is taken, which loses its space where the text begins with it. A token that says nothing adds no
        character, and the text must not begin in the middle of one.
        """
        start, n_whole = len(tokens), 0
        while start and n_whole <= n_characters:
            start -= 1
            n_whole += self._is_whole(tokens[start])
        return start

    def _is_whole(self, token: int) -> bool:
        """Whether a token says something by itself, and holds no part of a character that others complete."""
        piece = self._piece(token)
        return bool(piece) and _CUT_CHARACTER not in piece

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _decode_one(self, token: int) -> str:
        return self._decode([token])


@lru_cache(maxsize=64)
def _marks(stops: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Give each stop string's last character that is no space, and how many of the last tokens may hold it.

    Whether a token brings a space is known in its place alone: by itself it may lose one, and there are vocabularies
    whose tokens bring it for the next. Each space after the mark may be a token of its own. A string of nothing but
    spaces has the empty mark, which every token holds.
    """
    kept = [(stop, stop.rstrip(" ")) for stop in stops]
    return tuple((words[-1:], len(stop) - len(words) + 1) for stop, words in kept)
