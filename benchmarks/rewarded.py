"""Whether reinforcement learning raises a reward on prompts that it never saw, how far it goes, and what a judge says.

    python -m benchmarks.rewarded --pairs hh_harmless.jsonl.gz --preference-model pm/model-0
        [--minutes 10] [--second-judge my-judge --engine http://localhost:8080/v1] [--out FOLDER]

The pairs are split as ``benchmarks.human_pairs`` splits them; a preference model of that one goes in here. The policy
answers prompts of the training's half, and is rewarded for what the preference model makes of its answers; after so
many minutes it ends. Then policy and base answer the same prompts of the test's half, ``--answers`` times each, with
the same seeds: the paired difference of their rewards, its interval over prompts, the last step's KL per token, and the
share of prompts where a second judge, that nothing is trained against, finds the policy's first answer better than the
base's, asked in both orders.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.human_pairs import LONGEST, fitting, split
from charter.cli.model_options import IN_PROCESS, model_spec
from charter.constitution import load_constitution
from charter.engines.base import Sampling
from charter.engines.pool import Pool
from charter.engines.transformers import TransformersEngine
from charter.engines.weights import model_fingerprint, resolve_model
from charter.errors import Interrupted
from charter.evaluation.responding import respond_one
from charter.feedback.judge import Judging, make_judge
from charter.files.tables import read_table, write_json, write_table
from charter.given import load_pairs
from charter.given.preferences import preferences_of
from charter.journal.store import Journal
from charter.records import Preference, Prompt, Response
from charter.statistics import mean_interval, paired_mean_difference
from charter.training.adapters import LoraSettings
from charter.training.oversight import RlGuard
from charter.training.pace import Pace
from charter.training.reward_judge import JudgeComparison
from charter.training.rewards import Conversation, RewardModel, rollout_rewards
from charter.training.rl import rl
from charter.training.rl_trainer import Rolling
from charter.training.rollouts import Reward

_ANSWERS, _TRAINED = "answers.parquet", "trained.json"


def main() -> None:
    given = _flags().parse_args()
    rows = preferences_of(load_pairs(given.pairs)).rows
    halves = split(fitting(rows, LONGEST), given.train, given.test, given.split_seed)
    prompts, held_out = (short_prompts(half, given.characters) for half in halves)
    rewards = RewardModel(given.preference_model)
    with tempfile.TemporaryDirectory() as place:
        folder = given.out or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _TRAINED).exists():
            told = train(given, prompts, held_out, rewards, folder / "model")
            said = [answers(str(model), held_out, given) for model in (given.model, newest(folder / "model"))]
            write_table(folder / _ANSWERS, [one for both in said for one in both], Response)
            write_json(folder / _TRAINED, told)
        told = json.loads((folder / _TRAINED).read_text("utf-8"))
        both = read_table(folder / _ANSWERS, Response)
        before, after = both[: len(both) // 2], both[len(both) // 2 :]
        told |= compare(rewards, before, after)
        told |= second_opinion(given, Path(place), before, after)
    print(json.dumps(told))


def short_prompts(rows: Sequence[Preference], characters: int) -> list[Prompt]:
    """Give the different prompts of pairs that are no longer than so many characters."""
    return [*{row.prompt.id: row.prompt for row in rows if len(row.prompt.text) <= characters}.values()]


def train(
    given: argparse.Namespace, prompts: Sequence[Prompt], held_out: Sequence[Prompt], rewards: RewardModel, out: Path
) -> dict[str, Any]:
    """Train until the time is over, and give the steps' figures."""
    whose = {"model": model_fingerprint(resolve_model(str(given.preference_model)))}
    reward = Reward("preference_model", partial(rollout_rewards, model=rewards), 1.0, whose)
    begun = time.monotonic()
    steps: list[dict[str, float]] = []

    def on_step(step: int, n_steps: int, figures: Mapping[str, float]) -> None:
        steps.append(dict(figures))
        kept = {name: round(figures[name], 4) for name in ("reward", "kl", "loss", "completions/mean_length")}
        print(f"step {step} of {n_steps}: {kept}", file=sys.stderr, flush=True)

    pace = Pace(
        epochs=given.epochs,
        learning_rate=given.learning_rate,
        batch_size=given.batch_size,
        accumulation=given.accumulation,
        schedule="constant",
    )
    try:
        rl(
            prompts,
            given.model,
            [reward],
            out=out,
            seed=given.seed,
            rolling=Rolling(n_samples=given.n_samples, beta=given.beta, max_tokens=given.max_tokens),
            pace=pace,
            lora=LoraSettings(r=given.rank, alpha=2 * given.rank),
            guard=RlGuard(every=given.look_every, max_tokens=given.max_tokens),
            held_out=held_out,
            on_step=on_step,
            stop=lambda: time.monotonic() - begun > 60 * given.minutes,
        )
    except Interrupted as reason:
        print(reason, file=sys.stderr)
    return {
        "n_prompts": len(prompts),
        "steps": len(steps),
        "seconds": round(time.monotonic() - begun, 1),
        "kl": steps[-1]["kl"],
        "reward_by_step": [round(step["reward"], 3) for step in steps],
        "kl_by_step": [round(step["kl"], 4) for step in steps],
    }


