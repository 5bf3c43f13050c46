"""Stage ``dpo``: DPO on soft labels, from the SFT model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from charter.errors import RunError
from charter.recipe.stages import settings_of
from charter.records import Preference, PromptKind
from charter.runs.folder import Run
from charter.stages.label import read_preferences
from charter.stages.people import Mixed, mix_in_people, of_the_ai
from charter.stages.summary import Summary, summarise, tally
from charter.stages.trained import SKIPPED, train, training_arguments, untrained
from charter.training.mixture import in_shares

OVER_SHARES = "over the shares of dpo.kinds"


def do_dpo(run: Run) -> Summary:
    """Write ``models/dpo``."""
    settings = settings_of(run.recipe.dpo, "dpo")
    found, held_out = read_preferences(run)
    kept = found if settings.kinds is None else in_shares(found, settings.kinds, run.seed)
    n_in = len(found) + len(held_out)
    wanting = [kind for kind, share in (settings.kinds or {}).items() if share and kind not in _kinds(found)]
    if found and wanting:
        raise RunError(f"{run.data('preferences')}: {_without(wanting[0], found)}")
    if not kept:
        raise RunError(
            f"{run.data('preferences')}: holds {n_in} preferences and none to train on; stages/pairs.json and "
            "stages/label.json say why. Where pairs got no label, lower label.min_margin or take another judge; where "
            "there are few pairs, raise pairs.n or pairs.max_tokens, or set pairs.on_cut=trim; in a new folder (--out)"
        )
    mixture = mix_in_people(run, settings, (kept, held_out)) if settings.helpfulness else of_the_ai((kept, held_out))
    left_out = {**mixture.left_out, OVER_SHARES: len(found) - len(kept)}
    if run.recipe.models.policy.engine == "scripted":
        return _summary(mixture, len(mixture.rows.train), left_out, n_trained=0) | {"training": SKIPPED}
    run.pool.close()
    result = train(
        run,
        "dpo",
        mixture.rows.train,
        str(run.policy_before),
        loss=settings.loss,
        beta=settings.beta,
        nll_weight=settings.nll_weight,
        length_normalised=settings.length_normalised,
        **training_arguments(run, "dpo", settings),
    )
    left_out |= untrained(result)
    return _summary(mixture, result.n_rows, left_out, n_trained=result.n_rows) | {"training": result.to_json()}


def _kinds(preferences: Sequence[Preference]) -> dict[str, int]:
    return tally(one.prompt.kind for one in preferences)


def _without(kind: PromptKind, found: Sequence[Preference]) -> str:
    there = ", ".join(f"{n} {name}" for name, n in _kinds(found).items())
    return (
        f"there are {there} preferences to train on and none of {kind}, which 'dpo.kinds' gives a share; "
        "stages/pairs.json and stages/label.json say why. Ask for more with pairs.kinds and pairs.n, or take dpo.kinds "
        "out, in a new folder (--out)"
    )


def _summary(mixture: Mixed, n_done: int, left_out: Mapping[str, int], *, n_trained: int) -> Summary:
    counts = {"trained on": n_trained, "held out": left_out["held out"]}
    counts |= mixture.counts if mixture.rows.asked_for else {}
    n_in = mixture.n_in + left_out[OVER_SHARES]
    return summarise(n_in, n_done, filtered={reason: n for reason, n in left_out.items() if n}, counts=counts)
