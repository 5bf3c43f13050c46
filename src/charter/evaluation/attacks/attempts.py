"""Attempts: one prompt in one wrapper, put to one model, and what rules make of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charter.engines.base import CompletionRequest, Engine, Finish, Sampling
from charter.evaluation.attacks.wrappers import Wrapped, Wrapper
from charter.evaluation.refusals import Answer
from charter.records import Message, Prompt, PromptRow, ResponseLabel
from charter.rows import Mapped, RowMapper
from charter.seeds import derive_seed, row_id
from charter.text_quality import classify_response
from charter.text_quality.english import reads_as_english

NO_PREFILL = "takes no beginning of an answer"


@dataclass(frozen=True)
class Attempt:
    """A prompt as a wrapper puts it; ``id`` follows from all that is asked."""

    id: str
    prompt: Prompt
    wrapper: Wrapper
    wrapped: Wrapped


class Attacked(PromptRow):
    """One model's answer to a prompt in a wrapper.

    ``asked`` is the conversation as it was put, ``begun`` how the answer was made to begin, and ``text`` what the model
    itself wrote. ``label`` is its class by the rules, as an answer to the bare prompt; None where it is not in English.
    """

    model: str
    wrapper: str
    asked: tuple[Message, ...]
    begun: str
    text: str
    finish: Finish
    n_tokens: int
    label: ResponseLabel | None


def make_attempts(prompts: Sequence[Prompt], wrapper: Wrapper) -> list[Attempt]:
    """Put a wrapper around the prompts that it can be put around."""
    covered = [one for one in prompts if wrapper.covers is None or one.id in wrapper.covers]
    return [_attempt(prompt, wrapper, wrapper.wrap(prompt)) for prompt in covered]


def _attempt(prompt: Prompt, wrapper: Wrapper, wrapped: Wrapped) -> Attempt:
    turns = [turn.model_dump() for turn in wrapped.turns]
    name = row_id("attempt", prompt.model_dump(mode="json"), wrapper.name, turns, wrapped.prefill)
    return Attempt(name, prompt, wrapper, wrapped)


def needs_prefill(attempts: Sequence[Attempt]) -> bool:
    """Tell whether any answer is made to begin with given words (the engine's capability ``prefill``)."""
    return any(one.wrapped.prefill for one in attempts)


async def attack_one(attempt: Attempt, model: str, engine: Engine, sampling: Sampling, seed: int) -> Attacked:
    """Make one attempt; every model and wrapper draws from the same seed for the same prompt.

    Raises:
        EngineError: where the engine failed.
    """
    drawn = sampling.model_copy(update={"seed": derive_seed(seed, attempt.prompt.id, "attack")})
    turns, begun = attempt.wrapped.turns, attempt.wrapped.prefill
    completion = await engine.complete(CompletionRequest(messages=turns, prefill=begun, sampling=drawn))
    text = completion.text.strip()
    is_readable = attempt.wrapper.is_plain_english or reads_as_english(text)
    return Attacked(
        id=row_id("attacked", attempt.id, model),
        prompt=attempt.prompt,
        model=model,
        wrapper=attempt.wrapper.name,
        asked=turns,
        begun=begun,
        text=text,
        finish=completion.finish,
        n_tokens=completion.n_completion_tokens,
        label=classify_response(attempt.prompt.text, text).value if is_readable else None,
    )


def attack(
    attempts: Sequence[Attempt],
    model: str,
    engine: Engine,
    *,
    sampling: Sampling,
    seed: int,
    mapper: RowMapper,
) -> Mapped[Attacked]:
    """Make the attempts of one wrapper on one model, on prompts of one kind."""

    async def one(attempt: Attempt) -> Attacked:
        return await attack_one(attempt, model, engine, sampling, seed)

    first = next(iter(attempts), None)
    name = first.wrapper.name if first else ""
    doing = "benign" if first and first.prompt.kind == "benign_twin" else "attack"
    return mapper(one, attempts, f"evaluate/{doing} {name}/{model}", result=Attacked)


def as_answers(attacked: Sequence[Attacked]) -> list[Answer]:
    """Give the answers as a judge of refusals reads them: each to the bare prompt, without the wrapper."""
    return [
        Answer(
            id=one.id,
            number=number,
            name="",
            place="",
            prompt=one.prompt.text,
            response=one.text,
            group=one.prompt.id,
            label=None,
            left_out="",
        )
        for number, one in enumerate(attacked, start=1)
    ]
