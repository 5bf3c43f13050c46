"""What a user brought beside prompts: revisions, pairs and probes, as a run would take them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from charter.evaluation.adherence import Probes
from charter.evaluation.probe_loading import load_probes
from charter.given import balance_lengths, length_confound, load_pairs, load_traces
from charter.given.loaded import Loaded
from charter.given.matching import DrawnT, Matched, draw_rows, match_prompts
from charter.given.pairs import given_pair
from charter.given.preferences import preferences_of
from charter.planning.findings import Preflight
from charter.planning.places import is_remote, path_hint
from charter.planning.stage_plan import Brought
from charter.planning.unknown import UNKNOWN_TEXT, is_unknown
from charter.recipe import Recipe
from charter.recipe.data_folder import find_companion
from charter.recipe.settings import GivenRows
from charter.recipe.stages import mixtures
from charter.records import GENERATED, PEOPLE, Pair, Preference, Prompt, Round, Trace
from charter.seeds import row_id
from charter.training.helpfulness import EVALUATED, without_evaluated

_MOST_EVEN = (0.4, 0.6)  # the chance that length alone tells the chosen answer, where no warning is due
_FEWEST_PAIRS = 20  # of fewer, a one-sided half is no news


def look_at_brought(report: Preflight, recipe: Recipe, prompts: Sequence[Prompt]) -> Brought:
    """Read everything that a recipe names beside its prompts, and note what a run would leave out of it.

    What is fetched when a run starts is stood in for.
    """
    traces = _look_at_traces(report, recipe, prompts)
    pairs = _look_at_pairs(report, recipe, prompts)
    people = {
        stage: _look_at_people(report, recipe, prompts, stage, mixed.helpfulness)
        for stage, mixed in mixtures(recipe).items()
        if mixed.helpfulness is not None
    }
    return Brought(traces, pairs, people, _probes(report, recipe, prompts))


def _look_at_traces(report: Preflight, recipe: Recipe, prompts: Sequence[Prompt]) -> tuple[Trace, ...]:
    """Read the revisions that are given, as far as they are of the run's prompts."""
    given, about = recipe.revise.given, "revise.given"
    if given is None:
        return ()
    if is_remote(given.source):
        _note_fetched(report, about, given, "a revision")
        return _drawn(given, tuple(map(_unknown_trace, _harmful(prompts))))
    load = partial(load_traces, split=given.split, companion=find_companion(recipe))
    loaded = report.tried(about, load, given.source, hint=path_hint(given.source))
    if loaded is None:
        return ()
    matched = match_prompts(loaded.traces, prompts)
    _note(report, about, loaded, matched, prompts, is_needed=not recipe.revise.n_samples)
    return _drawn(given, matched.rows)


def _look_at_pairs(report: Preflight, recipe: Recipe, prompts: Sequence[Prompt]) -> tuple[Pair, ...]:
    """Read the pairs that are given, as far as they are of the run's prompts."""
    given, about = recipe.pairs.given, "pairs.given"
    if given is None:
        return ()
    is_fetched = is_remote(given.source)
    if is_fetched or given.source == GENERATED:
        if is_fetched:
            _note_fetched(report, about, given, "a pair")
        stand_in = partial(given_pair, better=UNKNOWN_TEXT, worse=f"{UNKNOWN_TEXT}.", seed=recipe.seed)
        return _drawn(given, tuple(map(stand_in, _harmful(prompts))))
    loaded = report.tried(about, partial(load_pairs, split=given.split), given.source, hint=path_hint(given.source))
    if loaded is None:
        return ()
    matched = match_prompts(loaded.pairs, prompts)
    _note(report, about, loaded, matched, prompts, is_needed=not recipe.pairs.n)
    return _look_at_lengths(report, recipe, _drawn(given, matched.rows))


def _look_at_people(
    report: Preflight, recipe: Recipe, prompts: Sequence[Prompt], stage: str, given: GivenRows
) -> tuple[Preference, ...]:
    """Read what people preferred, and note what a run would leave out of it."""
    about = f"{stage}.helpfulness"
    if is_remote(given.source):
        _note_fetched(report, about, given, "a pair")
        return _drawn(given, tuple(map(_unknown_preference, _harmful(prompts))))
    load = partial(load_pairs, split=given.split, kind="helpful")
    loaded = report.tried(about, load, given.source, hint=path_hint(given.source))
    if loaded is None:
        return ()
    found = preferences_of(loaded)
    drawn = _drawn(given, found.rows)
    evaluated = [prompt for prompt in prompts if prompt.split == "evaluation" and not is_unknown(prompt)]
    kept = tuple(without_evaluated(drawn, evaluated, recipe.prompts.near_duplicates))
    n_evaluated = len(drawn) - len(kept)
    left_out = dict(found.left_out) | ({EVALUATED: n_evaluated} if n_evaluated else {})
    for reason, n in left_out.items():
        report.add("note", about, f"{loaded.source}: {n} rows are left out: {reason}")
    if not kept:
        problem = "no row can be trained on, so that the file does nothing"
        report.add("warning", about, f"{problem}; name another file, or take it out")
    return kept


def _drawn(given: GivenRows, rows: Sequence[DrawnT]) -> tuple[DrawnT, ...]:
    """Take as many rows as the recipe says."""
    return draw_rows(rows, given.limit, given.seed)[0]


def _note_fetched(report: Preflight, about: str, given: GivenRows, what: str) -> None:
    said = (
        f"{given.source} is fetched when the run starts; planned as {what} for each red-team prompt that is trained on"
    )
    report.add("note", about, said)


def _harmful(prompts: Sequence[Prompt]) -> list[Prompt]:
    return [prompt for prompt in prompts if (prompt.kind, prompt.split) == ("red_team", "train")]


def _unknown_trace(prompt: Prompt) -> Trace:
    asked = {"critique_request": "", "critique": UNKNOWN_TEXT, "revision_request": ""}
    one = Round(number=1, principle="", revision=f"{UNKNOWN_TEXT}.", **asked)
    return Trace(id=row_id("trace", prompt.id, 0), prompt=prompt, sample=0, initial=UNKNOWN_TEXT, rounds=(one,))


def _unknown_preference(prompt: Prompt) -> Preference:
    pair = given_pair(prompt, UNKNOWN_TEXT, f"{UNKNOWN_TEXT}.", seed=0)
    sides = {"chosen": pair.a, "rejected": pair.b, "chosen_side": "a"}
    judged = {"p_chosen": 1.0, "p_judge": 1.0, "position_bias": 0.0, "verdicts": ()}
    return Preference(id=pair.id, prompt=prompt, pair=pair.id, source=PEOPLE, **sides, **judged)


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
