"""GRPO and RLOO with a tiny model: against closed forms, token by token, and from a stop to the same end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_rows import sft_rows

from charter.engines.quiet import quiet_libraries
from charter.engines.rendering import Renderer
from charter.errors import Collapsed, Interrupted, RecipeError, TooManyFailures
from charter.records import Prompt, make_prompt
from charter.training.adapters import LoraSettings, load_trainee
from charter.training.answering import ends_of
from charter.training.data import prompt_examples
from charter.training.oversight import RlGuard
from charter.training.pace import Pace
from charter.training.results import TrainingResult
from charter.training.rl import rl
from charter.training.rl_trainer import Method, Rolling, rl_trainer
from charter.training.rollouts import Reward, Rollout
from charter.training.sft import sft
from charter.training.unscored import count_unscored

pytestmark = pytest.mark.model

LORA = LoraSettings(r=4, alpha=8)
PACE = Pace(batch_size=8, learning_rate=2e-2)
ROLLING = Rolling(n_samples=4, max_tokens=6, beta=0.05)
SETTINGS: dict[str, Any] = {"seed": 5, "lora": LORA, "dtype": "float32", "device": "cpu"}
NO_SHARES: dict[str, Any] = {
    "repetition": 1.0, "endings": 1.0, "boilerplate": 1.0, "refusals": 1.0, "length": (0.0, 1e9)
}  # fmt: skip
METHODS = pytest.mark.parametrize("method", ["grpo", "rloo"])


def prompts(n: int) -> list[Prompt]:
    """Make prompts of various lengths, one of them with a special token's name."""
    return [
        make_prompt(f"Question {number}: what now?" + " <|im_end|>" * (number % 3), "helpful") for number in range(n)
    ]


def vowels(rollouts: Sequence[Rollout]) -> list[float]:
    """Score by content: the share of vowels."""
    return [sum(sign in "aeiou" for sign in one.text) / max(len(one.text), 1) for one in rollouts]


def reward(
    score: Callable[[Sequence[Rollout]], list[Any]] = vowels, name: str = "vowels", weight: float = 1.0
) -> Reward:
    """Make a reward of a function."""
    return Reward(name, score, weight, {})


@pytest.fixture(scope="module")
def sft_adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that differs from its base, to start from."""
    out = tmp_path_factory.mktemp("models") / "sft"
    return sft(sft_rows(8), tiny_model, out=out, pace=Pace(batch_size=2), **{**SETTINGS, "seed": 1}).folder


def train(model: Path, out: Path, *rewards: Reward, n: int = 6, **changed: Any) -> TrainingResult:
    """Train the tiny model on prompts."""
    pace = replace(PACE, **{name: changed.pop(name) for name in ("epochs", "learning_rate") if name in changed})
    rolling = replace(
        ROLLING, **{name: changed.pop(name) for name in ("method", "n_updates", "beta") if name in changed}
    )
    how = {**SETTINGS, "pace": pace, "rolling": rolling, "guard": None, **changed}
    return rl(prompts(n), model, rewards or [reward()], out=out, **how)


def make_trainer(model: Path, out: Path, rolling: Rolling, *rewards: Reward, n: int = 2) -> Any:
    """Make a float64 trainer that is ready to draw."""
    trainee = load_trainee(model, lora=LORA, seed=0, dtype="float64")
    examples = prompt_examples(prompts(n), trainee.tokenizer, max_length=400, max_tokens=rolling.max_tokens).kept
    trainer = rl_trainer(examples, trainee, out, seed=0, pace=PACE, rolling=rolling, rewards=rewards or [reward()])
    trainer.model.train()
    return trainer


def draw(trainer: Any) -> dict[str, torch.Tensor]:
    """Draw and score a batch, as a step of training does."""
    with quiet_libraries():
        drawn: dict[str, torch.Tensor] = trainer._generate_and_score_completions(
            next(iter(trainer.get_train_dataloader()))
        )
    return drawn


def move(model: Any) -> None:
    """Move the policy off its reference, the same way each time."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype), alpha=0.05)


