"""Stage ``label``: the judge's soft labels, from both orders and k principles (CAI §4.1)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from charter.engines.unasked import UNASKED
from charter.feedback.calibrator import Asked, misfits, read_calibrator, scaling_of
from charter.feedback.ensemble import FurtherJudge
from charter.feedback.judge import Judging
from charter.feedback.labels import judge_pairs
from charter.feedback.settling import EXACT_TIE, LOW_MARGIN, Settling, is_tie, settle_all
from charter.files.tables import read_table, write_table
from charter.recipe import Recipe
from charter.records import OWN_JUDGE, Pair, Preference, PromptKind, Unlabelled
from charter.runs.folder import Run
from charter.runs.roles import judge_role, role_specs
from charter.stages.prompts import held_out_prompts
from charter.stages.summary import Summary, summarise, tally


def do_label(run: Run) -> Summary:
    """Write ``data/preferences.parquet``, and what was judged and got no label to ``data/unlabelled.parquet``."""
    settling = settling_of(run.recipe)
    judged = judge_pairs(
        read_table(run.data("pairs"), Pair),
        run.constitution,
        run.pool.engine("judge"),
        helpful=run.helpful,
        further=_further(run),
        k_principles=run.recipe.label.k_principles,
        judging=judging_of(run.recipe),
        seed=run.seed,
        mapper=run.mapper,
    )
    # Settled anew for each table: what is recorded is read as it is asked for, and never held as a whole.
    for name, kind in (("preferences", Preference), ("unlabelled", Unlabelled)):
        of_kind = (one for one in settle_all(judged.done, settling) if isinstance(one, kind))
        write_table(run.data(name), of_kind, kind)
    notes = calibrator_notes(run)
    reasons = tally(one.reason for one in settle_all(judged.done, settling) if isinstance(one, Unlabelled))
    return summarise(
        judged.n_in,
        len(judged.done) - sum(reasons.values()),
        filtered=reasons,
        failed=judged.reasons["failed"],
        counts=count_labels(settle_all(judged.done, settling), settling),
    ) | ({"notes": notes} if notes else {})


def calibrator_notes(run: Run) -> list[str]:
    """Say of each calibrator in which ways it is not of the judge that was read through it."""
    label, specs = run.recipe.label, role_specs(run.recipe)
    files = {"judge": label.calibrator} | {judge_role(name): one.calibrator for name, one in label.judges.items()}
    notes: list[str] = []
    if not any(files.values()):
        return notes
    kinds = {pair.prompt.kind for pair in read_table(run.data("pairs"), Pair)}
    for role, file in files.items():
        if file is None:
            continue
        engine = run.pool.engine(role)
        identity = None if engine.identity.startswith(UNASKED) else engine.identity
        found = read_calibrator(Path(file))
        problems = misfits(
            found,
            judge=specs[role].name,
            chains=label.chains,
            constitution=run.constitution.name,
            identity=identity,
            asked=asked_of(run.recipe, run.helpful.name, kinds),
        )
        notes += [f"{file}: {problem}" for problem in problems]
    return notes


def asked_of(recipe: Recipe, helpful: str | None, kinds: Collection[PromptKind]) -> Asked:
    """Say how a recipe's judges are asked about pairs of these kinds of prompts."""
    label = recipe.label
    return Asked(
        helpful_constitution=helpful,
        kinds=tuple(sorted(kinds)),
        n_few_shots=label.n_few_shots,
        min_option_mass=label.min_option_mass,
    )


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


def count_labels(settled: Iterable[Preference | Unlabelled], settling: Settling) -> dict[str, Any]:
    """Count verdicts, and how judge and label stand to what the pairs' sources intend.

    All are over every judged pair, with a label or without. What is chosen against the intention is another number
    than disagreements: a prior can outweigh the judge, and ``keep`` does. Exact ties and other labels of a low margin
    are counted whatever becomes of them; chains of thought where any were asked for.
    """
    found: Counter[str] = Counter()
    judges: dict[str, Counter[str]] = defaultdict(Counter)
    for one in settled:
        for verdict in one.verdicts:
            counted = judges[verdict.judge or OWN_JUDGE]
            counted.update({"verdicts": 1, "invalid": int(verdict.invalid is not None)})
            if verdict.n_chains:
                counted.update({"chains": verdict.n_chains, "invalid chains": verdict.n_chains_lost})
        found.update(_stance(one, settling))
    total = sum(judges.values(), Counter[str]())
    chains = {name: total[name] for name in ("chains", "invalid chains") if total["chains"]}
    return {
        "verdicts": total["verdicts"],
        "invalid verdicts": total["invalid"],
        **chains,
        **({"by judge": {name: dict(counted) for name, counted in judges.items()}} if len(judges) > 1 else {}),
        "agrees with the source": found["agrees"],
        "disagrees with the source": found["disagrees"],
        "undecided about the source": found["undecided"],
        "chosen against the intention": found["against"],
        "exact ties": found["ties"],
        "low margins": found["low"],
    }


def _stance(one: Preference | Unlabelled, settling: Settling) -> Iterable[str]:
    """Say what a settled pair counts as."""
    has_vote = isinstance(one, Preference) or one.p_a is not None
    if one.intended is not None and has_vote:
        yield {True: "agrees", False: "disagrees", None: "undecided"}[one.agrees]
    if isinstance(one, Unlabelled):
        yield {EXACT_TIE: "ties", LOW_MARGIN: "low"}.get(one.reason, "")
        return
    if is_tie(one.p_chosen):  # it chose no side
        yield "ties"
        return
    if one.intended is not None and one.chosen_side != one.intended:
        yield "against"
    if settling.is_low(one.p_chosen):
        yield "low"


def read_preferences(run: Run) -> tuple[list[Preference], list[Preference]]:
    """Read the preferences to train on, and those held out: of whole groups of prompts (see ``held_out_prompts``).

    They are held out from the trainings on feedback; SFT trains on answers to these prompts as to all others.
    """
    preferences = read_table(run.data("preferences"), Preference)
    is_held_out = held_out_prompts(run, (one.prompt for one in preferences))
    train = [one for one in preferences if not is_held_out[one.prompt.id]]
    return train, [one for one in preferences if is_held_out[one.prompt.id]]
