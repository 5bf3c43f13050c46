from __future__ import annotations

from functools import partial

import pytest

from charter.engines.base import Score, ScoreRequest
from charter.engines.scripted import ScriptedEngine
from charter.evaluation.likelihood import (
    drift_rows,
    measure_loss,
    measure_preference_accuracy,
    preference_rows,
    reference_rows,
    score,
)
from charter.records import Preference, Response, Scored, make_prompt
from charter.rows import map_rows
from charter.seeds import row_id
from charter.statistics import mean_interval, paired_mean_difference, rate_interval


def _preference(number: int) -> Preference:
    return Preference(
        id=f"pair-{number}", prompt=make_prompt(f"p{number}", "helpful"), chosen=f"good {number}",
        rejected=f"bad {number}", p_chosen=0.8, source="on_policy", verdicts=(), pair=f"pair-{number}",
        chosen_side="a", p_judge=0.8, position_bias=0.0,
    )  # fmt: skip


def _scored(model: str, logprobs: dict[str, float]) -> list[Scored]:
    return [Scored(id=row, model=model, logprob=logprob, n_tokens=4) for row, logprob in logprobs.items()]


def test_texts_are_scored_as_the_answer_with_its_end() -> None:
    """A text is scored after the prompt's turns, with the token that ends it."""
    asked: list[ScoreRequest] = []

    class Asked(ScriptedEngine):
        """Remembers its requests."""

        async def score(self, request: ScoreRequest) -> Score:
            """Remember and score."""
            asked.append(request)
            return await super().score(request)

    prompt = make_prompt("Why?", "helpful", reference="So.")
    rows = reference_rows([prompt, make_prompt("No reference", "helpful")])
    mapped = score(rows, "sft", Asked(), purpose="reference loss", mapper=map_rows)
    assert asked == [ScoreRequest(messages=prompt.turns, continuation="So.", end_turn=True)]
    assert [(one.id, one.model) for one in mapped.done] == [(prompt.id, "sft")]
    assert mapped.done[0].logprob < 0


def test_drift_is_measured_on_helpful_answers() -> None:
    """The base's own answers count where they are to helpful prompts and not empty; a cut one has no end to score."""

    def response(number: int, **fields: str) -> Response:
        kind = fields.pop("kind", "helpful")
        fields = {"text": "An answer.", "finish": "stop", **fields}
        prompt = make_prompt(f"p{number}", kind)  # type: ignore[arg-type]
        return Response(id=f"r{number}", prompt=prompt, model="base", n_tokens=3, label="compliance", **fields)

    rows = drift_rows([response(0), response(1, text=""), response(2, finish="length"), response(3, kind="red_team")])
    assert [(row.prompt.text, row.text, row.whole) for row in rows] == [
        ("p0", "An answer.", True),
        ("p2", "An answer.", False),
    ]


def test_loss_is_in_nats_per_token() -> None:
    """The mean over prompts of each prompt's own loss per token, and the paired difference from the base."""
    base = [
        Scored(id="a", model="base", logprob=-10.0, n_tokens=5),
        Scored(id="b", model="base", logprob=-3.0, n_tokens=1),
    ]
    own = [Scored(id="a", model="sft", logprob=-5.0, n_tokens=5), Scored(id="b", model="sft", logprob=-4.0, n_tokens=1)]
    measured = partial(measure_loss, base="base", rows="x", groups={"a": "a", "b": "b"})
    found = measured("loss", {"base": base, "sft": own}, lower_is_better=True)
    assert [one.value for one in found] == [2.5, 2.5]
    assert found[1].difference == pytest.approx(0.0)
    assert {(one.unit, one.better, one.subset) for one in found} == {("nats", "lower", "helpful")}
    drift = measured("drift", {"base": base}, lower_is_better=False)
    assert drift[0].better == "neither"


def test_losses_on_what_asks_the_same_are_resampled_together() -> None:
    """Prompts of one group are one observation, in the mean and in the difference from the base."""
    before, after = [1.0, 1.1, 1.2, 3.0, 4.0], [1.5, 1.6, 1.5, 3.1, 3.9]
    codes = ["x", "x", "x", "y", "z"]

    def scored(model: str, losses: list[float]) -> list[Scored]:
        return [Scored(id=str(row), model=model, logprob=-loss, n_tokens=1) for row, loss in enumerate(losses)]

    groups = {str(row): code for row, code in enumerate(codes)}
    scores = {"base": scored("base", before), "sft": scored("sft", after)}
    base, own = measure_loss("loss", scores, base="base", rows="x", lower_is_better=True, groups=groups)
    alone, difference = mean_interval(before, groups=codes), paired_mean_difference(before, after, groups=codes)
    assert (base.low, base.high) == (alone.low, alone.high)
    assert (own.difference_low, own.difference_high) == (difference.low, difference.high)
    assert difference.low != paired_mean_difference(before, after).low