def logprobs(model: Any, drawn: dict[str, torch.Tensor]) -> torch.Tensor:
    """Compute the drawn tokens' log-probabilities, row by row and without padding, apart from any trainer."""
    found = torch.zeros(drawn["completion_ids"].shape, dtype=torch.float64)
    for row in range(len(found)):
        prompt = drawn["prompt_ids"][row][drawn["prompt_mask"][row] == 1]
        answer = drawn["completion_ids"][row][drawn["completion_mask"][row] == 1]
        with torch.no_grad():
            logits = model(input_ids=torch.cat([prompt, answer])[None]).logits[0, len(prompt) - 1 : -1]
        found[row, : len(answer)] = torch.log_softmax(logits, -1).gather(1, answer[:, None])[:, 0]
    return found


@METHODS
def test_prompts_are_read_as_the_engine_reads_them(tiny_model: Path, tmp_path: Path, method: Method) -> None:
    """Token by token, a special token's name as text; groups stand side by side, and nothing behind an end counts."""
    trainer = make_trainer(tiny_model, tmp_path, replace(ROLLING, method=method))
    drawn = draw(trainer)
    read = [ids[mask == 1].tolist() for ids, mask in zip(drawn["prompt_ids"], drawn["prompt_mask"], strict=True)]
    by_prompt = [list(one.prompt_ids) for one in trainer.examples]
    assert len(read) == 8
    assert all(read[start] in by_prompt and read[start : start + 4] == [read[start]] * 4 for start in (0, 4))
    end = trainer.processing_class.eos_token_id
    assert max(len(ids) for ids in by_prompt) > min(len(ids) for ids in by_prompt), "else nothing is padded"
    for ids, mask in zip(drawn["completion_ids"].tolist(), drawn["completion_mask"].tolist(), strict=True):
        n = sum(mask)
        assert mask == [1] * n + [0] * (len(mask) - n)
        assert end not in ids[: n - 1]


def test_grpo_s_advantages_and_loss_are_the_paper_s(sft_adapter: Path, tmp_path: Path) -> None:
    """Advantages by a group's mean and spread, the loss from probabilities computed apart (arXiv 2402.03300)."""
    scored: list[list[float]] = []

    def spy(rollouts: Sequence[Rollout]) -> list[float]:
        scored.append(vowels(rollouts))
        return scored[-1]

    trainer = make_trainer(sft_adapter, tmp_path, replace(ROLLING, beta=0.3), reward(spy, weight=2.0))
    reference = make_trainer(sft_adapter, tmp_path / "reference", ROLLING).model
    move(trainer.model)
    drawn = draw(trainer)
    groups = 2.0 * torch.tensor(scored[0], dtype=torch.float64).view(2, 4)
    assert groups.std(1).min() > 0
    expected = (groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)
    torch.testing.assert_close(drawn["advantages"].double(), expected.flatten(), rtol=1e-4, atol=1e-5)
    trainer.current_gradient_accumulation_steps = 1
    with quiet_libraries():
        loss = trainer.compute_loss(trainer.model, drawn, num_items_in_batch=drawn["completion_mask"].sum()).item()
    own, theirs, mask = logprobs(trainer.model, drawn), logprobs(reference, drawn), drawn["completion_mask"]
    kl = torch.exp(theirs - own) - (theirs - own) - 1
    per_token = -drawn["advantages"][:, None] + 0.3 * kl  # the ratio to itself is 1
    assert ((kl * mask).sum() / mask.sum()).item() > 1e-4
    assert loss == pytest.approx(((per_token * mask).sum() / mask.sum()).item(), abs=1e-5)


def test_rloo_s_advantages_are_the_paper_s(sft_adapter: Path, tmp_path: Path) -> None:
    """The reward less the penalty on KL, against the mean of the others in the group (arXiv 2402.14740)."""
    scored: list[list[float]] = []

    def spy(rollouts: Sequence[Rollout]) -> list[float]:
        scored.append(vowels(rollouts))
        return scored[-1]

    trainer = make_trainer(sft_adapter, tmp_path, replace(ROLLING, method="rloo", beta=0.3), reward(spy))
    reference = make_trainer(sft_adapter, tmp_path / "reference", ROLLING).model
    move(trainer.model)
    drawn = draw(trainer)
    kl = ((logprobs(trainer.model, drawn) - logprobs(reference, drawn)) * drawn["completion_mask"]).sum(1)
    groups = (torch.tensor(scored[0], dtype=torch.float64) - 0.3 * kl).view(2, 4)
    others = (groups.sum(1, keepdim=True) - groups) / 3
    torch.testing.assert_close(drawn["advantages"].double(), (groups - others).flatten(), rtol=1e-4, atol=1e-5)


