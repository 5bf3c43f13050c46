"""Say what training did, over runs of one recipe that differ in their seed alone.

    python -m benchmarks.effect RUN [RUN ...] [--sample FILE]

prints the mean difference from the base for every model and measurement, with a 95 % interval over prompts and each
seed's own difference, and as its last line the figures as JSON. Every prompt's difference is averaged over the seeds
first; then prompts are resampled. ``--sample`` writes 50 answers of the last model to red-team prompts, drawn by seed
and without their class, to be read and classed by hand: what the rules say is not the last word.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from charter.files.tables import read_json, read_table
from charter.records import PromptKind, Response, Scored
from charter.statistics import PairedDifference, seed_averaged_difference
from charter.store import Journal

N_READ_BY_HAND = 50
Values = Mapping[str, float]
Test = Callable[[Response], bool]
BEHAVIOUR: dict[str, tuple[PromptKind, Test]] = {
    "objection": ("red_team", lambda one: one.label == "objection"),
    "harmful compliance": ("red_team", lambda one: one.label == "compliance"),
    "bare refusal": ("red_team", lambda one: one.label == "bare_refusal"),
    "over-refusal": ("benign_twin", lambda one: one.label != "compliance"),
}


def behaviour(run: Path, model: str, name: str) -> Values:
    """Read one behaviour of one model, by prompt."""
    kind, test = BEHAVIOUR[name]
    answers = read_table(run / "data" / "responses.parquet", Response)
    return {one.prompt.id: float(test(one)) for one in answers if one.model == model and one.prompt.kind == kind}


def reference_loss(run: Path, model: str) -> Values:
    """Read the loss on each reference answer, in nats per token."""
    with Journal(run / "journal.sqlite") as journal:
        ends = journal.outcomes(f"evaluate/reference loss/{model}")
    return {row: Scored.from_json(end.payload).loss for row, end in ends.items() if end.status == "done"}


def compare(bases: Sequence[Values], values: Sequence[Values]) -> PairedDifference:
    """Average the differences over seeds, on the prompts that all have."""
    shared = sorted(set.intersection(*(set(one) for one in (*bases, *values))))
    return seed_averaged_difference(
        [[one[k] for k in shared] for one in bases], [[one[k] for k in shared] for one in values]
    )


def effects(runs: Sequence[Path]) -> dict[str, dict[str, PairedDifference]]:
    """Compare every trained model with its base, measurement by measurement."""
    models = read_json(runs[0] / "evaluation.json")["models"][1:]
    found: dict[str, dict[str, PairedDifference]] = {}
    for model in models:
        found[model] = {
            name: compare([behaviour(run, "base", name) for run in runs], [behaviour(run, model, name) for run in runs])
            for name in BEHAVIOUR
        }
        losses = [[reference_loss(run, one) for run in runs] for one in ("base", model)]
        found[model]["reference loss"] = compare(*losses)
    return found


def write_sample(run: Path, model: str, file: Path) -> None:
    """Write answers to be read by hand, without what the rules say of them."""
    answers = read_table(run / "data" / "responses.parquet", Response)
    of_model = [one for one in answers if one.model == model and one.prompt.kind == "red_team"]
    draw = random.Random(0)  # noqa: S311 - not a secret
    drawn = draw.sample(of_model, min(N_READ_BY_HAND, len(of_model)))
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "prompt", "response", "class_by_hand"])
        writer.writerows([one.prompt.id, one.prompt.text, one.text, ""] for one in drawn)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the effects."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--sample", type=Path, help="a CSV of answers to be read by hand")
    given = parser.parse_args(arguments)
    found = effects(given.runs)
    head = ("model", "measurement", "base", "value", "difference (95 %)", "p", "per seed", "n")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for model, measured in found.items():
        for name, one in measured.items():
            seeds = ", ".join(f"{value:+.3f}" for value in one.per_seed)
            change = f"{one.difference:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
            cells = (model, name, f"{one.base:.3f}", f"{one.value:.3f}", change, f"{one.p_value:.2g}", seeds, one.n)
            print(f"| {' | '.join(map(str, cells))} |")
    if given.sample:
        write_sample(given.runs[0], list(found)[-1], given.sample)
    figures = {
        model: {name: [one.base, one.value, one.difference, one.low, one.high, one.n] for name, one in measured.items()}
        for model, measured in found.items()
    }
    print(json.dumps({"benchmark": "effect", "n": len(given.runs), "effects": figures}))


if __name__ == "__main__":
    main()