def newest(out: Path) -> Path:
    """Give the trained model, or the checkpoint in which the time ended."""
    if out.exists():
        return out
    checkpoints = out.with_name(f"{out.name}.training").glob("checkpoint-*")
    return max(checkpoints, key=lambda path: int(path.name.rpartition("-")[2]))


def answers(model: str, prompts: Sequence[Prompt], given: argparse.Namespace) -> list[Response]:
    """Let a model answer, so many times each prompt; every model draws from the same seeds for the same prompt."""
    engine = TransformersEngine(resolve_model(model))

    async def ask() -> list[Response]:
        sampling = Sampling(max_tokens=given.max_tokens, temperature=1.0)
        drawn = ((one, seed) for one in prompts for seed in range(given.answers))
        return await asyncio.gather(*(respond_one(one, model, engine, sampling, seed) for one, seed in drawn))

    try:
        return asyncio.run(ask())
    finally:
        engine.close()


def compare(rewards: RewardModel, before: Sequence[Response], after: Sequence[Response]) -> dict[str, Any]:
    """Give the rewards of both models' answers, and the paired difference; prompts are resampled whole."""
    base, policy = (
        rewards.rewards([Conversation(one.prompt.turns, one.text, one.finish == "stop") for one in said])
        for said in (before, after)
    )
    found = paired_mean_difference(base, policy, groups=[one.prompt.id for one in before])
    lengths = [sum(one.n_tokens for one in said) / len(said) for said in (before, after)]
    return {
        "n": found.n,
        "n_prompts_held_out": len({one.prompt.id for one in before}),
        "reward_before": sum(base) / len(base),
        "reward_after": sum(policy) / len(policy),
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "mean_tokens": lengths,
        "refusals": [sum(one.label == "bare_refusal" for one in said) for said in (before, after)],
    }


def second_opinion(
    given: argparse.Namespace, place: Path, before: Sequence[Response], after: Sequence[Response]
) -> dict[str, Any]:
    """Ask a judge that was not trained against which of the prompts' first answers are better, where one is named."""
    if given.second_judge is None:
        return {}
    constitution = load_constitution("harmless")
    spec = model_spec(given.second_judge, given.engine)
    with Journal(place / "second.sqlite") as journal, Pool({"second_judge": spec}, journal).borrow(spec) as engine:
        comparison = JudgeComparison(
            judges={"red_team": make_judge(engine, constitution, Judging())},
            principles={"red_team": constitution.used_for("judge")},
            k_principles=1,
            seed=0,
        )
        both = list(zip(after, before, strict=True))[:: given.answers]
        asked = [(old.prompt, new.text, old.text) for new, old in both]
        said = [p for p in comparison.compare_all(asked) if p is not None]
    found = mean_interval(said)
    return {"second_judge": given.second_judge, "p_better": found.value, "of": [found.low, found.high, found.n]}


def _flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, help="pairs whose prompts are answered")
    parser.add_argument("--preference-model", type=Path, required=True, help="a folder that gives the rewards")
    parser.add_argument("--model", default="smollm2-135m", help="the policy: an embedded name, a folder or a hub id")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training")
    parser.add_argument("--train", type=int, default=700, help="pairs of the training's half, as is --test")
    parser.add_argument("--test", type=int, default=350)
    parser.add_argument("--characters", type=int, default=120, help="of the longest prompt that is taken")
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--batch-size", type=int, default=4, help="answers in a pass")
    parser.add_argument("--accumulation", type=int, default=8, help="passes in a step")
    parser.add_argument("--n-samples", type=int, default=8, help="answers to each prompt")
    parser.add_argument("--beta", type=float, default=0.05, help="the weight of KL")
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--answers", type=int, default=4, help="to each held-out prompt, of each model")
    parser.add_argument("--rank", type=int, default=16, help="of the adapter")
    parser.add_argument("--look-every", type=int, default=10, help="steps between two looks of the guard")
    parser.add_argument("--second-judge", help="a model that nothing is trained against")
    parser.add_argument("--engine", default=IN_PROCESS, help="how it is reached, as in charter audit")
    parser.add_argument(
        "--out", type=Path, help="a folder for model and answers: another judge is asked about those that are there"
    )
    return parser


if __name__ == "__main__":
    main()
