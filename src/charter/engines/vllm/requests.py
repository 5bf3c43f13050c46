"""Requests as vLLM's sampling parameters, and its outputs as answers: the same in this process and over HTTP."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from charter.engines.base import Choice, Completion, Sampling, Score
from charter.errors import EngineError

Parameters = Mapping[str, Any]  # by the names of vLLM's own, as JSON holds them


@dataclass(frozen=True)
class Output:
    """What vLLM gave for one prompt.

    Attributes:
        text: what was drawn.
        finish: why it ended.
        n_prompt_tokens: of the prompt.
        n_cached_tokens: of those, how many were in memory.
        n_tokens: that were drawn.
        logprobs: in the first place drawn, by token.
        prompt_logprobs: in each place of the prompt, by token; None where none was asked for.
    """

    text: str
    finish: str | None
    n_prompt_tokens: int
    n_cached_tokens: int
    n_tokens: int
    logprobs: Mapping[int, float] = field(default_factory=dict)
    prompt_logprobs: Sequence[Mapping[int, float] | None] = ()


def drawing_parameters(
    sampling: Sampling, max_tokens: int, end_ids: frozenset[int], json_schema: str | None
) -> Parameters:
    """Say how a text is drawn.

    Args:
        sampling: as it was asked for.
        max_tokens: what there is room for, ``sampling.max_tokens`` at most.
        end_ids: tokens that end a turn or a text, besides the one that vLLM knows.
        json_schema: what the text must satisfy, as JSON; None leaves it free.
    """
    is_greedy = sampling.temperature == 0.0
    return {
        "max_tokens": max_tokens,
        "temperature": sampling.temperature,
        "top_p": 1.0 if is_greedy else sampling.top_p,
        "stop": list(sampling.stop),
        "stop_token_ids": sorted(end_ids),
        **({} if is_greedy else {"seed": sampling.seed}),
        **({} if json_schema is None else {"structured_outputs": {"json": json_schema}}),
    }


def choosing_parameters(options: Sequence[int]) -> Parameters:
    """Ask for the log-probabilities of these tokens in the next place, before any limit or temperature."""
    asked = list(dict.fromkeys(options))
    return {
        "max_tokens": 1,
        "temperature": 0.0,
        "allowed_token_ids": asked,
        "logprob_token_ids": asked,
        "logprobs": len(asked),
    }


def scoring_parameters() -> Parameters:
    """Ask for the log-probabilities of the prompt's own tokens."""
    return {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}


def read_completion(output: Output) -> Completion:
    """Read a text.

    Raises:
        EngineError: where vLLM gave it up.
    """
    if output.finish not in {"stop", "length"}:
        raise EngineError(f"vLLM ended a text for {output.finish!r}; ask again")
    return Completion(
        text=output.text,
        finish="stop" if output.finish == "stop" else "length",
        n_prompt_tokens=output.n_prompt_tokens,
        n_completion_tokens=output.n_tokens,
    )


def read_choice(output: Output, options: Sequence[int]) -> Choice:
    """Read the options' log-probabilities.

    Raises:
        EngineError: where one is missing.
    """
    missing = [token for token in options if token not in output.logprobs]
    if missing:
        raise EngineError(f"vLLM told no log-probability of the tokens {missing}, which are options; report it")
    logprobs = tuple(output.logprobs[token] for token in options)
    mass = min(1.0, math.fsum(map(math.exp, logprobs)))
    return Choice(logprobs=logprobs, mass=mass, n_prompt_tokens=output.n_prompt_tokens)


def read_score(output: Output, wanted: Sequence[int]) -> Score:
    """Read the log-probability of the last tokens of what was put as a prompt.

    Raises:
        EngineError: where one is missing.
    """
    told = [
        place[token]
        for place, token in zip(output.prompt_logprobs[-len(wanted) :], wanted, strict=False)
        if place is not None and token in place
    ]
    if len(told) < len(wanted):
        raise EngineError("vLLM told no log-probability of a token that was put to it; report it")
    n_prompt = output.n_prompt_tokens - len(wanted)
    return Score(logprob=math.fsum(told), n_tokens=len(wanted), n_prompt_tokens=n_prompt)
