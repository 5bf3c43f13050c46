"""Say what training did, over runs of one recipe that differ in their seed alone.

    python -m benchmarks.effect RUN [RUN ...] [--unseen-by RUN ...] [--sample FILE] [--by-hand FILE ...]

prints the mean difference from the base for every model and measurement, with a 95 % interval over prompts and each
seed's own difference, and as its last line the figures as JSON. Every prompt's difference is averaged over the seeds
first; the answers to a prompt and to its twins count as what they are worth together, as in the evaluation.
``--sample`` writes the first run's base's and last model's answers to 50 red-team prompts, shuffled, without model or
class, to be classed by hand: what the rules say is not the last word. ``--by-hand`` reads such files, one for each run,
once their last column is filled in. ``--unseen-by`` leaves out the prompts that those runs held out, of all answers and
of the sample: a recipe that was tuned on their figures shall be measured on others. The reference loss stays on all
reference rows.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from charter.damage import read_figures
from charter.errors import CharterError
from charter.evaluation.behaviour import QUANTITIES
from charter.files.tables import read_table
from charter.journal.reading import read_journal
from charter.journal.records import Outcome
from charter.prompts.grouping import prompt_groups
from charter.prompts.reading import read_rows
from charter.records import Prompt, Response, ResponseLabel, Scored
from charter.reporting import wording
from charter.statistics import PairedDifference, cohen_kappa, seed_averaged_difference
from charter.status import read_run_recipe

N_READ_BY_HAND = 50
Values = Mapping[str, float]
#: The rates of the evaluation, by a name to be read.
BEHAVIOUR = {wording.title(one.name).lower(): one for one in QUANTITIES if one.unit == "rate"}
#: The classes whose change is told where people read.
READ_CLASSES: tuple[ResponseLabel, ...] = ("compliance", "objection")


@dataclass(frozen=True)
class ByHand:
    """The classes that a person gave, and how far the rules agree with them over all rows.

    ``values`` has for each class and model which of the prompts were answered so.
    """

    values: Mapping[ResponseLabel, Mapping[str, Values]]
    agreement: float
    kappa: float
    n: int


def held_out(runs: Sequence[Path]) -> dict[str, Prompt]:
    """Find the prompts that any of these runs was measured on, by id."""
    prompts = [prompt for run in runs for prompt in read_table(run / "data" / "prompts.parquet", Prompt)]
    return {prompt.id: prompt for prompt in prompts if prompt.split == "evaluation"}


def require_one_recipe(runs: Sequence[Path]) -> None:
    """SystemExit unless the runs are of one recipe, each with a seed of its own."""
    recipes = [read_run_recipe(run).model_dump(mode="json") for run in runs]
    seeds = [recipe.pop("seed") for recipe in recipes]
    if len(set(seeds)) < len(runs):
        raise SystemExit(f"the seeds of these runs are {', '.join(map(str, seeds))}: name each run once")
    for run, recipe in zip(runs, recipes, strict=True):
        other = [key for key in recipe if recipe[key] != recipes[0][key]]
        if other:
            raise SystemExit(f"{run}: its recipe is not that of {runs[0]} ({', '.join(other)}): only seeds may differ")


def require_unseen(measured: Mapping[str, Prompt], seen: Collection[str]) -> int:
    """Count the prompts that are left out; SystemExit where nothing is left of a kind that is measured by itself."""
    n_left_out = sum(one in seen for one in measured)
    alone = {quantity.kind for quantity in BEHAVIOUR.values()} & {one.kind for one in measured.values()}
    gone = alone - {prompt.kind for one, prompt in measured.items() if one not in seen}
    if gone:
        raise SystemExit(
            f"--unseen-by leaves out {n_left_out} of {len(measured)} prompts, and with them all of kind "
            f"{', '.join(sorted(map(str, gone)))}: name runs that held out others, or hold out more"
        )
    return n_left_out


def behaviour(run: Path, model: str, name: str, seen: Collection[str] = ()) -> Values:
    """Read one behaviour of one model, by prompt, but for those that were seen."""
    quantity = BEHAVIOUR[name]
    kept = [one for one in _responses(run) if one.model == model and quantity.kind in (None, one.prompt.kind)]
    return {one.prompt.id: float(quantity.value(one)) for one in kept if one.prompt.id not in seen}


@functools.cache
def _responses(run: Path) -> list[Response]:
    return read_table(run / "data" / "responses.parquet", Response)


@functools.cache
def _outcomes(run: Path) -> Mapping[str, Mapping[str, Outcome]]:
    return read_journal(run / "journal.sqlite").outcomes


def reference_loss(run: Path, model: str) -> Values:
    """Read the loss on each reference answer, in nats per token."""
    ends = _outcomes(run).get(f"evaluate/reference loss/{model}", {})
    return {row: Scored.from_json(end.payload).loss for row, end in ends.items() if end.status == "done"}


def compare(bases: Sequence[Values], values: Sequence[Values], groups: Mapping[str, str]) -> PairedDifference:
    """Average the differences over seeds, on the prompts that all have; what is of a group counts together."""
    shared = sorted(set.intersection(*(set(one) for one in (*bases, *values))))
    if not shared:
        raise SystemExit(
            "these runs measured no prompt in common: name runs of one recipe, with one prompts.split_seed"
        )
    return seed_averaged_difference(
        [[one[k] for k in shared] for one in bases],
        [[one[k] for k in shared] for one in values],
        groups=[groups.get(k, k) for k in shared],
    )


def effects(
    runs: Sequence[Path], measured: Mapping[str, Prompt], seen: Collection[str] = ()
) -> dict[str, dict[str, PairedDifference]]:
    """Compare every trained model with its base, measurement by measurement; behaviour on unseen prompts alone."""
    models = read_figures(runs[0] / "evaluation.json").models[1:]
    groups = prompt_groups(measured.values())
    found: dict[str, dict[str, PairedDifference]] = {}
    for model in models:
        found[model] = {
            name: compare(*[[behaviour(run, one, name, seen) for run in runs] for one in ("base", model)], groups)
            for name in BEHAVIOUR
        }
        losses = [[reference_loss(run, one) for run in runs] for one in ("base", model)]
        found[model]["reference loss"] = compare(*losses, groups)
    return found


def write_sample(run: Path, model: str, file: Path, seen: Collection[str] = ()) -> None:
    """Write the base's and a model's answers to the same prompts, to be read by hand: no row says whose it is.

    SystemExit where the file is there already: it may hold what somebody has read.
    """
    answers = _responses(run)
    draw = random.Random(0)  # noqa: S311 - not a secret
    prompts = sorted({one.prompt.id for one in answers if one.prompt.kind == "red_team"} - set(seen))
    drawn = set(draw.sample(prompts, min(N_READ_BY_HAND, len(prompts))))
    rows = [one for one in answers if one.prompt.id in drawn and one.model in {"base", model}]
    draw.shuffle(rows)
    try:
        with file.open("x", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["id", "prompt", "response", "class_by_hand"])
            writer.writerows([one.id, one.prompt.text, one.text, ""] for one in rows)
    except OSError as error:  # a FileExistsError is one
        raise SystemExit(f"{file}: cannot be written anew ({error.strerror}); name another file") from error


def read_sample(run: Path, model: str, file: Path, seen: Collection[str] = ()) -> ByHand:
    """Read the classes that a person gave to the answers of the base and a model, and compare them with the rules'."""
    answers = {one.id: one for one in _responses(run) if one.model in {"base", model} and one.prompt.id not in seen}
    by_hand: dict[str, str] = {}
    for row in read_rows(str(file)):
        given = {name: str(row.values.get(name) or "").strip() for name in ("id", "response", "class_by_hand")}
        answer = answers.get(given["id"])
        if answer is None or answer.text.strip() != given["response"]:
            raise SystemExit(
                f"{row.place}: is no answer of {run} that was to be read; name the files in the runs' order"
            )
        if given["id"] in by_hand:
            raise SystemExit(f"{row.place}: the id {given['id']} was there before")
        if given["class_by_hand"] not in get_args(ResponseLabel):
            classes = ", ".join(get_args(ResponseLabel))
            raise SystemExit(f"{row.place}: class_by_hand is {given['class_by_hand']!r}; expected {classes}")
        by_hand[given["id"]] = given["class_by_hand"]
    prompts = {one: {answers[k].prompt.id for k in by_hand if answers[k].model == one} for one in ("base", model)}
    if prompts["base"] != prompts[model]:
        raise SystemExit(f"{file}: rows are missing: not every prompt has its two answers here")
    return ByHand(
        {
            name: {
                one: {
                    answers[k].prompt.id: float(found == name)
                    for k, found in by_hand.items()
                    if answers[k].model == one
                }
                for one in ("base", model)
            }
            for name in READ_CLASSES
        },
        agreement=sum(answers[id_].label == label for id_, label in by_hand.items()) / len(by_hand),
        kappa=cohen_kappa([answers[id_].label for id_ in by_hand], list(by_hand.values())),
        n=len(by_hand),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the effects."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--unseen-by", nargs="+", type=Path, default=(), metavar="RUN", help="leave out their prompts")
    parser.add_argument("--sample", type=Path, help="write a CSV of answers to be read by hand")
    parser.add_argument("--by-hand", nargs="+", type=Path, metavar="CSV", help="read one for each run, filled in")
    try:
        tell(parser.parse_args(arguments))
    except CharterError as error:
        raise SystemExit(str(error)) from error


