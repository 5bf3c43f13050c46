"""What models find likely: loss on reference answers, drift from the base, and held-out preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charter.engines.base import Engine, ScoreRequest
from charter.evaluation.measuring import Better, measure
from charter.prompts.grouping import prompt_groups
from charter.records import Measurement, Preference, Prompt, Response, Scored
from charter.rows import Mapped, RowMapper
from charter.seeds import row_id
from charter.statistics import TIE


@dataclass(frozen=True)
class ScoreRow:
    """A text to be scored as the answer to a prompt; ``whole`` says whether its end token is scored too."""

    id: str
    prompt: Prompt
    text: str
    whole: bool = True


async def score_one(row: ScoreRow, model: str, engine: Engine) -> Scored:
    """Score a text as the model's answer."""
    score = await engine.score(ScoreRequest(messages=row.prompt.turns, continuation=row.text, end_turn=row.whole))
    return Scored(id=row.id, model=model, logprob=score.logprob, n_tokens=score.n_tokens)


def score(rows: Sequence[ScoreRow], model: str, engine: Engine, *, purpose: str, mapper: RowMapper) -> Mapped[Scored]:
    """Score every text under one model."""

    async def one(row: ScoreRow) -> Scored:
        return await score_one(row, model, engine)

    return mapper(one, rows, f"evaluate/{purpose}/{model}", result=Scored)


def reference_rows(prompts: Sequence[Prompt]) -> list[ScoreRow]:
    """Take the held-out reference answers."""
    return [ScoreRow(prompt.id, prompt, prompt.reference) for prompt in prompts if prompt.reference]


def drift_rows(responses: Sequence[Response]) -> list[ScoreRow]:
    """Take the base's own answers to helpful prompts: loss on them measures drift, not quality."""
    return [
        ScoreRow(response.prompt.id, response.prompt, response.text, whole=response.finish == "stop")
        for response in responses
        if response.prompt.kind == "helpful" and response.text
    ]


def preference_rows(preferences: Sequence[Preference]) -> list[ScoreRow]:
    """Take both sides of held-out preferences: the chosen ones' ids end in ``chosen``."""
    return [
        ScoreRow(row_id(one.id, side), one.prompt, text, whole=whole)
        for one in preferences
        for side, text, whole in (
            ("chosen", one.chosen, one.whole_chosen),
            ("rejected", one.rejected, one.whole_rejected),
        )
    ]


def measure_loss(
    name: str,
    scores: Mapping[str, Sequence[Scored]],
    *,
    base: str,
    rows: str,
    lower_is_better: bool,
    groups: Mapping[str, str],
    n_bytes: Mapping[str, int] | None = None,
) -> list[Measurement]:
    """Measure the mean over prompts of the loss in nats per token, or per byte.

    Args:
        name: of the figure.
        scores: per model, of one text a prompt.
        base: the model that others are compared with.
        rows: the file that holds the rows behind it.
        lower_is_better: whether a lower loss is good, or neither good nor bad.
        groups: of the prompts, by id (see ``prompts.grouping.prompt_groups``).
        n_bytes: how long each text is, to give the loss per byte, which does not depend on how a model cuts tokens.
    """
    values = {
        model: {one.id: one.loss if n_bytes is None else -one.logprob / n_bytes[one.id] for one in scored}
        for model, scored in scores.items()
    }
    better: Better = "lower" if lower_is_better else "neither"
    return measure(name, values, subset="helpful", base=base, unit="nats", better=better, rows=rows, groups=groups)


def measure_preference_accuracy(
    preferences: Sequence[Preference], scores: Mapping[str, Sequence[Scored]], references: Mapping[str, str]
) -> list[Measurement]:
    """Measure how often the implicit reward sides with the held-out preference.

    The reward of a text is its log-probability under the model less that under the model it was trained from (its
    entry in ``references``; 2305.18290 §4). A pair counts as right where the chosen text's is higher, and as
    a half where both are equal, as all are under a model that did not change. Pairs are resampled by the groups that
    they were held out by: of one prompt, its twins, and whatever asks the same. The share is tested against one half,
    which a model that learnt nothing of the pairs would have.
    """
    logprobs = {model: {one.id: one.logprob for one in scored} for model, scored in scores.items()}
    values: dict[str, dict[str, float]] = {}
    for model, reference in references.items():
        own, other = logprobs.get(model, {}), logprobs.get(reference, {})
        values[model] = {}
        for preference in preferences:
            sides = [row_id(preference.id, side) for side in ("chosen", "rejected")]
            if all(side in own and side in other for side in sides):
                gain = [own[side] - other[side] for side in sides]
                values[model][preference.id] = TIE if gain[0] == gain[1] else float(gain[0] > gain[1])
    groups = prompt_groups(preference.prompt for preference in preferences)
    return measure(
        "preference_accuracy",
        values,
        subset="held-out pairs",
        better="higher",
        rows="data/preferences.parquet",
        groups={preference.id: groups[preference.prompt.id] for preference in preferences},
        against_even=True,
    )
