"""What a training on preferences learns of held-out ones, over seeds: DPO or a preference model, from people's pairs.

    python -m benchmarks.human_pairs --pairs hh_harmless.jsonl.gz [--method dpo|preference_model] [--seeds 0 1 2]
        [--train 700] [--test 350] [--epochs 2] [--labels audits/judge/verdicts.parquet [--hard] [--order ab]]

The pairs are split by their prompts: what is tested shares none with what is trained on. The test is people's labels
always. With ``--labels`` the training's are an AI judge's, of the same pairs: the verdicts of ``charter audit``, or the
preferences of a run. ``--hard`` rounds these to 0 and 1, and ``--order ab`` reads the first order of each question
alone. ``as_labelled`` is then how often a reward is higher on the side that the labels in both orders prefer, whoever
is right: what of the judge was learnt.

Accuracy is the share of test pairs whose chosen side has the higher reward, ties a half: of DPO the implicit reward
(the log-probability under the trained model less that under the base), of a preference model its own. Intervals
resample prompts whole; over seeds, the mean of each pair's accuracy. Each line of the output is a seed's figures as
JSON, the last line those of all. ``--out`` keeps each test pair's rewards, the model, and what the base says: the same
command goes on there with the seeds that it has not trained yet. ``--points 4`` tests the model at each quarter of its
training too: a curve of what is learnt.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from charter.engines.base import ScoreRequest
from charter.engines.transformers import TransformersEngine
from charter.engines.weights import resolve_model
from charter.feedback.votes import combine_verdicts
from charter.files.tables import read_table
from charter.given import load_pairs
from charter.given.preferences import preferences_of
from charter.prompts.grouping import prompt_groups
from charter.records import Judged, Preference, Verdict
from charter.seeds import derive_seed, digest
from charter.statistics import mean_interval
from charter.training.adapters import LoraSettings
from charter.training.checkpoints import SEAL
from charter.training.dpo import dpo
from charter.training.pace import Pace
from charter.training.preference_model import preference_model
from charter.training.rewards import score_rewards

LONGEST = 1600  # characters of a side with its prompt: about the 512 tokens that are read
_TIE = 0.5


@dataclass(frozen=True)
class Sides:
    """The rewards of a test pair's sides."""

    pair: str
    chosen: float
    rejected: float

    @property
    def right(self) -> float:
        """Whether the chosen side's is higher; a half where they are equal."""
        return _TIE if self.chosen == self.rejected else float(self.chosen > self.rejected)


def fitting(rows: Sequence[Preference], characters: int) -> list[Preference]:
    """Leave out pairs of which a side with its prompt is longer than so many characters."""
    return [row for row in rows if len(row.prompt.text) + max(len(row.chosen), len(row.rejected)) <= characters]


def split(
    rows: Sequence[Preference], n_train: int, n_test: int, seed: int
) -> tuple[list[Preference], list[Preference]]:
    """Draw rows to train on and rows to test, of different groups of prompts."""
    groups = prompt_groups(row.prompt for row in rows)
    ordered = sorted(rows, key=lambda row: (derive_seed(seed, groups[row.prompt.id], "split"), row.id))
    test: list[Preference] = []
    for row in ordered:
        if len(test) >= n_test and groups[row.prompt.id] != groups[test[-1].prompt.id]:
            break
        test.append(row)
    apart = {groups[row.prompt.id] for row in test}
    return [row for row in ordered if groups[row.prompt.id] not in apart][:n_train], test


def with_labels(rows: Sequence[Preference], labels: Path, *, hard: bool, order: str | None) -> list[Preference]:
    """Give rows an AI judge's labels in place of people's; a row that it did not label is left out."""
    judged = verdicts_of(labels)
    found = []
    for row in rows:
        p_a = _p_a(judged.get(row.pair, ()), order)
        if p_a is None:
            continue
        a, b = (row.chosen, row.rejected) if row.chosen_side == "a" else (row.rejected, row.chosen)
        p = max(p_a, 1 - p_a)
        sides = (a, b) if p_a >= _TIE else (b, a)
        label = {"chosen": sides[0], "rejected": sides[1], "p_chosen": 1.0 if hard else p}
        found.append(row.model_copy(update=label | {"chosen_side": "a" if p_a >= _TIE else "b"}))
    return found


def verdicts_of(labels: Path) -> dict[str, tuple[Verdict, ...]]:
    """Read what a judge said of each pair, from an audit's rows or a run's preferences."""
    if "p_chosen" in pq.read_schema(labels).names:
        return {one.pair: one.verdicts for one in read_table(labels, Preference)}
    return {one.id: one.verdicts for one in read_table(labels, Judged)}


def _p_a(verdicts: Sequence[Verdict], order: str | None) -> float | None:
    if order is None:
        return combine_verdicts(verdicts).p_a
    read = [verdict.p_a for verdict in verdicts if verdict.order == order and verdict.p_a is not None]
    return sum(read) / len(read) if read else None