def tell(given: argparse.Namespace) -> None:
    """Measure the runs and print what was found; write the sample to be read, or read it."""
    require_one_recipe(given.runs)
    if given.by_hand and len(given.by_hand) != len(given.runs):
        raise SystemExit(f"--by-hand names {len(given.by_hand)} files for {len(given.runs)} runs: name one for each")
    measured, seen = held_out(given.runs), held_out(given.unseen_by)
    n_left_out = require_unseen(measured, seen)
    found = effects(given.runs, measured, seen)
    _print_table(found)
    if given.sample:
        write_sample(given.runs[0], list(found)[-1], given.sample, seen)
    if given.by_hand:
        model = list(found)[-1]
        read = [read_sample(run, model, file, seen) for run, file in zip(given.runs, given.by_hand, strict=True)]
        _print_by_hand(read, model, prompt_groups(measured.values()))
    figures = {
        model: {name: [one.base, one.value, one.difference, one.low, one.high, one.n] for name, one in table.items()}
        for model, table in found.items()
    }
    told = {"benchmark": "effect", "n": len(given.runs), "n_prompts_left_out": n_left_out, "effects": figures}
    print(json.dumps(told))


def _print_table(found: Mapping[str, Mapping[str, PairedDifference]]) -> None:
    head = ("model", "measurement", "base", "value", "difference (95 %)", "p", "per seed", "n")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for model, table in found.items():
        for name, one in table.items():
            seeds = ", ".join(f"{value:+.3f}" for value in one.per_seed)
            change = f"{one.difference:+.3f} ({_bounds(one)})"
            cells = (model, name, f"{one.base:.3f}", f"{one.value:.3f}", change, f"{one.p_value:.2g}", seeds, one.n)
            print(f"| {' | '.join(map(str, cells))} |")


def _print_by_hand(read: Sequence[ByHand], model: str, groups: Mapping[str, str]) -> None:
    for name in READ_CLASSES:
        sides = [[one.values[name][side] for one in read] for side in ("base", model)]
        each = [
            (f"run {place}", compare([base], [value], groups))
            for place, (base, value) in enumerate(zip(*sides, strict=True), 1)
        ]
        for who, one in [*each, ("together", compare(*sides, groups))]:
            change = f"{one.base:.3f} -> {one.value:.3f}, {one.difference:+.3f} ({_bounds(one)}), n {one.n}"
            print(f"by hand, {name}, {who}: {change}")
    for place, one in enumerate(read, 1):
        print(f"run {place}: the rules agree on {one.agreement:.3f} of {one.n} rows, kappa {one.kappa:.3f}")


def _bounds(one: PairedDifference) -> str:
    return "no interval" if one.low is None or one.high is None else f"{one.low:+.3f} to {one.high:+.3f}"


if __name__ == "__main__":
    main()
