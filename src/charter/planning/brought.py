"""What a user brought beside prompts: revisions, pairs and probes, as a run would take them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from charter.evaluation.adherence import Probes
from charter.evaluation.probe_loading import load_probes
from charter.given import balance_lengths, length_confound, load_pairs, load_traces
from charter.given.loaded import Loaded
from charter.given.matching import Matched, match_prompts
from charter.given.pairs import given_pair
from charter.given.preferences import preferences_of
from charter.planning.findings import Preflight
from charter.planning.places import path_hint
from charter.planning.stage_plan import Brought
from charter.planning.unknown import UNKNOWN_TEXT, is_unknown
from charter.recipe import Recipe
from charter.recipe.data_folder import find_companion
from charter.records import GENERATED, Pair, Preference, Prompt, Trace
from charter.training.helpfulness import EVALUATED, without_evaluated

_MOST_EVEN = (0.4, 0.6)  # the chance that length alone tells the chosen answer, where no warning is due
_FEWEST_PAIRS = 20  # of fewer, a one-sided half is no news


def look_at_brought(report: Preflight, recipe: Recipe, prompts: Sequence[Prompt]) -> Brought:
    """Read everything that a recipe names beside its prompts, and note what a run would leave out of it."""
    traces: tuple[Trace, ...] = ()
    pairs: tuple[Pair, ...] = ()
    if (source := recipe.revise.given) is not None:
        loaded = report.tried(
            "revise.given", partial(load_traces, companion=find_companion(recipe)), source, hint=path_hint(source)
        )
        if loaded is not None:
            matched = match_prompts(loaded.traces, prompts)
            traces = matched.rows
            _note(report, "revise.given", loaded, matched, prompts, is_needed=not recipe.revise.n_samples)
    if recipe.pairs.given == GENERATED:
        harmful = [prompt for prompt in prompts if (prompt.kind, prompt.split) == ("red_team", "train")]
        pairs = tuple(given_pair(prompt, UNKNOWN_TEXT, f"{UNKNOWN_TEXT}.", seed=recipe.seed) for prompt in harmful)
    elif (source := recipe.pairs.given) is not None:
        found = report.tried("pairs.given", load_pairs, source, hint=path_hint(source))
        if found is not None:
            matched_pairs = match_prompts(found.pairs, prompts)
            pairs = matched_pairs.rows
            _note(report, "pairs.given", found, matched_pairs, prompts, is_needed=not recipe.pairs.n)
            pairs = _look_at_lengths(report, recipe, pairs)
    people = _look_at_people(report, recipe, prompts)
    return Brought(traces, pairs, people, _probes(report, recipe, prompts))


def _look_at_people(report: Preflight, recipe: Recipe, prompts: Sequence[Prompt]) -> tuple[Preference, ...]:
    """Read what people preferred, and note what a run would leave out of it."""
    settings, about = recipe.preference_model, "preference_model.helpfulness"
    if settings is None or settings.helpfulness is None:
        return ()
    source = settings.helpfulness
    loaded = report.tried(about, partial(load_pairs, kind="helpful"), source, hint=path_hint(source))
    if loaded is None:
        return ()
    found = preferences_of(loaded)
    evaluated = [prompt for prompt in prompts if prompt.split == "evaluation" and not is_unknown(prompt)]
    kept = tuple(without_evaluated(found.rows, evaluated, recipe.prompts.near_duplicates))
    n_evaluated = len(found.rows) - len(kept)
    left_out = dict(found.left_out) | ({EVALUATED: n_evaluated} if n_evaluated else {})
    for reason, n in left_out.items():
        report.add("note", about, f"{loaded.source}: {n} rows are left out: {reason}")
    if not kept:
        problem = "no row can be trained on, so that the file does nothing"
        report.add("warning", about, f"{problem}; name another file, or take it out")
    return kept


def _note(
    report: Preflight,
    about: str,
    loaded: Loaded,
    matched: Matched[Trace] | Matched[Pair],
    prompts: Sequence[Prompt],
    *,
    is_needed: bool,
) -> None:
    """Note what a file's rows come to; one of which nothing is used is refused where the run has nothing else."""
    is_known = not any(is_unknown(prompt) for prompt in prompts if prompt.kind == "red_team")
    for reason, n in (*loaded.rejected.items(), *(matched.left_out.items() if is_known else ())):
        report.add("note", about, f"{loaded.source}: {n} rows are left out: {reason}")
    for noted, what in ((loaded.mended, "mended"), (loaded.doubted, "doubtful")):
        if noted:
            first = noted[0]
            report.add("warning", about, f"{len(noted)} rows are {what}, the first at {first.place}: {first.reason}")
    if not is_known:
        report.add("note", about, "which rows are of the run's prompts is not known before those are there")
    elif not matched.rows:
        what = "nothing is left for the stage to do" if is_needed else "the file does nothing"
        remedy = "name the prompts that its rows are of under 'prompts', or another file"
        problem = f"no row is of a training prompt of the run, so that {what}; {remedy}"
        report.add("error" if is_needed else "warning", about, problem)


def _look_at_lengths(report: Preflight, recipe: Recipe, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """Point out a length confound, or take it out as the recipe says."""
    how = recipe.pairs.balance_lengths
    if how is not None:
        balanced = balance_lengths(pairs, how, seed=recipe.seed)
        if balanced is None:
            return pairs
        done = f"{balanced.n_dropped} are left out" if how == "drop" else f"of {balanced.n_trimmed} one answer is cut"
        report.add("note", "pairs.given", f"lengths are balanced: {done}, of {len(pairs)} pairs")
        return balanced.pairs
    lengths = length_confound(pairs)
    if lengths is not None and lengths.n >= _FEWEST_PAIRS and not _MOST_EVEN[0] <= lengths.auc <= _MOST_EVEN[1]:
        which, n = ("longer", lengths.n_longer) if lengths.auc > _MOST_EVEN[1] else ("shorter", lengths.n_shorter)
        said = f"the chosen answer is the {which} one in {n} of {lengths.n} pairs"
        remedy = "set pairs.balance_lengths to 'drop' or 'trim', or a model may learn length in place of the principles"
        report.add("warning", "pairs.given", f"{said}; {remedy}")
    return pairs


def _probes(report: Preflight, recipe: Recipe, prompts: Sequence[Prompt]) -> tuple[Probes, ...]:
    trained_on = [prompt for prompt in prompts if prompt.split == "train"]
    found: list[Probes] = []
    for number, one in enumerate(recipe.evaluate.probes):
        about = f"evaluate.probes.{number}"
        likeness = recipe.prompts.near_duplicates
        load = partial(load_probes, n=one.n, trained_on=trained_on, near_duplicates=likeness)
        loaded = report.tried(about, load, one.constitution, one.source, hint=path_hint(one.source))
        if loaded is not None:
            for reason, n in loaded.left_out.items():
                report.add("note", about, f"{n} probes of {loaded.probes.name!r} are left out: {reason}")
            if any(one.name == loaded.probes.name for one in found):
                problem = f"the constitution is called {loaded.probes.name!r}, as that of earlier probes is"
                remedy = "put the rows of both into one file, or give it another name"
                report.add("error", about, f"{problem}: nobody could tell their figures apart; {remedy}")
            found.append(loaded.probes)
    return tuple(found)