@dataclass
class Snapshots:
    """Models as they are on the way, copied from a training's checkpoints as these come.

    Attributes:
        work: where the training has its checkpoints.
        folder: where the copies go, each named by its step.
    """

    work: Path
    folder: Path

    def take(self, *_: Any) -> None:
        """Copy what of the checkpoints is a model, where that has not been done."""
        for seal in self.work.glob(f"checkpoint-*/{SEAL}"):
            copy = self.folder / seal.parent.name.rpartition("-")[2]
            if not copy.exists():
                shutil.copytree(seal.parent, copy, ignore=shutil.ignore_patterns("optimizer.*", "*.pth", "*.bin"))

    def taken(self) -> list[tuple[int, Path]]:
        """Name the steps and their models, in order."""
        return sorted((int(copy.name), copy) for copy in self.folder.iterdir())


def implicit_rewards(model: Path, of_base: Sequence[float], rows: Sequence[Preference]) -> list[Sides]:
    """Compute the log-probabilities of both sides under a trained model, less those under its base."""
    gains = [mine - theirs for mine, theirs in zip(side_logprobs(str(model), rows), of_base, strict=True)]
    return [Sides(row.pair, *both) for row, both in zip(rows, zip(gains[::2], gains[1::2], strict=True), strict=True)]


def base_logprobs(given: argparse.Namespace, test: Sequence[Preference]) -> list[float]:
    """Compute the base's log-probabilities of the test pairs' sides, or read those of an earlier run from ``--out``."""
    kept = given.out and given.out / "base.json"
    rows = digest([given.model, [[row.prompt.id, row.chosen, row.rejected] for row in test]])
    found = json.loads(kept.read_text("utf-8")) if kept and kept.exists() else {}
    if found.get("rows") == rows:
        return list(found["logprobs"])
    logprobs = side_logprobs(given.model, test)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"rows": rows, "logprobs": logprobs}), "utf-8")
    return logprobs


def side_logprobs(model: str, rows: Sequence[Preference]) -> list[float]:
    """Compute the log-probabilities of each row's chosen and rejected side, one after the other."""
    engine = TransformersEngine(resolve_model(model))
    sides = [(row, text, whole) for row in rows for text, whole in (
        (row.chosen, row.whole_chosen), (row.rejected, row.whole_rejected)
    )]  # fmt: skip

    async def ask() -> list[float]:
        asked = (
            engine.score(ScoreRequest(messages=row.prompt.turns, continuation=text, end_turn=whole))
            for row, text, whole in sides
        )
        return [one.logprob for one in await asyncio.gather(*asked)]

    try:
        return asyncio.run(ask())
    finally:
        engine.close()


def rewards_of(
    given: argparse.Namespace, model: Path, test: Sequence[Preference], of_base: Sequence[float]
) -> list[Sides]:
    """Give the rewards of the test pairs' sides under a trained model."""
    if given.method == "dpo":
        return implicit_rewards(model, of_base, test)
    scored = score_rewards(model, test, max_length=given.max_length)
    pair_of = {row.id: row.pair for row in test}
    return [Sides(pair_of[one.example.id], one.chosen, one.rejected) for one in scored.pairs]


