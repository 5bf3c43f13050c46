"""The file of a fitted calibrator, which a recipe names: two numbers, whose they are, and what they were worth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from charter.errors import RecipeError
from charter.feedback.calibration import Calibration, LabelQuality
from charter.files.tables import write_json
from charter.records import PromptKind, Record
from charter.statistics import Interval
from charter.statistics.scaling import AS_READ, TEMPERATURES, Scaling

_SHOWN = 80  # characters of a value that is wrong


class Bounded(Record):
    """A figure with its 95 % interval; None where the rows bound nothing."""

    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, found: Interval) -> Self:
        """Take it from an interval."""
        return cls(value=found.value, low=found.low, high=found.high)


class Worth(Record):
    """How good labels were, on pairs that nothing was fitted on.

    ``ece_by_chance`` is what the calibration error would be if the probabilities were true: on average, and in 95 % of
    cases at most.
    """

    accuracy: Bounded
    brier: Bounded
    ece: float
    ece_by_chance: tuple[float, float] | None = None

    @classmethod
    def of(cls, found: LabelQuality) -> Self:
        """Take it from what was measured."""
        bounded = {"accuracy": Bounded.of(found.accuracy), "brier": Bounded.of(found.brier)}
        return cls(**bounded, ece=found.ece, ece_by_chance=found.ece_by_chance)


class Asked(Record):
    """How a judge was asked in an audit, or is asked for labels, as far as its probabilities depend on it.

    ``kinds`` are those of the prompts; ``helpful_constitution`` is by whose principles answers to all but red-team
    ones are judged, None where that is not known; ``n_few_shots`` is None where all worked examples are shown.
    """

    helpful_constitution: str | None
    kinds: tuple[PromptKind, ...]
    n_few_shots: int | None = Field(ge=0)
    min_option_mass: float = Field(ge=0.0, le=1.0)


class Calibrator(Record):
    """A judge's temperature and bias.

    ``judge`` is its name and ``identity`` that of its weights or of what serves them; ``chains`` how many chains of
    thought it drew. ``option_bias`` is in log-odds, towards the option shown first. Fitted on ``n_pairs`` of
    ``n_contexts`` of the file ``labels``; ``before`` and ``after`` are by cross-validation. ``asked`` is how it was
    asked else, None in files of earlier versions.
    """

    format: Literal["charter-calibrator/1"] = "charter-calibrator/1"
    judge: str
    identity: str
    constitution: str
    chains: int = Field(ge=0)
    asked: Asked | None = None
    temperature: float = Field(ge=TEMPERATURES[0], le=TEMPERATURES[1])
    option_bias: float = Field(ge=-20.0, le=20.0)
    labels: str
    n_pairs: int = Field(ge=1)
    n_contexts: int = Field(ge=1)
    before: Worth
    after: Worth

    @property
    def scaling(self) -> Scaling:
        """What it does to a probability."""
        return Scaling(self.temperature, self.option_bias)


def make_calibrator(found: Calibration, subject: Mapping[str, Any]) -> Calibrator:
    """Put a calibration under the name of its judge.

    Args:
        found: what was fitted.
        subject: ``judge``, ``identity``, ``constitution``, ``chains`` and ``labels`` of the audit, and what ``Asked``
            has.
    """
    whose = {name: subject[name] for name in ("judge", "identity", "constitution", "chains", "labels")}
    return Calibrator(
        **whose,
        asked=Asked(**{name: subject[name] for name in Asked.model_fields}),
        temperature=found.scaling.temperature,
        option_bias=found.scaling.bias,
        n_pairs=found.n_pairs,
        n_contexts=found.n_contexts,
        before=Worth.of(found.before),
        after=Worth.of(found.after),
    )


def write_calibrator(path: Path, calibrator: Calibrator) -> None:
    """Write the file, whole or not at all."""
    write_json(path, calibrator.model_dump(mode="json"))


def misfits(
    found: Calibrator,
    *,
    judge: str,
    chains: int,
    constitution: str | None = None,
    identity: str | None = None,
    asked: Asked | None = None,
) -> Iterator[str]:
    """Say in which ways a calibrator is not of the judge that is read through it; the remedy is another one.

    Args:
        found: the calibrator.
        judge: the judge's name.
        chains: how many chains of thought it draws.
        constitution: the name of the one that it judges by; None where that is not known.
        identity: of its weights or of what serves them; None where that is not known yet.
        asked: how it is asked else, and about which kinds of prompts; None where that is not known.
    """
    if found.judge != judge:
        problem = f"was fitted on {found.judge}, and the recipe's judge is {judge}"
        yield f"{problem}; fit another with 'charter audit', or leave it out"
    elif identity is not None and found.identity != identity:
        yield (
            f"was fitted on another {judge} than this one (weights, number format or who serves it have changed "
            "since); audit the judge again"
        )
    if found.scaling.is_at_its_bound:
        yield (
            "has the highest temperature that is fitted: what the judge says is noise, or far surer than it is right; "
            "look at the audit's reliability.svg, or leave it out"
        )
    if found.chains != chains:
        yield (
            f"was fitted with {found.chains} chains of thought, and 'label.chains' is {chains}: probabilities behind "
            "chains are others; fit one with --chains"
        )
    if constitution is not None and found.constitution != constitution:
        yield (
            f"was fitted under the constitution {found.constitution}, and this judge goes by {constitution}; audit the "
            "judge under that one"
        )
    if found.asked is not None and asked is not None:
        yield from _asked_otherwise(found.asked, asked)


def _asked_otherwise(audited: Asked, asked: Asked) -> Iterator[str]:
    unseen = [kind for kind in asked.kinds if kind not in audited.kinds]
    if unseen:
        yield (
            f"was fitted on answers to {_listed(audited.kinds)} prompts, and those to {_listed(unseen)} prompts are "
            "read through it too; audit the judge on pairs of these as well"
        )
    is_helpful = any(kind != "red_team" for kind in asked.kinds)
    helpful = audited.helpful_constitution, asked.helpful_constitution
    if is_helpful and None not in helpful and helpful[0] != helpful[1]:
        yield (
            f"was fitted under the constitution {helpful[0]} for helpful prompts, and this judge goes by {helpful[1]} "
            "there; audit the judge with --helpful"
        )
    if audited.n_few_shots != asked.n_few_shots:
        shown = ["all" if one.n_few_shots is None else str(one.n_few_shots) for one in (audited, asked)]
        yield (
            f"was fitted with {shown[0]} worked examples shown, and 'label.n_few_shots' shows {shown[1]}; fit one with "
            "as many (--n-few-shots)"
        )
    if audited.min_option_mass != asked.min_option_mass:
        yield (
            f"was fitted on verdicts with an option mass of {audited.min_option_mass:g} at least, and "
            f"'label.min_option_mass' is {asked.min_option_mass:g}: other verdicts count; fit one with "
            "--min-option-mass"
        )


def _listed(kinds: Sequence[str]) -> str:
    return ", ".join(sorted(kinds))


def scaling_of(file: str | None) -> Scaling:
    """Read what a recipe's calibrator does to probabilities; without one they stay as they are read."""
    return AS_READ if file is None else read_calibrator(Path(file)).scaling


def read_calibrator(path: Path) -> Calibrator:
    """Read a file that ``charter audit`` wrote.

    Raises:
        RecipeError: naming file, value and remedy.
    """
    remedy = "expected a file that 'charter audit' wrote as calibrator.json"
    try:
        return Calibrator.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        # Where a key is missing, what there is is the whole file.
        told = "" if first["type"] == "missing" else f" (it is {_shortened(repr(first['input']))})"
        raise RecipeError(f"{path}: {place or 'the file'}: {first['msg']}{told}; {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: is no JSON ({error}); {remedy}") from error


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
