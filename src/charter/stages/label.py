"""Stage ``label``: the judge's soft labels, from both orders and k principles (CAI §4.1)."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from charter.feedback import label
from charter.feedback.calibrator import scaling_of
from charter.feedback.ensemble import FurtherJudge
from charter.feedback.judge import Judging
from charter.feedback.settling import DISAGREES, EXACT_TIE, LOW_MARGIN, Settling, is_tie
from charter.files.tables import read_table, write_table
from charter.recipe import Recipe
from charter.records import OWN_JUDGE, Pair, Preference
from charter.rows import Mapped
from charter.runs.folder import Run, judge_role
from charter.stages.prompts import held_out_prompts
from charter.stages.summary import Summary, summarise_rows


def do_label(run: Run) -> Summary:
    """Write ``data/preferences.parquet``."""
    settings = run.recipe.label
    settling = settling_of(run.recipe)
    mapped = label(
        read_table(run.data("pairs"), Pair),
        run.constitution,
        run.pool.engine("judge"),
        helpful=run.helpful,
        further=_further(run),
        seed=run.seed,
        mapper=run.mapper,
        scaling=scaling_of(settings.calibrator),
        **settings.model_dump(exclude={"held_out", "calibrator", "judges"}),
    )
    write_table(run.data("preferences"), mapped.done, Preference)
    dropped = sorted(row for row, reason in mapped.filtered.items() if reason == DISAGREES)
    return summarise_rows(mapped, counts=count_labels(mapped, settling)) | {"dropped_rows": dropped}


def _further(run: Run) -> list[FurtherJudge]:
    """Give the judges beside the run's own."""
    return [
        FurtherJudge(name, run.pool.engine(judge_role(name)), one.weight, scaling_of(one.calibrator))
        for name, one in run.recipe.label.judges.items()
    ]


def judging_of(recipe: Recipe) -> Judging:
    """Say how a run's judge is asked: checks of revisions and the evaluation ask it as the label stage does."""
    settings = recipe.label
    return Judging(
        n_few_shots=settings.n_few_shots,
        min_option_mass=settings.min_option_mass,
        chains=settings.chains,
        clamp=settings.clamp,
        max_chain_tokens=settings.max_chain_tokens,
        scaling=scaling_of(settings.calibrator),
    )


def settling_of(recipe: Recipe) -> Settling:
    """Say how a recipe makes labels of judgements."""
    settings = recipe.label
    prior = {str(source): p for source, p in settings.prior.items()}
    return Settling(prior, settings.on_disagreement, settings.min_margin, settings.on_low_margin)


def count_labels(mapped: Mapped[Preference], settling: Settling) -> dict[str, Any]:
    """Count verdicts, and how judge and label stand to what the pairs' sources intend.

    Dropped pairs are among those on which the judge disagrees. What is chosen against the intention is another number:
    a prior can outweigh the judge, and ``keep`` does. Exact ties and other labels of a low margin are counted whatever
    becomes of them.
    """
    found: Counter[str] = Counter()
    judges: dict[str, Counter[str]] = defaultdict(Counter)
    for one in mapped.done:
        for verdict in one.verdicts:
            judges[verdict.judge or OWN_JUDGE].update(verdicts=1, invalid=int(verdict.invalid is not None))
        if one.intended is not None:
            found[{True: "agrees", False: "disagrees", None: "undecided"}[one.agrees]] += 1
            found["against"] += one.chosen_side != one.intended
        if is_tie(one.p_chosen):
            found["ties"] += 1
        elif settling.is_low(one.p_chosen):
            found["low"] += 1
    n_dropped = Counter(mapped.filtered.values())
    return {
        "verdicts": sum(counted["verdicts"] for counted in judges.values()),
        "invalid verdicts": sum(counted["invalid"] for counted in judges.values()),
        **({"by judge": {name: dict(counted) for name, counted in judges.items()}} if len(judges) > 1 else {}),
        "agrees with the source": found["agrees"],
        "disagrees with the source": found["disagrees"] + n_dropped[DISAGREES],
        "undecided about the source": found["undecided"],
        "chosen against the intention": found["against"],
        "exact ties": found["ties"] + n_dropped[EXACT_TIE],
        "low margins": found["low"] + n_dropped[LOW_MARGIN],
    }


def read_preferences(run: Run) -> tuple[list[Preference], list[Preference]]:
    """Read the preferences to train on, and those held out: of whole groups of prompts (see ``held_out_prompts``).

    They are held out from the trainings on feedback; SFT trains on answers to these prompts as to all others.
    """
    preferences = read_table(run.data("preferences"), Preference)
    is_held_out = held_out_prompts(run, (one.prompt for one in preferences))
    train = [one for one in preferences if not is_held_out[one.prompt.id]]
    return train, [one for one in preferences if is_held_out[one.prompt.id]]
