"""What an evaluation is made of: answers, comparisons, readings, scores, and the figures drawn from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from charter.records.base import FlatRow, Record
from charter.records.prompts import PromptRow
from charter.records.training import Verdict

ResponseLabel = Literal["compliance", "objection", "bare_refusal", "evasive"]


class Response(PromptRow):
    """One model's answer to one held-out prompt, with what the measurements read off it.

    ``label`` is the response class (see ``text_quality.response_class``), ``flags`` the quality flags, ``n_tokens``
    the length as the model counts it.
    """

    model: str
    text: str
    finish: str
    n_tokens: int
    label: ResponseLabel
    flags: tuple[str, ...] = ()


class Comparison(PromptRow):
    """Two models' answers to one prompt, judged in both orders.

    ``win`` is 1 where the judge prefers ``model``, 0 where it prefers ``base``, 0.5 for a tie; None where no verdict
    could be read.
    """

    model: str
    base: str
    win: float | None
    p_model: float | None
    position_bias: float
    verdicts: tuple[Verdict, ...]


class Reading(PromptRow):
    """One model's answer to a red-team prompt, as the judge reads it.

    ``response`` is the answer's id, ``label`` its class by the rules. ``p_complied`` is the judge's probability that it
    complied, the mean of both orders; None where a verdict is invalid. In ``verdicts`` side a is that it complied.
    """

    response: str
    model: str
    label: ResponseLabel
    p_complied: float | None
    position_bias: float
    verdicts: tuple[Verdict, ...]

    @property
    def complied(self) -> float | None:
        """1 where the judge says that it complied, 0 where not, 0.5 where it cannot tell; None where it is invalid."""
        return None if self.p_complied is None else 0.5 if self.p_complied == 0.5 else float(self.p_complied > 0.5)


class Probed(PromptRow):
    """One model on one probe of a constitution (see ``evaluation.adherence``); ``probe`` is the pair's id.

    ``keeping`` is the given answer that keeps to the principle which ``prompt`` names, ``departing`` the one that does
    not; the losses are in nats per token.
    """

    probe: str
    constitution: str
    model: str
    keeping: str
    departing: str
    loss_keeping: float
    loss_departing: float

    @property
    def margin(self) -> float:
        """How much likelier the keeping answer is, in nats per token."""
        return self.loss_departing - self.loss_keeping

    @property
    def prefers_keeping(self) -> float:
        """1 where the keeping answer is the likelier, 0 where the other is, 0.5 where neither."""
        return 0.5 if self.margin == 0 else float(self.margin > 0)


class Adherence(PromptRow):
    """One model's answer to a probe of a constitution, as the judge reads it.

    ``p_keeps`` is the judge's probability that the answer keeps to the principle which ``prompt`` names, the mean of
    both orders; None where a verdict is invalid. In ``verdicts`` side a is that it keeps.
    """

    constitution: str
    model: str
    answer: str
    p_keeps: float | None
    position_bias: float
    verdicts: tuple[Verdict, ...]


class Scored(Record):
    """The log-probability of a text under a model: ``logprob`` in nats over ``n_tokens``."""

    id: str
    model: str
    logprob: float
    n_tokens: int

    @property
    def loss(self) -> float:
        """Nats per token."""
        return -self.logprob / max(self.n_tokens, 1)


class MeasuredRow(FlatRow):
    """What one model was measured at on one row, such as a prompt; rows of one ``group`` hang together."""

    name: str
    subset: str
    model: str
    row: str
    group: str | None
    value: float


class Measurement(Record):
    """One figure: a value with its n and 95 % interval, and where a base exists, the paired difference from it.

    ``better`` says which direction is good. ``subset`` names the rows it is over. ``rows`` points at the file that
    holds them. ``n_groups`` counts what is independent among the ``n`` rows, None where each stands for itself. An
    interval is None at both ends where the rows cannot bound the figure. Differences are ``value - base``; ``p_value``
    belongs to the test named in ``method``: paired with the base, or of a win rate against one half. ``measured`` has
    what the figure summarises, where that is a value for each row; it is kept in a table of its own.
    """

    name: str
    model: str
    subset: str
    value: float
    low: float | None
    high: float | None
    n: int
    n_groups: int | None = None
    unit: Literal["rate", "nats", "tokens", "score"] = "rate"
    better: Literal["higher", "lower", "neither"] = "neither"
    base: str | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None
    method: str = ""
    rows: str = ""
    measured: tuple[MeasuredRow, ...] = Field(default=(), exclude=True, repr=False)


def _known_keys(measurements: Any) -> Any:
    """Take of each measurement the keys that are known here: a record refuses others."""
    if not isinstance(measurements, list):
        return measurements
    known = Measurement.model_fields
    return [{key: one[key] for key in one if key in known} if isinstance(one, dict) else one for one in measurements]


class Figures(Record):
    """What ``evaluation.json`` holds: the measured models, base first and the final model last, and their figures.

    Keys that a newer version adds are no reason to refuse the rest.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    models: tuple[str, ...]
    measurements: Annotated[tuple[Measurement, ...], BeforeValidator(_known_keys)]
