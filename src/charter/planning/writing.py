"""What a model will be asked, to write the prompts that a recipe wants generated: the stage's own requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from charter.constitution import Constitution
from charter.engines.base import (
    Capability,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Score,
    ScoreRequest,
)
from charter.errors import EngineError
from charter.event_loop import run_to_end
from charter.planning.sizing import Load, Sizer
from charter.planning.stage_plan import ToWrite, answer_tokens
from charter.recipe import Recipe
from charter.rows import Filtered, Mapped, ResultT, RowT
from charter.stages.generation import ask_helpful, ask_red_team, generated_kinds

_RENDERED = 50  # calls of a kind whose requests are looked at; the others are taken to be like them


def look_at_writing(
    recipe: Recipe, constitution: Constitution, capabilities: frozenset[Capability]
) -> tuple[ToWrite, ...]:
    """Find what would be asked of the model that writes prompts; nothing where a run writes none.

    Args:
        recipe: what is run.
        constitution: whose principles are pressed on.
        capabilities: of that model, on which the form of the requests depends.

    Raises:
        UserError: where a file that the recipe names for it cannot be read.
    """
    kinds, found = generated_kinds(recipe), []
    for kind, ask in (("red_team", ask_red_team), ("helpful", ask_helpful)):
        if kind in kinds:
            nobody = _Nobody(capabilities)
            ask(recipe, constitution, nobody, nobody.map)
            found.append(ToWrite(nobody.n_rows, tuple(nobody.asked[::2]), tuple(nobody.asked[1::2])))
    return tuple(found)


def writing_load(written: Sequence[ToWrite], sizer: Sizer) -> Load:
    """Add up what is asked: every answer may be malformed, and is then asked for once more."""
    load = Load()
    for one in written:
        first, again = sizer.mean_request(one.requests), sizer.mean_request(one.repairs)
        n_read = first.own + again.own
        response = answer_tokens(round(sum(each.sampling.max_tokens for each in one.requests) / len(one.requests)))
        load.add(one.n, first.own, response, shared=first.shared)
        load.add(one.n, n_read + response, response)
    return load


@dataclass
class _Nobody:
    """An engine that notes what it is asked, and answers with nothing, so that it is asked for a repair too."""

    capabilities: frozenset[Capability]
    asked: list[CompletionRequest] = field(default_factory=list)
    n_rows: int = 0

    identity = "nobody"

    async def complete(self, request: CompletionRequest) -> Completion:
        self.asked.append(request)
        return Completion(text="", finish="stop", n_prompt_tokens=0, n_completion_tokens=0)

    async def choose(self, request: ChoiceRequest) -> Choice:
        raise EngineError(f"nobody chooses among {request.options}")

    async def score(self, request: ScoreRequest) -> Score:
        raise EngineError(f"nobody scores {request.continuation!r}")

    def close(self) -> None:
        """Hold nothing."""

    def map(
        self,
        fn: Callable[[RowT], Awaitable[ResultT | Filtered]],
        rows: Sequence[RowT],
        stage: str,  # noqa: ARG002 - part of the shape
        *,
        result: type[ResultT],  # noqa: ARG002 - part of the shape
        n_whole: int | None = None,  # noqa: ARG002 - part of the shape
    ) -> Mapped[ResultT]:
        """Put the first rows through, one after another, and count all."""
        self.n_rows += len(rows)

        async def ask() -> None:
            for row in rows[:_RENDERED]:
                await fn(row)

        run_to_end(ask())
        return Mapped((), {}, {})
