"""Stage ``dpo``: DPO on soft labels, from the SFT model."""

from __future__ import annotations

from collections.abc import Mapping

from charter.errors import RunError
from charter.runs.folder import Run
from charter.stages.label import read_preferences
from charter.stages.summary import Summary, summarise
from charter.stages.trained import SKIPPED, training_arguments, untrained


def do_dpo(run: Run) -> Summary:
    """Write ``models/dpo``."""
    settings = run.recipe.dpo
    train, held_out = read_preferences(run)
    n_in = len(train) + len(held_out)
    if run.recipe.models.policy.engine == "scripted":
        return _summary(n_in, len(train), {"held out": len(held_out)}) | {"training": SKIPPED}
    if not train:
        raise RunError(
            f"{run.data('preferences')}: holds {n_in} preferences and none to train on; stages/pairs.json and "
            "stages/label.json say why. Raise pairs.n or pairs.max_tokens, or set pairs.on_cut=trim"
        )
    from charter.training.dpo import dpo

    result = dpo(
        train,
        str(run.model("sft")),
        out=run.model("dpo"),
        seed=run.recipe.seed,
        beta=settings.beta,
        nll_weight=settings.nll_weight,
        **training_arguments(run, "dpo", settings),
    )
    left_out = {"held out": len(held_out), **untrained(result)}
    return _summary(n_in, result.n_rows, left_out) | {"training": result.to_json()}


def _summary(n_in: int, n_trained: int, left_out: Mapping[str, int]) -> Summary:
    counts = {"trained on": n_trained, "held out": left_out["held out"]}
    return summarise(n_in, n_trained, filtered=left_out, counts=counts)
