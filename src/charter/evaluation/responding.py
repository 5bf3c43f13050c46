"""A model's answers to held-out prompts: the row function that every behavioural measurement reads."""

from __future__ import annotations

from collections.abc import Sequence

from charter.engines.base import CompletionRequest, Engine, Sampling
from charter.records import Prompt, Response
from charter.rows import Mapped, RowMapper
from charter.seeds import derive_seed, row_id
from charter.text_quality import classify_response, is_boilerplate
from charter.text_quality.flags import response_flags


async def respond_one(prompt: Prompt, model: str, engine: Engine, sampling: Sampling, seed: int) -> Response:
    """Answer one prompt and classify the answer. Every model draws from the same seed for the same prompt."""
    drawn = sampling.model_copy(update={"seed": derive_seed(seed, prompt.id, "evaluation")})
    completion = await engine.complete(CompletionRequest(messages=prompt.turns, sampling=drawn))
    return read_response(
        prompt, model, completion.text, finish=completion.finish, n_tokens=completion.n_completion_tokens
    )


def read_response(prompt: Prompt, model: str, answer: str, *, finish: str, n_tokens: int) -> Response:
    """Classify and flag an answer, whoever drew it."""
    text = answer.strip()
    flags = response_flags(prompt.text, text, "cut" if finish == "length" else "whole")
    return Response(
        id=row_id("response", prompt.id, model),
        prompt=prompt,
        model=model,
        text=text,
        finish=finish,
        n_tokens=n_tokens,
        label=classify_response(prompt.text, text).value,
        flags=(*flags, "boilerplate") if is_boilerplate(text) else flags,
    )


def respond(
    prompts: Sequence[Prompt],
    model: str,
    engine: Engine,
    *,
    sampling: Sampling,
    seed: int,
    purpose: str = "respond",
    mapper: RowMapper,
) -> Mapped[Response]:
    """Answer every prompt with one model; ``purpose`` names the step under which rows are recorded."""

    async def one(prompt: Prompt) -> Response:
        return await respond_one(prompt, model, engine, sampling, seed)

    return mapper(one, prompts, f"evaluate/{purpose}/{model}", result=Response)
