"""What takes away from a run's figures whatever they say: to be read with the verdict, a line each.

Pure: a run in, sentences out, each with its figure and with what to do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from charter.feedback.votes import both_orders
from charter.given.lengths import compare_lengths
from charter.recipe.stages import parted
from charter.records import Preference, Response
from charter.reporting import wording
from charter.reporting.label_quality import same_position
from charter.reporting.reading import RunData
from charter.reporting.told import ended_by_guard
from charter.statistics import Interval

#: A coin thrown for each order names the same position in half of all pairs.
POSITION_SHARE = 0.5
#: On average a judge is this sure of the side it prefers, or it can hardly tell the two.
LEAST_SURE = 0.55
#: One answer in five that is cut: classes and lengths are then of beginnings.
CUT_SHARE = 0.2
#: By length alone one would be right this much more or less often than by a coin.
LENGTH_TELLS, EVEN = 0.1, 0.5
#: Wilson's interval of a rate of one half reaches 17 points to either side at 30 rows.
LEAST_ROWS = 30

_NAMES = {"sft": "SFT", "dpo": "DPO", "rl": "reinforcement learning", "preference_model": "the preference model"}
_HELD_OUT_BY = {
    "red_team": "prompts.n_evaluation",
    "benign_twin": "prompts.n_evaluation",
    "helpful": "prompts.n_evaluation_helpful",
    "held-out pairs": "label.held_out",
}


def cautions(data: RunData) -> tuple[str, ...]:
    """Say what a reader of the figures must know of how they came about; empty where nothing is amiss."""
    lines = (
        script_caution(data.recipe),
        *_ended_early(data),
        _position(data),
        _unsure(data),
        _lengths(data),
        _cut(data),
        _few_rows(data),
    )
    return tuple(line for line in lines if line)


def scripted_roles(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the roles that a script played; one that is not named in the recipe is the policy's."""
    models = _part(recipe, "models")
    return tuple(
        role
        for role, model in models.items()
        if isinstance(model, dict)
        and model.get("engine") == "scripted"
        and (role != "second_judge" or recipe.get("rl") is not None)  # nobody else asks it
    )


def cut_shares(data: RunData) -> dict[str, tuple[float, int]]:
    """Give for each measured model the share of its answers that were cut at the limit, and their number."""
    answers: dict[str, list[Response]] = defaultdict(list)
    for response in data.responses:
        answers[response.model].append(response)
    order = list(data.evaluation.models) if data.evaluation else []
    models = sorted(answers, key=lambda model: (order.index(model) if model in order else len(order), model))
    return {model: (fmean(one.finish == "length" for one in answers[model]), len(answers[model])) for model in models}


def cut_sentence(data: RunData) -> str:
    """Say what share of each model's answers was cut; empty where there are no answers."""
    shares = cut_shares(data)
    if not shares:
        return ""
    told = [f"{model} {wording.value(share, 'rate')} of {wording.count(n)}" for model, (share, n) in shares.items()]
    return f"Answers cut at evaluate.max_tokens{_limit(data)}: {wording.listing(told)}."


def _limit(data: RunData) -> str:
    limit = _part(data.recipe, "evaluate").get("max_tokens")
    return f" ({limit})" if isinstance(limit, int) else ""