def train(given: argparse.Namespace, rows: Sequence[Preference], seed: int, place: Path) -> tuple[Any, Snapshots]:
    """Train with a seed, into ``model`` in a folder, and keep what there was on the way."""
    pace = Pace(epochs=given.epochs, learning_rate=given.learning_rate, batch_size=given.batch_size)
    if given.points > 1:
        pace = replace(pace, save_steps=max(1, pace.n_steps(len(rows)) // given.points), save_seconds=math.inf)
    out = place / "model"
    on_the_way = Snapshots(out.with_name("model.training"), place / "on-the-way")
    on_the_way.folder.mkdir()

    def on_step(step: int, n_steps: int, figures: Mapping[str, float]) -> None:
        print(f"seed {seed}, step {step} of {n_steps}: {dict(figures)}", file=sys.stderr, flush=True)
        if given.points > 1:
            on_the_way.take()

    how: dict[str, Any] = {
        "seed": seed,
        "pace": pace,
        "lora": LoraSettings(r=32, alpha=64),
        "max_length": given.max_length,
        "on_step": on_step,
    }
    if given.method == "dpo":
        return dpo(rows, given.model, out=out, beta=0.1, **how), on_the_way
    return preference_model(rows, given.model, out=out, **how), on_the_way


def main() -> None:
    given = _flags().parse_args()
    rows = preferences_of(load_pairs(given.pairs)).rows
    taken = fitting(rows, given.characters)
    groups = prompt_groups(row.prompt for row in taken)
    group_of = {row.pair: groups[row.prompt.id] for row in taken}
    to_train, test = split(taken, given.train, given.test, given.split_seed)
    if given.labels:
        to_train = with_labels(to_train, given.labels, hard=given.hard, order=given.order)
    right: dict[str, list[float]] = {}
    for seed in given.seeds:
        sides = _kept(given, seed) or do_seed(given, to_train, test, seed, group_of)
        for one in sides:
            right.setdefault(one.pair, []).append(one.right)
    means = [float(np.mean(shares)) for shares in right.values()]
    every = {"method": given.method, "labels": str(given.labels or "people"), "hard": given.hard, "order": given.order}
    overall = _figures(means, [group_of[pair] for pair in right])
    if given.labels:
        every["as_labelled"] = as_labelled(right, test, given.labels, group_of)
    by_seed = [float(np.mean(shares)) for shares in zip(*right.values(), strict=True)]
    print(json.dumps(every | overall | {"seeds": by_seed, "n_read": len(rows)}))


def as_labelled(
    right: Mapping[str, Sequence[float]], test: Sequence[Preference], labels: Path, group_of: Mapping[str, str]
) -> dict[str, Any]:
    """Give the share of pairs in which rewards and a judge's soft labels in both orders prefer the same side."""
    by_people = {row.pair: row.chosen_side for row in test}
    shares = {}
    for row in with_labels(test, labels, hard=False, order=None):
        if row.p_chosen != _TIE:
            is_same = row.chosen_side == by_people[row.pair]
            shares[row.pair] = float(np.mean([one if is_same else 1 - one for one in right[row.pair]]))
    return _figures(list(shares.values()), [group_of[pair] for pair in shares])


def do_seed(
    given: argparse.Namespace,
    to_train: Sequence[Preference],
    test: Sequence[Preference],
    seed: int,
    group_of: Mapping[str, str],
) -> list[Sides]:
    """Train with a seed, test, print its figures, and give the rewards of the test pairs' sides."""
    of_base = base_logprobs(given, test) if given.method == "dpo" else ()
    with tempfile.TemporaryDirectory() as place:
        begun = time.perf_counter()
        result, on_the_way = train(given, to_train, seed, Path(place))
        trained = time.perf_counter()
        sides = rewards_of(given, Path(place) / "model", test, of_base)
        seconds = {"training": round(trained - begun, 1), "test": round(time.perf_counter() - trained, 1)}
        told = {"seed": seed, "n_train": result.n_rows, "loss": result.losses[-1], "seconds": seconds}
        told |= figures_of(sides, group_of)
        if given.out:
            _keep(given, seed, sides, Path(place) / "model")
        told["curve"] = {
            step: figures_of(rewards_of(given, model, test, of_base), group_of) for step, model in on_the_way.taken()
        }
    print(json.dumps(told), flush=True)
    return sides


def figures_of(sides: Sequence[Sides], group_of: Mapping[str, str]) -> dict[str, Any]:
    """Give the share of pairs that rewards tell aright, with its interval."""
    return _figures([one.right for one in sides], [group_of[one.pair] for one in sides])


def _figures(right: Sequence[float], groups: Sequence[str]) -> dict[str, Any]:
    found = mean_interval(right, groups=groups)
    return {"accuracy": found.value, "low": found.low, "high": found.high, "n": len(right)}


def _keep(given: argparse.Namespace, seed: int, sides: Sequence[Sides], model: Path) -> None:
    shutil.copytree(model, given.out / f"model-{seed}", dirs_exist_ok=True)
    lines = [json.dumps(_setting(given)), *(json.dumps(dataclasses.asdict(one)) for one in sides)]
    (given.out / f"seed-{seed}.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _kept(given: argparse.Namespace, seed: int) -> list[Sides]:
    """Read what a seed gave before; SystemExit where it was trained otherwise."""
    file = given.out and given.out / f"seed-{seed}.jsonl"
    if not (file and file.exists()):
        return []
    setting, *sides = map(json.loads, file.read_text("utf-8").splitlines())
    if setting != _setting(given):
        raise SystemExit(f"{file}: was trained with {setting}; name another folder with --out")
    return [Sides(**one) for one in sides]


def _setting(given: argparse.Namespace) -> dict[str, str]:
    """Give what determines a seed's figures."""
    beside = {"pairs", "seeds", "points", "out"}
    return {name: str(value) for name, value in sorted(vars(given).items()) if name not in beside}


def _flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs that people judged")
    parser.add_argument("--method", choices=("dpo", "preference_model"), default="dpo")
    parser.add_argument("--model", default="smollm2-135m", help="an embedded name, a folder or a hub id")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--split-seed", type=int, default=0, help="of the split alone: all seeds test the same pairs")
    parser.add_argument("--train", type=int, default=700, help="pairs to train on")
    parser.add_argument("--test", type=int, default=350, help="pairs to test, at least")
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--characters", type=int, default=LONGEST, help="of the longest pair that is taken")
    parser.add_argument("--points", type=int, default=1, help="at how many points of its training a model is tested")
    parser.add_argument("--labels", type=Path, help="an AI judge's verdicts or preferences, to train on")
    parser.add_argument("--hard", action="store_true", help="round the AI's labels to 0 and 1")
    parser.add_argument("--order", choices=("ab", "ba"), help="read one order of the AI's questions alone")
    parser.add_argument("--out", type=Path, help="a folder for each test pair's rewards")
    return parser


if __name__ == "__main__":
    main()