def test_both_sides_of_a_preference_are_scored() -> None:
    """A preference gives two rows of their own ids, chosen first."""
    rows = preference_rows([_preference(0), _preference(1)])
    assert [row.text for row in rows] == ["good 0", "bad 0", "good 1", "bad 1"]
    assert len({row.id for row in rows}) == 4
    assert rows[0].id == row_id("pair-0", "chosen")


def test_preference_accuracy_is_by_the_gain_over_the_reference() -> None:
    """A pair is right where training raised the chosen text's log-probability more than the rejected one's.

    Where it raised both alike, the pair is half right.
    """
    preferences = [_preference(number) for number in range(4)]

    def sides(*values: tuple[float, float]) -> dict[str, float]:
        return {
            row_id(f"pair-{number}", side): value
            for number, pair in enumerate(values)
            for side, value in zip(("chosen", "rejected"), pair, strict=True)
        }

    # The rejected text is likelier under both models throughout: only the change counts.
    base = sides((-9, -1), (-9, -1), (-9, -1), (-9, -1))
    sft = sides((-8, -1), (-9, -2), (-9, -0.5), (-8, 0.0))  # gains 1 > 0, 0 > -1, 0 < 0.5, 1 = 1
    dpo = sides((-8, -1), (-8, -2), (-7, -2), (-7, -4))
    scores = {"base": _scored("base", base), "sft": _scored("sft", sft), "dpo": _scored("dpo", dpo)}
    found = measure_preference_accuracy(preferences, scores, {"sft": "base", "dpo": "sft"})
    values = {one.model: one.value for one in found}
    assert values == {"sft": 0.625, "dpo": 0.875}  # dpo's gains over sft: 0 = 0, 1 > 0, 2 > -1.5, 1 > -4
    assert {one.n for one in found} == {4}
    assert {one.subset for one in found} == {"held-out pairs"}


def test_a_model_that_equals_its_reference_is_at_one_half() -> None:
    """Training that changed nothing is right as often as chance, and no test says otherwise."""
    preferences = [_preference(number) for number in range(20)]
    scored = {row.id: -float(n) for n, row in enumerate(preference_rows(preferences))}
    scores = {model: _scored(model, scored) for model in ("base", "sft")}
    (found,) = measure_preference_accuracy(preferences, scores, {"sft": "base"})
    assert (found.value, found.p_value) == (0.5, 1.0)


def test_pairs_without_all_their_scores_are_left_out() -> None:
    """A pair one of whose four scores is missing is not in the accuracy."""
    preferences = [_preference(0), _preference(1)]
    rows = {row_id(f"pair-{number}", side): -1.0 for number in range(2) for side in ("chosen", "rejected")}
    own = {row: value + (0.5 if row == row_id("pair-0", "chosen") else 0.0) for row, value in rows.items()}
    del own[row_id("pair-1", "rejected")]
    scores = {"base": _scored("base", rows), "sft": _scored("sft", own)}
    found = measure_preference_accuracy(preferences, scores, {"sft": "base"})
    assert [(one.value, one.n) for one in found] == [(1.0, 1)]
    assert measure_preference_accuracy(preferences, {"base": []}, {"sft": "base"}) == []


def test_pairs_are_resampled_by_the_groups_they_were_held_out_by() -> None:
    """A prompt, its twin and a text that differs in writing alone are one observation, not three."""
    prompts = [
        prompt
        for number in range(6)
        for prompt in (
            make_prompt(f"Harmful {number}?", "red_team", id=f"rt-{number}"),
            make_prompt(f"Benign {number}?", "benign_twin", id=f"bt-{number}", twin_of=f"rt-{number}"),
            make_prompt(f"  HARMFUL, {number}", "helpful", id=f"hp-{number}"),
        )
    ]
    preferences = [_preference(n).model_copy(update={"prompt": prompt}) for n, prompt in enumerate(prompts)]
    right = [n // 3 < 2 for n in range(18)]
    base = {row.id: -5.0 for row in preference_rows(preferences)}
    own = base | {row_id(f"pair-{n}", "chosen"): -4.0 if right[n] else -6.0 for n in range(18)}
    scores = {"base": _scored("base", base), "sft": _scored("sft", own)}
    found = measure_preference_accuracy(preferences, scores, {"sft": "base"})[0]
    clustered = rate_interval(right, groups=[n // 3 for n in range(18)])
    assert (found.value, found.low, found.high) == (1 / 3, clustered.low, clustered.high)
