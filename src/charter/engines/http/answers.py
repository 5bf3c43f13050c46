"""From what a server sent to an answer; whatever is not one is refused, never mended. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, TypeGuard

from charter.engines.base import Choice, Completion, Finish
from charter.engines.http.bodies import Abilities
from charter.engines.http.failures import MalformedAnswerError
from charter.errors import EngineError

_AROUND = " \n\t(\"'*"  # what may stand before a letter that was asked for in words
_SLACK = 1e-3  # log-probabilities come rounded
_MOST_TOKENS = 10**9  # of any call: a server that counts more has not counted


class Took(NamedTuple):
    """What a server says that a call took: tokens read, drawn, and those of the first that it had in memory."""

    n_prompt: int = 0
    n_completion: int = 0
    n_cached: int = 0


def read_answer(text: str, able: Abilities) -> dict[str, Any]:
    """Read the JSON of an answer that was not refused; raises as ``read_object`` and ``judge_answer`` do."""
    return judge_answer(read_object(text), able)


def read_object(text: str) -> dict[str, Any]:
    """Read JSON.

    Raises:
        MalformedAnswerError: for anything but an object.
    """
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):  # the latter of brackets by the thousand
        _refuse("the answer is no JSON", text)
    if not isinstance(answer, dict):
        _refuse("the answer is no object", text)
    return answer


def judge_answer(answer: dict[str, Any], able: Abilities) -> dict[str, Any]:
    """Give an answer on, where it is one.

    Raises:
        MalformedAnswerError: for anything but one choice at least, of the model that was asked.
    """
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        _refuse("the answer holds no choice", answer.get("error") or answer)
    model = answer.get("model")
    if able.served and isinstance(model, str) and model not in able.served:
        _refuse("the answer is of another model", f"{model}; expected {' or '.join(sorted(able.served))}")
    return answer


def read_owner(text: str, model: str) -> str:
    """Read from a list of models whose a model is, or the first of them where it is not listed; empty if untold.

    Raises:
        MalformedAnswerError: for anything but such a list.
    """
    listed = read_object(text).get("data")
    if not isinstance(listed, list):
        _refuse("the answer holds no list of models", text)
    models = [one for one in listed if isinstance(one, dict)]
    own = next((one for one in models if one.get("id") == model), models[0] if models else {})
    return str(own.get("owned_by", ""))


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
    finish = _finish(choice)
    text = _text(choice).removeprefix(prefill)
    ends = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    if ends:
        text, finish = text[: min(ends)], "stop"
    n_prompt, n_drawn = count_tokens(answer)
    return Completion(text=text, finish=finish, n_prompt_tokens=n_prompt, n_completion_tokens=n_drawn)


def read_choice(answer: dict[str, Any], options: Sequence[str], *, anywhere: bool = False) -> Choice:
    """Read the options' log-probabilities at the first token.

    An option that is not among the likeliest tokens gets the most that it can have: as much as the least of these, and
    as is left. Where none was seen the mass is 0: nothing is known. Where the letters were asked for in words
    (``anywhere``), what surrounds one does not count, and an option may have all that is left, for it has many
    spellings; that is no part of the mass.

    Raises:
        MalformedAnswerError: where there are no log-probabilities, or some that are none.
        EngineError: where the server held the answer back.
    """
    _check_held_back(answer["choices"][0])
    top = _likeliest(answer)
    if not top:
        _refuse("the answer holds no log-probabilities", answer["choices"][0])
    logprobs, seen = weigh_options(top, options, anywhere=anywhere)
    if seen > 1.0 + _SLACK:
        _refuse("the options' probabilities add up to more than 1", seen)
    # A bound below every token that was told is next to nothing; one of all that is left may be all there is.
    mass = math.fsum(map(math.exp, logprobs)) if seen and not anywhere else seen
    return Choice(logprobs=logprobs, mass=min(mass, 1.0), n_prompt_tokens=count_tokens(answer)[0])


def weigh_options(
    top: Mapping[str, float], options: Sequence[str], *, anywhere: bool
) -> tuple[tuple[float, ...], float]:
    """Give options their log-probabilities by the likeliest tokens, and the probability that was seen of them.

    Args:
        top: the likeliest tokens' log-probabilities, one at least.
        options: of which those that are not there get the most that they can have (see ``read_choice``).
        anywhere: whether a letter's spellings count together, whatever brackets or quotation marks are around it.
    """
    left = math.log(max(1.0 - math.fsum(map(math.exp, top.values())), 0.0) + _SLACK)
    bound = left if anywhere else min(left, *top.values())
    found = []
    for option in options:
        alike = [value for token, value in top.items() if token == option or (anywhere and _bare(token) == option)]
        found.append(_add(alike) if alike else None)
    seen = math.fsum(math.exp(value) for value in found if value is not None)
    return tuple(min(bound if value is None else value, 0.0) for value in found), seen


def tells_likeliest(answer: dict[str, Any]) -> bool:
    """Tell whether an answer holds log-probabilities of the likeliest first tokens."""
    return bool(_likeliest(answer))


def count_tokens(answer: dict[str, Any]) -> tuple[int, int]:
    """Count the tokens that were read and drawn, as the server says it.

    Raises:
        MalformedAnswerError: where it does not.
    """
    usage = answer.get("usage")
    told = usage if isinstance(usage, dict) else {}
    # Of an answer without a token some servers say nothing.
    n_prompt, n_drawn = told.get("prompt_tokens"), told.get("completion_tokens", 0)
    if not _is_count(n_prompt) or not _is_count(n_drawn):
        _refuse("the answer does not say how many tokens it took", f"usage is {usage}")
    return n_prompt, n_drawn


def read_took(answer: dict[str, Any]) -> Took | None:
    """Read what a call took off whatever a server sent; None where it does not say."""
    try:
        n_prompt, n_drawn = count_tokens(answer)
    except MalformedAnswerError:
        return None
    return Took(n_prompt, n_drawn, min(_n_cached_tokens(answer), n_prompt))


def _n_cached_tokens(answer: dict[str, Any]) -> int:
    usage = answer.get("usage")
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    n_cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return n_cached if _is_count(n_cached) else 0


def _refuse(what: str, told: object) -> NoReturn:
    # In full: what is a key's is taken out before anything is cut, and how often each thing happened is counted by
    # what stands before the colon.
    raise MalformedAnswerError(f"{what}: {told}") from None


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS


def _text(choice: dict[str, Any]) -> str:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if not isinstance(text, str):
        _refuse("the answer holds no text", choice)
    # JSON can hold half a character, where the limit cut it; no file can.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _check_held_back(choice: dict[str, Any]) -> None:
    if choice.get("finish_reason") == "content_filter":
        raise EngineError("the server's filter held the answer back (finish_reason content_filter)")


def _finish(choice: dict[str, Any]) -> Finish:
    _check_held_back(choice)
    reason = choice.get("finish_reason")
    match reason:
        case "stop" | "eos" | "eos_token" | "stop_sequence":
            return "stop"
        case "length":
            return "length"
    _refuse("the answer has no known end", f"finish_reason is {reason}; expected stop or length")


def _likeliest(answer: dict[str, Any]) -> dict[str, float]:
    """Give the likeliest first tokens, each with the most that is told of it.

    Where two tokens are written alike, as a letter and its byte, the lesser has next to nothing.
    """
    found: dict[str, float] = {}
    for token, value in _first_top(answer["choices"][0]):
        number = _logprob(token, value)
        if number > -math.inf:
            found[token] = max(number, found.get(token, number))
    return found


def _first_top(choice: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Give what is told of the first token, as chats and as the older completions write it.

    The token that was drawn counts too: one that a grammar allows need not be among the likeliest, and is the
    likeliest that it allows.
    """
    told = choice.get("logprobs")
    if not isinstance(told, dict):
        return
    content, older = told.get("content"), told.get("top_logprobs")
    if isinstance(content, list) and content and isinstance(content[0], dict):
        listed = content[0].get("top_logprobs")
        tokens = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        yield from ((one.get("token"), one.get("logprob")) for one in tokens)
        if tokens and content[0].get("logprob") is not None:
            yield content[0].get("token"), content[0]["logprob"]
    elif isinstance(older, list) and older and isinstance(older[0], dict):
        yield from older[0].items()


def _logprob(token: object, value: object) -> float:
    if not isinstance(token, str) or isinstance(value, bool) or not isinstance(value, int | float):
        _refuse("a log-probability is none", f"{value!r} of {token!r}")
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = math.nan
    if math.isnan(number) or number > _SLACK:
        _refuse("a log-probability is none", f"{number} of {token!r}")
    return min(number, 0.0)


def _add(logprobs: Sequence[float]) -> float:
    # Of the largest first: the exponential of -9999, which some servers tell for "next to nothing", is 0.
    largest = max(logprobs)
    return largest + math.log(math.fsum(math.exp(value - largest) for value in logprobs))


def _bare(token: str) -> str:
    return token.strip(_AROUND).rstrip(").")