def _part(recipe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = recipe.get(name)
    return part if isinstance(part, dict) else {}


def script_caution(recipe: Mapping[str, Any]) -> str:
    """Say which roles of a run a script played, and what that makes of its figures; empty where none did."""
    roles = scripted_roles(recipe)
    if not roles:
        return ""
    keys = wording.listing([f"models.{role}" for role in roles])
    what = (
        "its figures say nothing about a model"
        if "policy" in roles
        else f"whatever the {wording.listing(list(roles))} said, and what was learnt from it, was written beforehand"
    )
    return f"A scripted model took part ({keys}): {what}. Name a model there to measure anything."


def _ended_early(data: RunData) -> Iterator[str]:
    for stage, result in data.stages.items():
        ended = None if result.training is None else ended_by_guard(result.training)
        if ended is not None:
            kept, seen = (wording.count(int(step)) for step in ended)
            yield (
                f"The guard ended {_NAMES[parted(stage).stage]} at step {seen}, and the model is that of step {kept}: "
                "what passed its limits stands in the training's notes and figure."
            )


def _position(data: RunData) -> str:
    share = same_position(both_orders((*data.judged, *data.comparisons)))
    if share is None:
        return ""
    low, high = share.low or 0.0, share.high or 0.0
    if high < POSITION_SHARE:
        return ""
    is_sure = low > POSITION_SHARE
    what = "The judge follows position" if is_sure else "The judge's choice of position cannot be told from a coin's"
    remedy = "a stronger judge (models.judge)" if is_sure else "a stronger judge (models.judge), or more pairs"
    return (
        f"{what}: asked in both orders it picked the same place, not the same response, in "
        f"{wording.value(share.value, 'rate')} of {_counted(share)} (95 % interval "
        f"{wording.interval(low, high, 'rate')}); a coin would in 50 %. Labels and win rates say little: take {remedy}."
    )


def _counted(share: Interval) -> str:
    n = f"{wording.count(share.n)} pairs of verdicts"
    return n if share.n_groups is None else f"{n} on {wording.counted(share.n_groups, 'prompt')}"


def _unsure(data: RunData) -> str:
    read = [one.p_judge if isinstance(one, Preference) else one.p_a for one in data.judged]
    said = [max(p, 1 - p) for p in read if p is not None]
    if not said:
        return ""
    sure = fmean(said)
    if sure >= LEAST_SURE:
        return ""
    return (
        "The judge can hardly tell responses apart: the mean probability of the side it prefers is "
        f"{sure:.2f} (0.5: it cannot) over {wording.counted(len(said), 'judged pair')}. Its labels carry "
        "little: take a stronger judge, or pairs that differ more."
    )


def _lengths(data: RunData) -> str:
    found = compare_lengths([(len(one.chosen), len(one.rejected)) for one in data.preferences])
    if found is None or found.n < LEAST_ROWS or abs(found.auc - EVEN) <= LENGTH_TELLS:
        return ""
    which, n = ("longer", found.n_longer) if found.auc > EVEN else ("shorter", found.n_shorter)
    right = wording.value(max(found.auc, 1 - found.auc), "rate")
    return (
        f"Length tells the chosen answer: it is the {which} one in {wording.count(n)} of {wording.count(found.n)} "
        f"preferences, and by length alone one would be right in {right} of draws (50 % if it told nothing). What was "
        "learnt may be length: balance given pairs (pairs.balance_lengths), or bring others."
    )


def _cut(data: RunData) -> str:
    if all(share < CUT_SHARE for share, _ in cut_shares(data).values()):
        return ""
    return f"{cut_sentence(data)} Classes and lengths are read off beginnings: raise the limit."


def _few_rows(data: RunData) -> str:
    evaluation = data.evaluation
    if evaluation is None or not evaluation.measurements:
        return ""
    found: dict[str, tuple[int, str]] = {}
    for m in evaluation.measurements:
        n = m.n if m.n_groups is None else m.n_groups
        if m.subset != "all" and n > found.get(m.subset, (0, ""))[0]:
            found[m.subset] = (n, wording.rows(m))
    few = {subset: told for subset, (n, told) in found.items() if n < LEAST_ROWS}
    if not few:
        return ""
    told = wording.listing(list(few.values()))
    keys = list(dict.fromkeys(_HELD_OUT_BY[subset] for subset in few if subset in _HELD_OUT_BY))
    return (
        f"Few rows: {told}. With fewer than {LEAST_ROWS} a rate near one half is known to 17 points at best: hold out "
        f"more{f' ({wording.listing(keys)})' if keys else ''}."
    )
