"""DPO's passes over pairs whose two sides share the prompt, against the same pairs with the sides apart.

    python -m benchmarks.pair_layouts [--prompt 127] [--chosen 36] [--rejected 44] [--pairs 16] [--rounds 5]

What is timed is what a step computes: the loss of each pass and its gradient, and the reference's pass before it. A
pass has a batch of 8 pairs, and on a CPU in float32 so few of them as training takes at once there. The lengths are in
tokens, those of 700 pairs of hh_harmless by default; each pair's are drawn evenly between a half of them and three
halves. ``ratio`` compares the times, ``ratio_of_tokens`` how many are read, without padding.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.limits import measure_machine, training_limit
from benchmarks.machine_models import size_in
from benchmarks.measuring import Clock, Sample, finish, flags, interleave, result, speed_up
from charter.engines.quiet import quiet_libraries
from charter.engines.weights import resolve_model
from charter.training.adapters import LoraSettings, load_trainee
from charter.training.data import PreferenceExample
from charter.training.pace import Pace, Watch
from charter.training.preference_trainer import Objective, dpo_trainer

_BATCH = 8


def make_pairs(given: argparse.Namespace, n_tokens: int) -> list[PreferenceExample]:
    """Draw pairs of tokens."""
    chance = random.Random(0)  # noqa: S311 - not a secret

    def draw(mean: int) -> tuple[int, ...]:
        return tuple(chance.randrange(n_tokens) for _ in range(round(mean * chance.uniform(0.5, 1.5))))

    lengths = (given.prompt, given.chosen, given.rejected)
    return [PreferenceExample(f"p{number}", *map(draw, lengths), 0.8) for number in range(given.pairs)]


def passes(trainer: Any, pairs: Sequence[PreferenceExample], limit: float, *, shares: bool) -> Callable[[int], Sample]:
    """Measure the passes in one layout."""
    n_tokens = sum(one.n_tokens + (0 if shares else len(one.prompt_ids)) for one in pairs)

    def turn(_: int) -> Sample:
        trainer.data_collator.shares = shares
        with quiet_libraries(), Clock() as clock:
            trainer.take_reference(trainer.reference_logprobs(Watch.of(None, None), 0))
            trainer.model.train()
            for batch in trainer.get_train_dataloader():
                with trainer.accelerator.autocast():
                    loss = trainer.compute_loss(trainer.model, dict(batch))
                loss.backward()
        trainer.model.zero_grad()
        return Sample(clock.seconds, len(pairs), n_tokens, n_tokens / limit)

    return turn


def main() -> None:
    parser = flags(__doc__)
    parser.add_argument("--prompt", type=int, default=127, help="tokens of a prompt, on average")
    parser.add_argument("--chosen", type=int, default=36, help="tokens of a chosen response, on average")
    parser.add_argument("--rejected", type=int, default=44, help="tokens of a rejected response, on average")
    parser.add_argument("--pairs", type=int, default=16)
    given = parser.parse_args()
    machine = measure_machine()
    model = resolve_model(given.model)
    trainee = load_trainee(str(model.path), lora=LoraSettings(), seed=0)
    pairs = make_pairs(given, trainee.tokenizer.vocab_size)
    print(f"{given.model}, {len(pairs)} pairs, {torch.get_num_threads()} threads; {machine}")
    limit = training_limit(machine, size_in(model, torch.float32), with_reference=True)
    with tempfile.TemporaryDirectory() as folder:
        pace, objective = Pace(batch_size=_BATCH), Objective()
        trainer = dpo_trainer(pairs, trainee, Path(folder), seed=0, pace=pace, objective=objective)
        may = trainer.data_collator.shares
        sides = {"shared": True, "apart": False}
        workloads = {name: passes(trainer, pairs, limit, shares=shares) for name, shares in sides.items()}
        samples = interleave(workloads, given.rounds)
    found = speed_up(samples["shared"], samples["apart"])
    fewer = samples["apart"][0].n_tokens / samples["shared"][0].n_tokens
    finish(result("pair_layouts", found, samples, ratio_of_tokens=fewer, would_share=may), samples)


if __name__ == "__main__":
    main()
