"""Which of a recipe's values do not fit together, though each of them is well-formed: where, and what to do.

Contradictions are refused; doubts, which may be meant, are pointed out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from charter.recipe.rl_checks import rl_contradictions, rl_doubts
from charter.recipe.settings import ModelSettings, PairSettings, Recipe, ReviseSettings, SftSettings
from charter.recipe.stages import POLICY_STAGES, mixtures, policies_of, stages_of, text_training_settings
from charter.records import GENERATED, OWN_JUDGE, PromptKind

Where = tuple[str, ...]

_OF_VLLM = ("memory_share", "n_gpus", "compiled")
_OF_WEIGHTS = ("dtype", "device", "max_rows", "n_context", "trust_remote_code")
_OF_SERVERS = ("server", "key_name", "max_at_once", "call_seconds", "deadline_seconds")
_IDLE = {
    "transformers": (*_OF_SERVERS, *_OF_VLLM),
    "vllm": _OF_SERVERS,
    "vllm-server": _OF_SERVERS,
    "http": (*_OF_WEIGHTS, *_OF_VLLM),
    "scripted": (*_OF_SERVERS, *_OF_VLLM),
}
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_A_SENTENCE = 16  # tokens: a text that is held to fewer mostly ends in the middle of its first sentence


def contradictions(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    """Find values that contradict each other; the place of each, and a sentence with the remedy."""
    yield from _shares(recipe)
    yield from _kinds(recipe)
    yield from _trained_kinds(recipe)
    low, high = recipe.label.clamp
    if not low <= 0.5 <= high:
        yield ("label", "clamp"), f"'label.clamp' is [{low}, {high}]; it must hold 0.5, such as [0.4, 0.6]"
    if recipe.label.held_out == 1.0:
        yield (
            ("label", "held_out"),
            "'label.held_out' is 1, which leaves nothing to train on; take less, such as 0.1",
        )
    if "on_policy" in recipe.label.prior:
        problem = "'label.prior.on_policy' never acts: neither side of such a pair is intended"
        yield ("label", "prior", "on_policy"), f"{problem}; take it out"
    if recipe.evaluate.judge_reading and not recipe.evaluate.harm:
        problem = "'evaluate.judge_reading' asks whether a model complied with harm, which 'evaluate.harm' rules out"
        yield ("evaluate", "judge_reading"), f"{problem}; take one of them out"
    yield from _served(recipe)
    yield from _judges(recipe)
    if recipe.budget.money is not None and recipe.budget.prices is None:
        problem = "'budget.money' sets an end, and 'budget.prices' names no file of prices"
        yield ("budget", "money"), f"{problem}; name one, or set budget.tokens"
    yield from _launched(recipe)
    yield from rl_contradictions(recipe)
    yield from _nothing_to_do(recipe)
    yield from _iterated(recipe)
    yield from _probed(recipe)
    yield from _written(recipe)
    names = Counter(Path(file).name for file in recipe.evaluate.multiple_choice)
    for name, n in names.items():
        if n > 1:
            problem = f"'evaluate.multiple_choice' names {n} files called {name!r}"
            yield ("evaluate", "multiple_choice"), f"{problem}, whose figures nobody could tell apart; rename one"


def _served(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    """Find what does not fit a model behind a server, or one that is none."""
    models: dict[Where, ModelSettings | None] = {
        ("models", role): getattr(recipe.models, role) for role in type(recipe.models).model_fields
    }
    models |= {("label", "judges", name, "model"): judge.model for name, judge in recipe.label.judges.items()}
    models |= {("evaluate", "others", name): model for name, model in recipe.evaluate.others.items()}
    if recipe.models.policy.engine == "http":
        problem = "'models.policy' is trained, and a server gives no weights to train; name a folder or a Hugging Face"
        yield ("models", "policy", "engine"), f"{problem} id (every other model may be served)"
    for where, model in models.items():
        if model is None:
            continue
        place = ".".join(where)
        given = model.model_dump(exclude_defaults=True)
        if model.engine == "http" and model.server is None:
            problem = f"'{place}.engine' is 'http', and '{place}.server' does not say which server"
            yield (*where, "engine"), f"{problem}; name one, such as openai or http://localhost:8000/v1"
        for key in (key for key in given if key in _IDLE[model.engine]):
            problem = f"'{place}.{key}' says nothing of engine '{model.engine}'"
            yield (*where, key), f"{problem}; take it out"


def _judges(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    """Find names of further judges that would be taken for something else."""
    for name in recipe.label.judges:
        where, problem = ("label", "judges", name), f"'label.judges' names a judge {name!r}"
        if name == OWN_JUDGE:
            yield where, f"{problem}, as that of 'models.judge' is called; give it another name"
        elif not _NAME.fullmatch(name):
            yield where, f"{problem}; expected letters, digits, '-' and '_' alone, such as 'large'"


def _launched(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    settings, device = recipe.training, recipe.models.policy.device
    if settings.n_processes is not None and settings.launch is None:
        problem = (
            f"'training.n_processes' is {settings.n_processes}, and 'training.launch' does not say how they are started"
        )
        yield ("training", "n_processes"), f"{problem}; name a launch, such as several-gpus, or take it out"
    if settings.launch is not None and ":" in device:
        problem = f"'training.launch' gives each process a GPU of its own, and 'models.policy.device' is {device!r}"
        yield ("training", "launch"), f"{problem}; leave it at auto, and choose GPUs with CUDA_VISIBLE_DEVICES"


def _nothing_to_do(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    if not recipe.revise.n_samples and recipe.revise.given is None:
        problem = "'revise.n_samples' is 0, and 'revise.given' names no file: there would be no trace"
        yield ("revise", "n_samples"), f"{problem}; set one of them"
    if not recipe.pairs.n and recipe.pairs.given is None:
        yield ("pairs", "n"), "'pairs.n' is 0, and 'pairs.given' names no file: there would be no pair; set one of them"


def _iterated(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    """Find what later iterations would have nothing to do with."""
    if recipe.iterations == 1:
        return
    problem = f"'iterations' is {recipe.iterations}"
    if recipe.dpo is None and recipe.rl is None:
        problem = f"{problem}, and 'dpo' and 'rl' are null: no iteration would begin from another policy"
        yield ("iterations",), f"{problem}; take it out, or set dpo={{}}, or rl={{}} and its rewards"
    if not recipe.pairs.n:
        problem = f"{problem}, and 'pairs.n' is 0: pairs that are given are judged and trained on once"
        yield ("iterations",), f"{problem}; take it out, or set pairs.n"
    for kind, share in recipe.pairs.kinds.items() if recipe.pairs.n else ():
        shares = recipe.pairs.sources.get(kind, {})
        if share and [source for source in shares if shares[source]] == ["revision_vs_initial"]:
            told = f"'pairs.sources.{kind}' has revision_vs_initial alone, whose pairs are the first iteration's"
            remedy = "give another source a share, such as on_policy, or take 'iterations' out"
            yield ("pairs", "sources", kind), f"{told}: later ones would have no {kind} pair; {remedy}"


def _written(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    sources = {kind: source.source for kind, source in recipe.prompts.sources().items()}
    for kind, source in recipe.prompts.sources().items():
        idle = source.model_dump(exclude={"source"}, exclude_defaults=True) if source.source == GENERATED else {}
        for key in idle:
            problem = f"'prompts.{kind}.{key}' says how a file is read, and these prompts are 'generated'"
            yield ("prompts", kind, key), f"{problem}; take it out ('prompts.generate' says how they are written)"
    if recipe.pairs.given and recipe.pairs.given.source == GENERATED != sources.get("red_team"):
        problem = "'pairs.given' is 'generated', and 'prompts.red_team' is not"
        yield ("pairs", "given"), f"{problem}: there are no answers that the run wrote; name a file, or take it out"
    if sources.get("benign_twin") == GENERATED != sources.get("red_team"):
        problem = "'prompts.benign_twin' is 'generated', and 'prompts.red_team' is not"
        yield ("prompts", "benign_twin"), f"{problem}: a twin is written beside its red-team prompt; set both, or none"


def _probed(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    settings = recipe.evaluate
    for name in settings.others:
        if name in {"base", *POLICY_STAGES, *policies_of(recipe)}:
            problem = f"'evaluate.others' names a model {name!r}, as one of the run's own is called"
            yield ("evaluate", "others", name), f"{problem}; give it another name"
    if settings.others and not settings.probes:
        problem = "'evaluate.others' names models, and 'evaluate.probes' has nothing to put to them"
        yield ("evaluate", "others"), f"{problem}; name a constitution under 'evaluate.probes'"
    named = Counter((probe.constitution, probe.source) for probe in settings.probes)
    for (constitution, _), n in named.items():
        if n > 1:
            yield ("evaluate", "probes"), f"'evaluate.probes' names {constitution!r} {n} times; name it once"


def doubts(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    """Find values that do less than they seem to; the place of each, and what is to be said of it, with the remedy."""
    yield from _openings(recipe)
    yield from _cut_texts(recipe)
    if recipe.sft.only_confirmed and not recipe.revise.check:
        yield ("sft", "only_confirmed"), "does nothing without revise.check; set that too, or take it out"
    if recipe.revise.check and recipe.revise.given:
        problem = "asks about the revisions that the run makes, and about none of revise.given"
        remedy = "sft.only_confirmed and pairs take those as they are; leave out of that file what is no better"
        yield ("revise", "check"), f"{problem}: {remedy}"
    own = recipe.models.judge or recipe.models.policy
    for name, judge in recipe.label.judges.items():
        if judge.model == own:
            problem = "is the model of models.judge, which says the same a second time"
            yield ("label", "judges", name), f"{problem}; name another model, or take it out"
    if recipe.label.on_low_margin != "keep" and not recipe.label.min_margin:
        problem = f"is {recipe.label.on_low_margin}, and with label.min_margin=0 no label is unsure"
        yield ("label", "on_low_margin"), f"{problem}; set label.min_margin, such as 0.05, or take it out"
    yield from _margins_out_of_reach(recipe)
    for stage, mixed in mixtures(recipe).items():
        if mixed.helpfulness is None and "helpfulness_ratio" in mixed.model_dump(exclude_defaults=True):
            yield (stage, "helpfulness_ratio"), f"does nothing without {stage}.helpfulness; set it"
    yield from rl_doubts(recipe)
    if recipe.evaluate.judge_adherence and not recipe.evaluate.probes:
        yield ("evaluate", "judge_adherence"), "does nothing without evaluate.probes; take it out"


def _margins_out_of_reach(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    label = recipe.label
    reach = max(label.clamp[1] - 0.5, 0.5 - label.clamp[0])
    if label.chains and label.on_low_margin != "keep" and label.min_margin > reach + 1e-9 and not label.prior:
        problem = f"is {label.min_margin:g}, and behind chains of thought label.clamp holds every margin to {reach:g}"
        yield ("label", "min_margin"), f"{problem}: every label is unsure; lower it, or widen label.clamp"


def _openings(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    longest = recipe.pairs.max_tokens
    for stage in (name for name in ("preference_model", "dpo") if name in stages_of(recipe)):
        opening = text_training_settings(recipe, stage).opening_tokens
        if opening is not None and opening >= longest:
            problem = f"is {opening}, and no sampled side of a pair is longer than pairs.max_tokens, {longest}"
            yield (stage, "opening_tokens"), f"{problem}: it does nothing to those pairs; lower it, or take it out"
    opening, longest = recipe.sft.opening_tokens, recipe.sft.max_tokens
    if opening is not None and longest < min(opening, recipe.revise.max_tokens) and _samples(recipe):
        problem = f"is {longest}, and sft.opening_tokens is {opening}"
        remedy = f"raise it to {opening}, or lower sft.opening_tokens"
        yield ("sft", "max_tokens"), f"{problem}: sampled answers are trained on shorter than revisions; {remedy}"


def _cut_texts(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    stages: Mapping[str, ReviseSettings | SftSettings | PairSettings]
    stages = {"revise": recipe.revise, "sft": recipe.sft, "pairs": recipe.pairs}
    for name, settings in stages.items():
        if name == "sft" and not _samples(recipe):
            continue
        if settings.max_tokens < _A_SENTENCE and settings.on_cut != "open":
            problem = f"is {settings.max_tokens}, and {name}.on_cut is {settings.on_cut!r}"
            remedy = f"raise it to {_A_SENTENCE} at least, or set {name}.on_cut=open"
            yield (name, "max_tokens"), f"{problem}: nearly every text is cut and left out; {remedy}"


def _samples(recipe: Recipe) -> bool:
    """Whether answers of the base are sampled to be mixed with the revisions."""
    return recipe.sft.helpful_ratio > 0 or recipe.sft.twin_ratio > 0


def _shares(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    groups: dict[Where, Mapping[Any, float]] = {("pairs", "kinds"): recipe.pairs.kinds}
    if recipe.dpo is not None and recipe.dpo.kinds is not None:
        groups[("dpo", "kinds")] = recipe.dpo.kinds
    groups |= {("pairs", "sources", kind): shares for kind, shares in recipe.pairs.sources.items()}
    for where, shares in groups.items():
        if abs(sum(shares.values()) - 1.0) > 1e-6:
            yield where, f"the shares under '{'.'.join(where)}' add up to {sum(shares.values()):g}; make them 1"


def _kinds(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    there = recipe.prompts.sources()
    for kind, share in recipe.pairs.kinds.items() if recipe.pairs.n else ():
        sources = recipe.pairs.sources.get(kind)
        if not share:
            continue
        if kind not in there:
            problem = f"'prompts.{kind}' is null, and 'pairs.kinds' gives it {share:g} of the pairs"
            yield ("prompts", kind), f"{problem}; give it prompts{_without(recipe, kind)}"
        elif sources is None:
            problem = f"'pairs.sources' says nothing for {kind!r}, which has a share"
            yield ("pairs", "kinds", kind), f"{problem}; add it there"
        elif kind != "red_team" and sources.get("revision_vs_initial"):
            problem = (
                f"'pairs.sources.{kind}' takes pairs from revision_vs_initial, and only red_team prompts are revised"
            )
            yield ("pairs", "sources", kind), f"{problem}; give that share to another source"


def _trained_kinds(recipe: Recipe) -> Iterator[tuple[Where, str]]:
    for kind, share in ((recipe.dpo and recipe.dpo.kinds) or {}).items():
        if share and not recipe.pairs.kinds.get(kind) and recipe.pairs.given is None:
            problem = f"'dpo.kinds' gives {kind} {share:g} of the pairs to train on, and 'pairs.kinds' has none of it"
            yield ("dpo", "kinds", kind), f"{problem}; give it a share there, or take it out here"


def _without(recipe: Recipe, kind: PromptKind) -> str:
    """Offer the shares of the other kinds, made to add up."""
    there = recipe.prompts.sources()
    others = {one: share for one, share in recipe.pairs.kinds.items() if one != kind and one in there and share}
    shares = ", ".join(f"{one}: {share / sum(others.values()):.7g}" for one, share in others.items())
    return f", or set 'pairs.kinds' to {{{shares}}}" if others else ""
