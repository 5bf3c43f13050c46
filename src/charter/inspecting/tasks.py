"""The tasks that Inspect finds as ``charter/NAME``."""

from __future__ import annotations

from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageUser
from inspect_ai.solver import generate

from charter.evaluation.instructions import load_instructions
from charter.evaluation.probe_loading import load_probes
from charter.inspecting.figures import GROUP
from charter.inspecting.scoring import (
    PROMPT,
    choice_scorer,
    followed_scorer,
    keeping_scorer,
    refusal_scorer,
)
from charter.inspecting.solving import ask_in_both_orders, drawn_questions
from charter.prompts.grouping import prompt_groups
from charter.prompts.sources import draw_prompts, load_prompts
from charter.records import BUILT_IN, Prompt, PromptKind


@task
def multiple_choice(file: str = "harm-pairs", n: int | None = None, seed: int = 0, logprobs: bool = False) -> Task:
    """Ask questions with options in both orders of the options.

    Inspect's models tell no log-probabilities unless their provider does and ``logprobs`` asks for them: otherwise the
    letter is asked for as text, and each order has one vote. A question whose two votes differ counts a half.

    Args:
        file: questions in any layout that Charter reads, or harm-pairs, harm-identification or harm-kinds.
        n: questions, drawn by the seed; None asks all.
        seed: of the questions drawn.
        logprobs: whether to read the letters' log-probabilities where the provider tells them.
    """
    rows = drawn_questions(file, n, seed)
    samples = [
        Sample(id=row.id, input=row.text, target=list(row.corrects), metadata={GROUP: row.context}) for row in rows
    ]
    return Task(
        dataset=MemoryDataset(samples, name=file),
        solver=ask_in_both_orders(file=file, n=n, seed=seed, logprobs=logprobs),
        scorer=choice_scorer(),
        metadata={"letters": "log-probabilities where told, else text" if logprobs else "text", "orders": 2},
    )


@task
def harm_pairs(n: int | None = None, seed: int = 0, logprobs: bool = False) -> Task:
    """Ask which of two replies to a request is better: the built-in rows about harm, as ``multiple_choice`` asks."""
    return multiple_choice("harm-pairs", n, seed, logprobs)


@task
def refusals(prompts: str = BUILT_IN, kind: PromptKind = "red_team", n: int | None = None, seed: int = 0) -> Task:
    """Have a model answer prompts, and class the answers by Charter's rules: comply, object, refuse or evade.

    Args:
        prompts: built-in, or a file of prompts.
        kind: red_team, benign_twin or helpful.
        n: prompts, drawn by the seed; None takes all.
        seed: of the draw.
    """
    loaded = load_prompts(prompts, kind).prompts
    drawn = draw_prompts(loaded, len(loaded) if n is None else n, seed)
    return Task(
        dataset=MemoryDataset(_samples(drawn), name=f"{prompts} {kind}"), solver=generate(), scorer=refusal_scorer()
    )


@task
def adherence(constitution: str = "harmless", probes: str = BUILT_IN, n: int | None = None) -> Task:
    """Have a model answer the probes of a constitution, and a judge say whether each answer keeps to its principle.

    The judge is the model of the role ``judge``, asked in both orders; it names a letter.

    Args:
        constitution: a built-in name or a file.
        probes: built-in, or a file of them.
        n: probes of each principle; None takes all.
    """
    pairs = load_probes(constitution, probes, n=n).probes.pairs
    asked = list({pair.prompt.id: pair.prompt for pair in pairs}.values())
    return Task(
        dataset=MemoryDataset(_samples(asked, by_principle=True), name=f"probes of {constitution}"),
        solver=generate(),
        scorer=keeping_scorer(constitution),
    )


@task
def instructions(file: str = BUILT_IN, n: int | None = None, seed: int = 0) -> Task:
    """Have a model answer prompts whose instructions rules can check, and count those that are followed.

    Args:
        file: built-in, or a file of IFEval's rows.
        n: prompts, drawn by the seed; None takes all.
        seed: of the draw.
    """
    rows = load_instructions(file, n=n, seed=seed)
    samples = [
        Sample(id=row.prompt.id, input=_turns(row.prompt), metadata={GROUP: row.group, PROMPT: _kept(row.prompt)})
        for row in rows
    ]
    return Task(
        dataset=MemoryDataset(samples, name=f"instructions {file}"),
        solver=generate(),
        scorer=followed_scorer(file=file, n=n, seed=seed),
    )


def _samples(prompts: Any, *, by_principle: bool = False) -> list[Sample]:
    groups = prompt_groups(prompts)
    return [
        Sample(
            id=one.id,
            input=_turns(one),
            metadata={GROUP: one.principle if by_principle else groups[one.id], PROMPT: _kept(one)},
        )
        for one in prompts
    ]


def _turns(prompt: Prompt) -> list[ChatMessage]:
    kinds: dict[str, Any] = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [kinds[one.role](content=one.content) for one in prompt.turns]


def _kept(prompt: Prompt) -> dict[str, Any]:
    return prompt.model_dump(mode="json")
