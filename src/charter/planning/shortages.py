"""Whether there is as much as a recipe asks for: prompts to train on and hold out, traces for its pairs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from charter.feedback.pair_plans import allot_pairs
from charter.planning.findings import Severity
from charter.prompts.selection import Selection
from charter.recipe import Recipe
from charter.records import PromptKind, Split

_SHOWN = "shown in a few-shot"

Counts = Counter[tuple[Split, PromptKind]]


def find_shortages(recipe: Recipe, selection: Selection) -> Iterator[tuple[Severity, str, str]]:
    """Find what is too little: severity, the recipe's key, and what to do."""
    counts: Counts = Counter((prompt.split, prompt.kind) for prompt in selection.prompts)
    if not counts["train", "red_team"]:
        yield "error", "prompts.red_team", "no prompt is left to train on; lower prompts.n_evaluation, or bring more"
        return
    yield from _short_of_prompts(recipe, counts, selection.left_out.get(_SHOWN, 0))
    yield from _short_of_pairs(recipe, counts)
    yield from _short_of_mixture(recipe, counts)


def _short_of_prompts(recipe: Recipe, counts: Counts, n_shown: int) -> Iterator[tuple[Severity, str, str]]:
    settings = recipe.prompts
    asked: tuple[tuple[str, Split, PromptKind, int | None], ...] = (
        ("n_train", "train", "red_team", settings.n_train),
        ("n_train_helpful", "train", "helpful", settings.n_train_helpful),
        ("n_evaluation_helpful", "evaluation", "helpful", settings.n_evaluation_helpful),
    )
    for key, split, kind, n in asked:
        found = counts[split, kind]
        if n is not None and kind in settings.sources() and found + n_shown < n:
            there = f"{found} {kind} prompts to {'train on' if split == 'train' else 'hold out'}"
            yield "error", f"prompts.{key}", f"is {n}, and there are {there}; lower it, or bring more"


def _short_of_pairs(recipe: Recipe, counts: Counts) -> Iterator[tuple[Severity, str, str]]:
    settings = recipe.pairs
    if not settings.n:
        return
    for kind, share in settings.kinds.items():
        if share and not counts["train", kind]:
            yield "error", f"pairs.kinds.{kind}", f"is {share:g}, and no {kind} prompt is left to train on; bring more"
    n_traces = counts["train", "red_team"] * recipe.revise.n_samples
    wanted = allot_pairs(settings.n, settings.kinds, settings.sources).get(("red_team", "revision_vs_initial"), 0)
    if wanted > n_traces and recipe.revise.given is None:
        problem = f"asks for {wanted} pairs, and there are {n_traces} traces, each of which makes one"
        remedy = "lower pairs.n or the share, or raise revise.n_samples or prompts.n_train"
        yield "error", "pairs.sources.red_team.revision_vs_initial", f"{problem}; {remedy}"


def _short_of_mixture(recipe: Recipe, counts: Counts) -> Iterator[tuple[Severity, str, str]]:
    ratios: dict[PromptKind, tuple[str, float]] = {
        "helpful": ("helpful_ratio", recipe.sft.helpful_ratio),
        "benign_twin": ("twin_ratio", recipe.sft.twin_ratio),
    }
    for kind, (key, ratio) in ratios.items():
        if ratio and not counts["train", kind]:
            problem = f"is {ratio:g}, and there are no {kind} prompts to train on: none are mixed in"
            yield "warning", f"sft.{key}", f"{problem}, and revisions alone teach refusal; bring some, or set it to 0"
