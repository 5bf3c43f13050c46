"""Ablations about labels: soft against hard ones, and how probabilities behind chains are clamped (CAI §4.1, §4.3).

A preference model is trained on each kind of label of the same pairs, once for each seed, and asked which of two
replies is better.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from charter.errors import RunError
from charter.evaluation.multiple_choice import ChoiceRow, answer_with_rewards
from charter.feedback.labels import judge_pairs
from charter.feedback.settling import Settling, judged_of, pair_of, settle
from charter.feedback.votes import LetterReading, read_again
from charter.recipe.settings import PreferenceModelSettings
from charter.records import Judged, Preference
from charter.reproduction.claims import at, claim_change, unmeasured
from charter.reproduction.desk import Desk, step_of, weights_of
from charter.reproduction.figure import Made, Panel, Value, points_of
from charter.reproduction.meetings import MAIN, standard_of
from charter.reproduction.questions import PAIRS, chance_of, draw_questions, texts_of
from charter.seeds import derive_seed, digest
from charter.stages.label import judging_of

N_SEEDS = 3
_TOLD = "right, preference model"
_SOFT, _HARD = "soft labels", "hard labels"
_CLAMPS: Mapping[str, tuple[float, float] | None] = {
    "not clamped": None,
    "20 to 80 %": (0.2, 0.8),
    "40 to 60 %": (0.4, 0.6),
}
_CHAIN_TOKENS = 48


def soft_or_hard(desk: Desk) -> Made:
    """Make the ablation of CAI §4.1: a preference model on the judge's probabilities, and on its choices."""
    soft = _labelled(desk)
    labels = {_SOFT: soft, _HARD: [one.model_copy(update={"p_chosen": 1.0}) for one in soft]}
    return _by_labels(desk, labels, "Soft labels give a better preference model than hard ones.", _HARD, _SOFT)


def clamped(desk: Desk) -> Made:
    """Make the ablation of CAI §4.3: probabilities behind chains of thought, not clamped and clamped twice."""
    judged = _judged_behind_chains(desk)
    labels: dict[str, Sequence[Preference]] = {}
    for name, clamp in _CLAMPS.items():
        again = (
            one.model_copy(update={"verdicts": read_again(one.verdicts, LetterReading(clamp=clamp))}) for one in judged
        )
        settled = [settle(one, Settling()) for one in again]
        labels[name] = [one for one in settled if isinstance(one, Preference)]
    unclamped, _, clamped_most = _CLAMPS
    made = _by_labels(
        desk, labels, "Clamped to 40 to 60 %, labels give a better preference model.", unclamped, clamped_most
    )
    n_lost = len(judged) - len(labels[unclamped])
    note = f"{n_lost} of {len(judged)} pairs have no verdict that could be read."
    return dataclasses.replace(made, notes=[*made.notes, note])


def _by_labels(desk: Desk, labels: Mapping[str, Sequence[Preference]], statement: str, before: str, after: str) -> Made:
    """Train on each kind of label, and hold two of them against each other; a row's value is the mean of the seeds."""
    rows = draw_questions(desk, desk.data.get("choices", PAIRS))
    values: list[Value] = []
    trained_on = {name: of for name, of in labels.items() if of}
    for place, (name, preferences) in enumerate(trained_on.items()):
        right: dict[str, list[float]] = {}
        for number in range(N_SEEDS):
            for row, share in _right(desk, rows, _trained(desk, name, preferences, number), f"{name} {number}").items():
                right.setdefault(row, []).append(share)
        values += [
            Value(panel=PAIRS, series=_TOLD, x=place, row=row, group=rows[row].context, value=sum(of) / len(of))
            for row, of in right.items()
        ]
    places = list(trained_on)
    panel = Panel(PAIRS, _TOLD, "labels", tuple(places), is_share=True, level=chance_of(rows))
    if {before, after} <= trained_on.keys():
        first, second = (at(values, PAIRS, _TOLD, places.index(name)) for name in (before, after))
        claim = claim_change(statement, first, second, "higher", seed=desk.seed)
    else:
        claim = unmeasured(statement, "no pair has such a label")
    n_pairs = " and ".join(str(n) for n in sorted({len(of) for of in trained_on.values()})) or "no"
    notes = [f"Means of {N_SEEDS} seeds, each trained on {n_pairs} pairs of the main run."]
    return Made([panel] if values else [], points_of(values, (0.0, 1.0)), values, [claim], notes)


def _labelled(desk: Desk) -> list[Preference]:
    """Take the main run's preferences as the judge alone sees them, without priors; as many as are asked for.

    Raises:
        RunError: where there are none.
    """
    kept = desk.rows(MAIN.name, "preferences", Preference)
    settled = [settle(judged_of(one), Settling()) for one in kept]
    found = [one for one in settled if isinstance(one, Preference)]
    if not found:
        raise RunError(f"{desk.runs[MAIN.name]}: has no preferences to train on")
    return sorted(found, key=lambda one: derive_seed(desk.seed, one.id, "labels"))[: desk.n]


def _judged_behind_chains(desk: Desk) -> list[Judged]:
    """Ask the judge about the same pairs again, after a chain of thought in each order."""
    pairs = [pair_of(judged_of(one)) for one in _labelled(desk)]
    judging = dataclasses.replace(judging_of(desk.recipe), chains=1, clamp=(0.0, 1.0), max_chain_tokens=_CHAIN_TOKENS)
    texts = [[one.id, one.a, one.b] for one in pairs]
    with desk.lend(desk.judge.spec, known_as=desk.known_judge) as engine:
        mapped = judge_pairs(
            pairs,
            standard_of(desk.recipe, "red_team"),
            engine,
            helpful=standard_of(desk.recipe, "helpful"),
            k_principles=1,
            judging=judging,
            seed=desk.seed,
            mapper=desk.mapper,
            stage=step_of("labels behind chains", desk.judge.name, texts),
        )
        return list(mapped.done)


def _trained(desk: Desk, name: str, preferences: Sequence[Preference], number: int) -> Path:
    """Train a preference model from the main run's SFT model, or find that it is done: a training is done once."""
    from charter.training.adapters import LoraSettings
    from charter.training.checkpoints import take_back
    from charter.training.pace import Pace
    from charter.training.preference_model import preference_model

    settings = desk.recipe.preference_model or PreferenceModelSettings()
    fields = {field.name for field in dataclasses.fields(Pace)} - {"snapshots"}
    rows = digest([[one.id, one.chosen, one.p_chosen] for one in preferences])[:12]
    out = desk.folder / "models" / f"{rows}-{number}"
    lora = desk.recipe.sft.lora
    take_back(out)
    preference_model(
        preferences,
        desk.runs[MAIN.name] / "models" / "sft",
        out=out,
        seed=derive_seed(desk.seed, str(number), "labels"),
        pace=Pace(**settings.model_dump(include=fields)),
        max_length=settings.max_length,
        opening_tokens=settings.opening_tokens,
        lora=None if lora is None else LoraSettings(**lora.model_dump()),
        dtype=desk.recipe.models.policy.dtype,
        device=desk.recipe.models.policy.device,
        on_step=desk.on_step(f"{name}, seed {number}"),
        stop=desk.stop,
    )
    return out


def _right(desk: Desk, rows: Mapping[str, ChoiceRow], model: Path, name: str) -> dict[str, float]:
    from charter.training.rewards import late_rewards

    file = step_of(model.name, weights_of(model), texts_of(rows))
    asked = answer_with_rewards(list(rows.values()), name, late_rewards(model), file=file, mapper=desk.mapper)
    return {one.id: one.correct for one in asked.done}
