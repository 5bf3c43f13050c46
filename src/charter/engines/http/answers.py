"""From what a server sent to an answer; whatever is not one is refused, never mended. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from charter.engines.base import Choice, Completion, Finish
from charter.engines.http.bodies import Abilities
from charter.engines.http.failures import MalformedAnswerError
from charter.errors import EngineError

_AROUND = " \n\t(\"'*"  # what may stand before a letter that was asked for in words
_SLACK = 1e-3  # log-probabilities come rounded


def read_answer(text: str, able: Abilities) -> dict[str, Any]:
    """Read the JSON of an answer that was not refused.

    Raises:
        MalformedAnswerError: for anything but an object with one choice at least, of the model that was asked.
    """
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise MalformedAnswerError(f"the answer is no JSON: {text[:80]!r}") from error
    if not isinstance(answer, dict):
        raise MalformedAnswerError(f"the answer is no object: {text[:80]!r}")
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        said = answer.get("error")
        raise MalformedAnswerError(f"the answer holds no choice{f', but an error: {said}' if said else ''}")
    model = answer.get("model")
    if able.served and isinstance(model, str) and model not in able.served:
        expected = " or ".join(sorted(able.served))
        raise MalformedAnswerError(f"the answer is of the model {model!r}; expected {expected}")
    return answer


def read_completion(answer: dict[str, Any], *, prefill: str = "", stops: Sequence[str] = ()) -> Completion:
    """Read a text.

    Args:
        answer: what ``read_answer`` gave.
        prefill: a beginning that is taken off where the text repeats it.
        stops: strings before the first of which the text ends, where the server let it go on.

    Raises:
        MalformedAnswerError: where there is no text, or no known end of it.
        EngineError: where the server held the text back.
    """
    choice = answer["choices"][0]
    text = _text(choice)
    finish = _finish(choice)
    text = text.removeprefix(prefill) if prefill else text
    ends = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    if ends:
        text, finish = text[: min(ends)], "stop"
    n_prompt, n_drawn = count_tokens(answer)
    return Completion(text=text, finish=finish, n_prompt_tokens=n_prompt, n_completion_tokens=n_drawn)


def read_choice(answer: dict[str, Any], options: Sequence[str], *, anywhere: bool = False) -> Choice:
    """Read the options' log-probabilities at the first token.

    An option that is not among the likeliest tokens gets the most that it can have: as much as the least of these, and
    as is left. Where the letters were asked for in words (``anywhere``), what surrounds one does not count.

    Raises:
        MalformedAnswerError: where there are no log-probabilities, or some that are none.
    """
    top = dict(_first_top(answer["choices"][0]))
    if not top:
        raise MalformedAnswerError("the answer holds no log-probabilities")
    left = 1.0 - math.fsum(math.exp(value) for value in top.values())
    bound = min(*top.values(), math.log(left)) if left > 0.0 else min(top.values())
    found = []
    for option in options:
        alike = [value for token, value in top.items() if token == option or (anywhere and _bare(token) == option)]
        found.append(math.log(math.fsum(map(math.exp, alike))) if alike else bound)
    mass = math.fsum(map(math.exp, found))
    if mass > 1.0 + _SLACK:
        raise MalformedAnswerError(f"the options' probabilities add up to {mass:.4f}")
    return Choice(logprobs=tuple(found), mass=min(mass, 1.0), n_prompt_tokens=count_tokens(answer)[0])


def count_tokens(answer: dict[str, Any]) -> tuple[int, int]:
    """Count the tokens that were read and drawn, as the server says it.

    Raises:
        MalformedAnswerError: where it does not.
    """
    usage = answer.get("usage")
    told = usage if isinstance(usage, dict) else {}
    # Of an answer without a token some servers say nothing.
    n_prompt, n_drawn = told.get("prompt_tokens"), told.get("completion_tokens", 0)
    if not isinstance(n_prompt, int) or not isinstance(n_drawn, int) or min(n_prompt, n_drawn) < 0:
        raise MalformedAnswerError(f"the answer does not say how many tokens it took: usage is {usage!r}")
    return n_prompt, n_drawn


def n_cached_tokens(answer: dict[str, Any]) -> int:
    """Count the prompt's tokens that the server had computed before; 0 where it does not say."""
    usage = answer.get("usage")
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    n_cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return n_cached if isinstance(n_cached, int) and n_cached > 0 else 0


def _text(choice: dict[str, Any]) -> str:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if not isinstance(text, str):
        raise MalformedAnswerError("the answer holds no text")
    return text


def _finish(choice: dict[str, Any]) -> Finish:
    reason = choice.get("finish_reason")
    match reason:
        case "stop" | "eos" | "eos_token" | "stop_sequence":
            return "stop"
        case "length":
            return "length"
        case "content_filter":
            raise EngineError("the server's filter held the answer back (finish_reason content_filter)")
    raise MalformedAnswerError(f"the answer's finish_reason is {reason!r}; expected stop or length")


def _first_top(choice: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Give the likeliest first tokens, as chats and as the older completions write them."""
    told = choice.get("logprobs")
    if not isinstance(told, dict):
        return
    content, older = told.get("content"), told.get("top_logprobs")
    if isinstance(content, list) and content and isinstance(content[0], dict):
        listed = content[0].get("top_logprobs")
        pairs = [(one.get("token"), one.get("logprob")) for one in listed or () if isinstance(one, dict)]
    elif isinstance(older, list) and older and isinstance(older[0], dict):
        pairs = list(older[0].items())
    else:
        return
    for token, value in pairs:
        if not isinstance(token, str) or isinstance(value, bool) or not isinstance(value, int | float):
            raise MalformedAnswerError(f"a log-probability is {value!r} of {token!r}")
        if not math.isfinite(value) and value != -math.inf:
            raise MalformedAnswerError(f"the log-probability of {token!r} is {value}")
        if value > _SLACK:
            raise MalformedAnswerError(f"the log-probability of {token!r} is {value}, above 0")
        if value > -math.inf:
            yield token, min(float(value), 0.0)


def _bare(token: str) -> str:
    return token.strip(_AROUND).rstrip(").")