def test_rewards_are_weighed_and_what_says_nothing_is_left_out(tiny_model: Path, tmp_path: Path) -> None:
    """A reward of None counts for no rollout that others score, and one that nobody scores moves nothing."""

    def first_two(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [float(number) if number % 4 < 2 else None for number in range(len(rollouts))]

    trainer = make_trainer(tiny_model, tmp_path, ROLLING, reward(first_two, "some", 3.0))
    advantages = draw(trainer)["advantages"].view(2, 4)
    assert torch.equal(advantages[:, 2:], torch.zeros(2, 2))
    assert advantages[0, 0] == pytest.approx(-advantages[0, 1].item())
    assert advantages[0, 1] > 0.5


def test_what_is_missing_is_neither_better_nor_worse(tiny_model: Path, tmp_path: Path) -> None:
    """Beside a reward that scores all, a rollout without a verdict has the middle of its group, not the worst."""

    def judge(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [0.5, 0.6, None, 0.4] + [None] * (len(rollouts) - 4)

    def number(rollouts: Sequence[Rollout]) -> list[float]:
        return [float(one % 4) for one in range(len(rollouts))]

    trainer = make_trainer(tiny_model, tmp_path, ROLLING, reward(judge, "judge"), reward(number, "number", 1e-6))
    advantages = draw(trainer)["advantages"].view(2, 4)
    assert advantages[0, 2].abs() < 0.01
    assert advantages[0].argmin() == 3
    assert advantages[0].argmax() == 1
    assert advantages[1].tolist() == sorted(advantages[1].tolist())  # by what is told of it


@METHODS
def test_a_training_without_verdicts_comes_to_its_end(tiny_model: Path, tmp_path: Path, method: Method) -> None:
    """Rewards that say nothing of a whole draw, or of some answers, are counted and in no mean; figures are JSON."""
    draws: list[int] = []

    def judge(rollouts: Sequence[Rollout]) -> list[float | None]:
        draws.append(len(rollouts))
        if len(draws) == 1:
            return [None] * len(rollouts)
        return [0.25, 0.75] * (len(rollouts) // 2 - 1) + [None, None]

    def length(rollouts: Sequence[Rollout]) -> list[float]:
        return [0.5] * len(rollouts)

    parts = (reward(judge, "judge", 2.0), reward(length, "length"))
    result = train(tiny_model, tmp_path / "rl", *parts, n=6, method=method)
    first, second, *_ = result.steps
    assert math.isnan(first["rewards/judge/mean"])
    assert (first["rewards/judge/unscored"], first["rewards/length/unscored"]) == (8.0, 0.0)
    assert first["reward"] == pytest.approx(0.5)
    assert (second["rewards/judge/unscored"], second["rewards/judge/mean"]) == (2.0, pytest.approx(0.5))
    assert second["reward"] == pytest.approx(2.0 * 0.5 + 0.5)
    told = json.loads((tmp_path / "rl/training.json").read_text("utf-8"))["told"]
    assert told["steps"][0]["rewards/judge/mean"] is None
    assert count_unscored(result.steps) == {"judge": 8 + 2 * (len(draws) - 1)}
    drawn: list[int] = []

    def alone(rollouts: Sequence[Rollout]) -> list[float | None]:
        drawn.append(len(rollouts))
        return [None] * len(rollouts) if len(drawn) == 1 else [*vowels(rollouts)]

    only = train(tiny_model, tmp_path / "alone", reward(alone), n=4, method=method)
    assert math.isnan(only.steps[0]["reward"])


@pytest.mark.parametrize(("n", "said"), [(6, "24 of the 24 answers of the last 3"), (60, "80 of the 80 answers")])
def test_a_reward_that_says_nothing_ends_the_training(tiny_model: Path, tmp_path: Path, n: int, said: str) -> None:
    """Nothing would be learnt for it: after ten draws, or at the end of fewer; with its reasons, and no model."""
    mute = Reward("judge", lambda rollouts: [None] * len(rollouts), 1.0, {}, lambda: "It never answers.")
    length = reward(lambda rollouts: [float(one.n_tokens) for one in rollouts], "length")
    with pytest.raises(TooManyFailures, match=rf"rl: the reward 'judge' said nothing of {said} .*It never answers\."):
        train(tiny_model, tmp_path / "rl", mute, length, n=n)
    assert not (tmp_path / "rl").exists()


def test_what_was_missing_before_a_stop_counts(tiny_model: Path, tmp_path: Path) -> None:
    """Draws of an earlier sitting are among the ten."""

    def mute(rollouts: Sequence[Rollout]) -> list[None]:
        asked.append(len(rollouts))
        return [None] * len(rollouts)

    asked: list[int] = []
    part = reward(mute, "judge")  # type: ignore[arg-type]  # says nothing ever
    with pytest.raises(Interrupted):
        train(tiny_model, tmp_path / "rl", part, n=60, stop=lambda: len(asked) >= 4)
    with pytest.raises(TooManyFailures, match="give it no weight"):
        train(tiny_model, tmp_path / "rl", part, n=60)
    assert len(asked) == 10


def test_drawing_stops_at_the_end_of_a_turn(tiny_model: Path, tmp_path: Path) -> None:
    """A base may name the end of a text alone: what SFT taught and engines stop at ends an answer here too."""
    trainee = load_trainee(tiny_model, lora=LORA, seed=0, dtype="float64")
    tokenizer, end = trainee.tokenizer, Renderer(trainee.tokenizer).end_of_turn
    tokenizer.eos_token = tokenizer.unk_token
    trainee.model.generation_config.eos_token_id = trainee.model.config.eos_token_id = tokenizer.eos_token_id
    assert Renderer(tokenizer).end_of_turn == end != tokenizer.eos_token_id
    examples = prompt_examples(prompts(2), tokenizer, max_length=400, max_tokens=4).kept
    rolling = replace(ROLLING, max_tokens=4)
    trainer = rl_trainer(examples, trainee, tmp_path, seed=0, pace=PACE, rolling=rolling, rewards=[reward()])
    assert set(trainer.eos_token_ids) == {end, tokenizer.eos_token_id}
    assert set(trainer.generation_config.eos_token_id) == ends_of(trainee.model, tokenizer) == {
        end, tokenizer.eos_token_id
    }  # fmt: skip


@pytest.mark.parametrize("lora", [replace(LORA, dropout=0.4), None], ids=["with dropout", "whole model"])
def test_the_first_answers_are_the_reference_s(tiny_model: Path, tmp_path: Path, lora: LoraSettings | None) -> None:
    """Policy and reference are one model before the first step: nothing is dropped, and both read alike."""
    result = train(tiny_model, tmp_path / "rl", n=2, lora=lora, learning_rate=1e-3)
    assert result.steps[0]["kl"] == pytest.approx(0.0, abs=1e-9)
    assert (tmp_path / "rl" / ("model.safetensors" if lora is None else "adapter_model.safetensors")).exists()


def test_an_answer_is_whole_behind_every_end_that_the_model_names(tiny_model: Path, tmp_path: Path) -> None:
    """Models of chat name several ends; an answer behind any of them is no cut one, and drawing stops there."""
    seen: list[Rollout] = []

    def spy(rollouts: Sequence[Rollout]) -> list[float]:
        seen.extend(rollouts)
        return vowels(rollouts)

    trainee = load_trainee(tiny_model, lora=LORA, seed=0, dtype="float64")
    others = [number for number in range(len(trainee.tokenizer)) if number % 2]
    trainee.model.generation_config.eos_token_id = others
    rolling = replace(ROLLING, max_tokens=4)
    examples = prompt_examples(prompts(2), trainee.tokenizer, max_length=400, max_tokens=4).kept
    trainer = rl_trainer(examples, trainee, tmp_path, seed=0, pace=PACE, rolling=rolling, rewards=[reward(spy)])
    trainer.model.train()
    drawn = draw(trainer)
    lasts = [
        ids[mask == 1][-1].item() for ids, mask in zip(drawn["completion_ids"], drawn["completion_mask"], strict=True)
    ]
    ends = {*others, trainee.tokenizer.eos_token_id}
    assert [one.is_cut for one in seen] == [last not in ends for last in lasts]
    assert {one.is_cut for one in seen} == {True, False}


@METHODS
def test_what_is_rewarded_becomes_likelier(sft_adapter: Path, tmp_path: Path, method: Method) -> None:
    """The mean reward rises over a short training, KL from the SFT model with it, and from 0."""
    result = train(sft_adapter, tmp_path / "rl", n=8, epochs=16, method=method, learning_rate=3e-2, beta=0.005)
    means = [step["rewards/vowels/mean"] for step in result.steps]
    assert sum(means[-8:]) > 1.7 * sum(means[:8])
    assert abs(result.steps[0]["kl"]) < 1e-6
    assert result.steps[-1]["kl"] > 0.01
    drawn = sum(step["completions/mean_length"] * 8 for step in result.steps)
    assert result.n_loss_tokens == pytest.approx(drawn, abs=1)
    assert result.n_tokens > result.n_loss_tokens
    adapter = json.loads((tmp_path / "rl/adapter_config.json").read_text("utf-8"))
    assert adapter["base_model_name_or_path"] == str(load_base_name(sft_adapter))
    assert not (tmp_path / "rl/ref").exists()


def load_base_name(adapter: Path) -> str:
    """Read what an adapter calls its base."""
    return str(json.loads((adapter / "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"])


@METHODS
@pytest.mark.parametrize("n_updates", [1, 2])
def test_stopped_and_resumed_is_uninterrupted(
    sft_adapter: Path, tmp_path: Path, method: Method, n_updates: int
) -> None:
    """A stop waits for the next draw of answers; from there all is drawn as it would have been."""
    how = {"method": method, "n_updates": n_updates, "epochs": 2, "n": 6}
    whole = train(sft_adapter, tmp_path / "whole", **how)
    assert whole.n_steps == 6 * n_updates
    seen: list[int] = []
    with pytest.raises(Interrupted, match=f"step 4 of {whole.n_steps}"):
        train(
            sft_adapter,
            tmp_path / "rl",
            on_step=lambda step, _n, _logs: seen.append(step),
            stop=lambda: len(seen) >= 3,
            **how,
        )
    resumed = train(sft_adapter, tmp_path / "rl", **how)
    assert resumed.notes == (f"went on from checkpoint-{seen[-1]}",)
    for name in ("loss", "reward", "kl"):
        assert [s.get(name) for s in resumed.steps] == pytest.approx([s.get(name) for s in whole.steps], abs=1e-6)
    assert resumed.n_tokens == whole.n_tokens
    assert weights(resumed.folder).keys() == weights(whole.folder).keys()
    for name, value in weights(whole.folder).items():
        torch.testing.assert_close(weights(resumed.folder)[name], value, rtol=0, atol=1e-6)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read an adapter's weights."""
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


@METHODS
@pytest.mark.parametrize("n_updates", [1, 2])
def test_small_passes_make_the_same_steps(
    sft_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Method, n_updates: int
) -> None:
    """Read a few answers at a time, as some processors are the faster for, a draw gives what it gives at once."""
    how: dict[str, Any] = {"method": method, "n_updates": n_updates, "n": 6, "learning_rate": 2e-3}
    whole = train(sft_adapter, tmp_path / "whole", **how)
    monkeypatch.setattr("charter.training.passes._TOKENS_AT_ONCE", 100)  # three answers, of which two divide a step
    divided = train(sft_adapter, tmp_path / "divided", **how)
    assert divided.n_steps == whole.n_steps == 3 * n_updates
    for name in ("loss", "reward"):
        assert [s.get(name) for s in divided.steps] == pytest.approx([s.get(name) for s in whole.steps], abs=1e-5)
    assert divided.n_tokens == whole.n_tokens
    for name, value in weights(whole.folder).items():
        torch.testing.assert_close(weights(divided.folder)[name], value, rtol=0, atol=2e-4)


def test_prompts_that_leave_no_room_are_reported(tiny_model: Path, tmp_path: Path) -> None:
    """Every prompt is accounted for."""
    long = make_prompt("word " * 200, "helpful")
    result = rl([*prompts(2), long], tiny_model, [reward()], out=tmp_path / "rl", pace=PACE, rolling=ROLLING,
                max_length=120, guard=None, **SETTINGS)  # fmt: skip
    assert [(one.id, one.reason) for one in result.rejected] == [(long.id, "too_long")]
    assert result.n_rows == 2


@pytest.mark.parametrize(("batch_size", "n_samples"), [(8, 3), (4, 1), (2, 4)])
def test_batches_are_whole_groups(tiny_model: Path, tmp_path: Path, batch_size: int, n_samples: int) -> None:
    """Else a group would be compared with half of itself."""
    with pytest.raises(RecipeError, match="are no whole groups"):
        rl(prompts(2), tiny_model, [reward()], out=tmp_path / "rl", pace=Pace(batch_size=batch_size),
           rolling=replace(ROLLING, n_samples=n_samples), **SETTINGS)  # fmt: skip


def test_another_reward_is_another_training(tiny_model: Path, tmp_path: Path) -> None:
    """A training goes on from its own checkpoints alone."""
    train(tiny_model, tmp_path / "rl", n=2)
    from charter.training.checkpoints import take_back

    assert take_back(tmp_path / "rl")
    other = train(tiny_model, tmp_path / "rl", reward(weight=0.5), n=2)
    assert other.notes == ("the finished model was deleted: it is of another training (rewards)",)


def test_a_policy_that_games_its_reward_is_stopped(sft_adapter: Path, tmp_path: Path) -> None:
    """The reward rises, a judge that looks at something else does not agree, and the last good checkpoint is kept."""
    asked: list[int] = []

    class Other:
        """Prefers the answers with fewer vowels: what is rewarded is what it minds."""

        def compare_all(self, pairs: Sequence[tuple[Prompt, str, str]]) -> list[float | None]:
            asked.append(len(pairs))
            rate = [[vowels([Rollout(prompt, text, 1, is_cut=False)])[0] for text in both] for prompt, *both in pairs]
            return [0.5 if one == other else float(one < other) for one, other in rate]

    guard = RlGuard(every=4, n_prompts=12, max_tokens=6, kl=99.0, distinct=0.0, **NO_SHARES)
    held_out = [make_prompt(f"Another question, number {number}?", "helpful") for number in range(12)]
    how = {"guard": guard, "held_out": held_out, "second_judge": Other(), "learning_rate": 3e-2, "beta": 0.005}
    with pytest.raises(Collapsed, match=r"rl: .*second_judge 0(\.\d+)? \(at least 0\.35, .*rl\.guard\.second_judge"):
        train(sft_adapter, tmp_path / "rl", n=8, epochs=16, **how)
    assert set(asked) == {12}
    looks = json.loads((tmp_path / "rl.training/guard.json").read_text("utf-8"))["looks"]
    assert looks[0]["reward_gain"] == 0.0
    assert looks[0]["second_judge"] == 0.5
    assert looks[-1]["reward_gain"] > 0.05
    assert looks[-1]["second_judge_high"] < 0.35


def test_kl_that_runs_off_stops_the_training(sft_adapter: Path, tmp_path: Path) -> None:
    """And the checkpoint before may become the model."""
    guard = RlGuard(every=2, n_prompts=2, max_tokens=6, kl=0.05, distinct=0.0, then="keep", **NO_SHARES)
    result = train(sft_adapter, tmp_path / "rl", n=8, epochs=8, guard=guard, learning_rate=2e-2, beta=0.001)
    assert result.n_steps < 32
    assert any("the guard ended the training" in note and "kl " in note for note in result.notes)
    assert result.looks[-1]["kl"] > 0.05
    assert all(look["kl"] <= 0.05 for look in result.looks[:-1])


def test_looks_of_a_resumed_training_compare_with_its_first_answers(sft_adapter: Path, tmp_path: Path) -> None:
    """They are recorded: what comes after a stop is held to what was before the first step, as without it."""
    how = {"guard": RlGuard(every=2, n_prompts=3, max_tokens=6, kl=99.0, **NO_SHARES), "n": 6, "epochs": 3}
    whole = train(sft_adapter, tmp_path / "whole", **how)
    seen: list[int] = []
    with pytest.raises(Interrupted):
        train(
            sft_adapter,
            tmp_path / "rl",
            on_step=lambda step, _n, _logs: seen.append(step),
            stop=lambda: len(seen) >= 4,
            **how,
        )
    resumed = train(sft_adapter, tmp_path / "rl", **how)
    assert [look["step"] for look in resumed.looks] == [0, 2, 4, 6, 8, 9]
    for name in ("reward", "reward_gain", "kl"):
        found = [[look[name] for look in one.looks] for one in (resumed, whole)]
        assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_looks_fall_between_draws_and_no_later(sft_adapter: Path, tmp_path: Path) -> None:
    """Asked for every three steps, with answers drawn every two: at every fourth, and not at every sixth."""
    guard = RlGuard(every=3, n_prompts=2, max_tokens=4, **NO_SHARES)
    result = train(sft_adapter, tmp_path / "rl", n=6, epochs=2, n_updates=2, guard=guard)
    assert [look["step"] for look in result.looks] == [0, 4, 8, 12]


def test_checkpoints_fall_between_draws_and_no_later(sft_adapter: Path, tmp_path: Path) -> None:
    """As looks do: a number of steps is rounded up."""
    seen: list[int] = []

    def crash(step: int, _n_steps: int, _logs: Mapping[str, float]) -> None:
        seen.append(step)
        if step == 5:
            raise KeyboardInterrupt

    how: dict[str, Any] = {"pace": replace(PACE, save_steps=3), "rolling": replace(ROLLING, n_updates=2), "guard": None}
    with pytest.raises(KeyboardInterrupt):
        rl(prompts(8), sft_adapter, [reward()], out=tmp_path / "rl", on_step=crash, **{**SETTINGS, **how})
    assert [path.name for path in (tmp_path / "rl.training").glob("checkpoint-*")] == ["checkpoint-4"]


def test_without_a_reference_no_kl_is_told(sft_adapter: Path, tmp_path: Path) -> None:
    """Where KL has no weight nobody measures it: no look says that there is none."""
    guard = RlGuard(every=2, n_prompts=2, max_tokens=4, kl=1e-9, **NO_SHARES)
    result = train(sft_adapter, tmp_path / "rl", n=6, beta=0.0, guard=guard)
    assert all("kl" not in line for line in (*result.steps, *result.looks))


def test_trained_prompts_fill_up_what_is_asked(sft_adapter: Path, tmp_path: Path) -> None:
    """A few held-out prompts leave the limits in force; one that is too long for an answer is not asked."""
    held_out = [make_prompt("Held out?", "helpful"), make_prompt("word " * 200, "helpful")]
    guard = RlGuard(every=9, n_prompts=5, max_tokens=4, **NO_SHARES)
    result = train(sft_adapter, tmp_path / "rl", n=6, guard=guard, held_out=held_out, max_length=120)
    assert result.looks[0]["n_answers"] == 5
    assert "the guard asks 4 prompts that are trained on, for too few are held out" in result.notes


def test_length_that_cannot_be_seen_is_told(sft_adapter: Path, tmp_path: Path) -> None:
    """Answers that are cut where they would be too long cannot be found too long."""
    guard = RlGuard(every=9, n_prompts=4, max_tokens=6, **{**NO_SHARES, "length": (0.0, 2.0)})
    result = train(sft_adapter, tmp_path / "rl", n=2, guard=guard)
    told = "the guard cannot see answers grow to 2 times their length: of 6 tokens at first, they are cut at 6"
    assert any(note.startswith(told) for note in result.notes)
