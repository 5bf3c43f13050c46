"""Stage ``preference_model``: a reward for each response, fitted to soft labels (CAI §4.1), and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from charter.errors import RunError
from charter.files.tables import write_table
from charter.recipe.settings import PreferenceModelSettings
from charter.recipe.stages import settings_of
from charter.records import RewardedPair
from charter.runs.folder import Run
from charter.seeds import derive_seed
from charter.stages.label import read_preferences
from charter.stages.people import Mixed, mix_in_people
from charter.stages.summary import Summary, summarise, tally
from charter.stages.trained import SKIPPED, train, training_arguments, untrained
from charter.training.helpfulness import Judgements
from charter.training.reward_quality import measure_rewards

if TYPE_CHECKING:
    from charter.training.methods import StageName

_STAGE: StageName = "preference_model"
_NOTHING_SCORED: Summary = {"held_out": None, "trained_on": None, "unscored": {}}
_SIDES = {"held_out": True, "trained_on": False}


def do_preference_model(run: Run) -> Summary:
    """Write ``models/preference_model`` and ``data/rewards.parquet``."""
    settings = settings_of(run.recipe.preference_model, _STAGE)
    ai = read_preferences(run)
    mixture = mix_in_people(run, settings, ai)
    mixed, left_out = mixture.rows, dict(mixture.left_out)
    if run.recipe.models.policy.engine == "scripted":
        write_table(run.data("rewards"), (), RewardedPair)
        return _summary(mixture, len(mixed.train), left_out, n_trained=0) | _NOTHING_SCORED | {"training": SKIPPED}
    if not mixed.train:
        raise RunError(
            f"{run.data('preferences')}: holds {sum(map(len, ai))} preferences and none to train on; stages/pairs.json "
            "and stages/label.json say why. Raise pairs.n or pairs.max_tokens, or set pairs.on_cut=trim, in a new "
            "folder (--out)"
        )
    run.pool.close()
    arguments = training_arguments(run, _STAGE, settings)
    result = train(run, _STAGE, mixed.train, str(run.model("sft")), **arguments)
    left_out |= untrained(result)
    rewarded, unscored = _score(run, mixed, settings)
    write_table(run.data("rewards"), rewarded, RewardedPair)
    told = {name: _measured([row for row in rewarded if row.held_out == held]) for name, held in _SIDES.items()}
    summary = _summary(mixture, result.n_rows, left_out, n_trained=result.n_rows)
    return summary | told | {"unscored": unscored, "training": result.to_json()}


def _score(
    run: Run, mixed: Judgements, settings: PreferenceModelSettings
) -> tuple[list[RewardedPair], Mapping[str, int]]:
    """Give rewards to what was held out, and to as many pairs that were trained on, drawn by the seed.

    The second say how much of the first figures is learnt by heart.
    """
    from charter.engines.memory import release_memory
    from charter.training.rewards import RewardModel

    drawn = sorted(mixed.train, key=lambda row: (derive_seed(run.recipe.seed, row.id, "rewarded"), row.id))
    rows = [*mixed.held_out, *drawn[: len(mixed.held_out)]]
    held_out = {row.id for row in mixed.held_out}
    policy = run.recipe.models.policy
    model = RewardModel(
        run.model(_STAGE), dtype=policy.dtype, device=policy.device, trust_remote_code=policy.trust_remote_code
    )
    scored = model.score(
        rows, max_length=settings.max_length, opening_tokens=settings.opening_tokens, on_batch=run.check_stop
    )
    del model
    release_memory()
    by_id = {row.id: row for row in rows}
    rewarded = [
        RewardedPair(
            id=pair.example.id,
            prompt=by_id[pair.example.id].prompt,
            chosen=by_id[pair.example.id].chosen,
            rejected=by_id[pair.example.id].rejected,
            p_chosen=pair.example.p_chosen,
            source=by_id[pair.example.id].source,
            group=mixed.groups[pair.example.id],
            held_out=pair.example.id in held_out,
            reward_chosen=pair.chosen,
            reward_rejected=pair.rejected,
            n_tokens_chosen=len(pair.example.chosen_ids),
            n_tokens_rejected=len(pair.example.rejected_ids),
        )
        for pair in scored.pairs
    ]
    return rewarded, tally(row.reason for row in scored.rejected)


def _measured(rows: Sequence[RewardedPair]) -> dict[str, Any] | None:
    found = measure_rewards(rows)
    return None if found is None else found.to_json()


def _summary(mixture: Mixed, n_done: int, left_out: Mapping[str, int], *, n_trained: int) -> Summary:
    counts = {"trained on": n_trained, "held out": len(mixture.rows.held_out), **mixture.counts}
    return summarise(mixture.n_in, n_done, filtered=left_out, counts=counts)
