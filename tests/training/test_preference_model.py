"""Preference models on a tiny model: against TRL's own trainer and a closed form, resumed, saved and loaded again."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_rows import preference, preferences, sft_rows

from charter.engines.quiet import quiet_libraries
from charter.errors import Interrupted, ModelError, RecipeError
from charter.records import Preference
from charter.training.adapters import LoraSettings, load_trainee
from charter.training.data import preference_examples
from charter.training.pace import Pace
from charter.training.preference_model import preference_model
from charter.training.results import TrainingResult
from charter.training.reward_trainer import SoftRewardTrainer, reward_trainer
from charter.training.rewards import Conversation, RewardModel, score_rewards
from charter.training.sft import sft

pytestmark = pytest.mark.model

LORA = LoraSettings(r=4, alpha=8)
PACE = Pace(batch_size=2, learning_rate=5e-3)
SETTINGS: dict[str, Any] = {"seed": 5, "lora": LORA, "dtype": "float32", "device": "cpu"}
PACED = {field.name for field in fields(Pace)}
PAD = 0  # the tiny tokenizer's only special token that ends nothing and begins nothing


@pytest.fixture(scope="module")
def sft_adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that differs from its base, to start from."""
    out = tmp_path_factory.mktemp("models") / "sft"
    return sft(sft_rows(8), tiny_model, out=out, pace=PACE, **{**SETTINGS, "seed": 1}).folder


@pytest.fixture(scope="module")
def trained(sft_adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preference model that was trained on with the SFT adapter."""
    return train(sft_adapter, tmp_path_factory.mktemp("models") / "pm", epochs=4).folder


def train(model: Path, out: Path, n: int = 8, **changed: Any) -> TrainingResult:
    """Train the tiny model on pairs; what is changed of the pace is named as the other settings are."""
    pace = replace(PACE, **{name: changed.pop(name) for name in PACED & changed.keys()})
    return preference_model(preferences(n), model, out=out, pace=pace, **{**SETTINGS, **changed})


def make_trainer(model: Path, rows: Sequence[Preference], out: Path, *, batch_size: int = 4) -> SoftRewardTrainer:
    """Make a float64 trainer whose weights are moved off their first ones, the same way each time."""
    trainee = load_trainee(model, lora=LORA, seed=0, dtype="float64", task="reward")
    examples = preference_examples(rows, trainee.tokenizer, max_length=400).kept
    trainer = reward_trainer(examples, trainee, out, seed=0, pace=Pace(batch_size=batch_size))
    move(trainer.model)
    return trainer


def move(model: Any) -> None:
    """Move what is trained, the same way each time."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype), alpha=0.05)


def first_batch(trainer: Any, *, apart: bool = False) -> dict[str, Any]:
    """Give a trainer's first batch, with the sides of each pair behind prompts of their own where that is said."""
    if apart:
        trainer.data_collator.shares = False
    return dict(next(iter(trainer.get_train_dataloader())))


def loss_and_gradient(trainer: Any, batch: Mapping[str, Any]) -> tuple[float, torch.Tensor]:
    """Compute a trainer's loss on a batch, and its gradient by all that is trained."""
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    return loss.item(), torch.cat([weight.grad.flatten() for weight in weights])


def tokens_of(model: Path, rows: Sequence[Preference]) -> list[list[int]]:
    """Tokenise the chosen sides, then the rejected ones, with a model's own tokenizer."""
    from transformers import AutoTokenizer

    kept = preference_examples(rows, AutoTokenizer.from_pretrained(model), max_length=400).kept
    chosen = [[*one.prompt_ids, *one.chosen_ids] for one in kept]
    return chosen + [[*one.prompt_ids, *one.rejected_ids] for one in kept]


def rewards_by_hand(model: Any, rows: Sequence[Sequence[int]]) -> list[float]:
    """Compute rewards a row at a time, without padding or mask, from the hidden state of the last token."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = inner.score
    weight = head.modules_to_save["default"].weight if hasattr(head, "modules_to_save") else head.weight
    with torch.no_grad():
        hidden = [inner.model(input_ids=torch.tensor([list(row)])).last_hidden_state[0, -1] for row in rows]
    return [(one.double() @ weight[0].double()).item() for one in hidden]


def test_first_step_is_a_tie(sft_adapter: Path, tmp_path: Path) -> None:
    """Before the first update every reward is exactly 0, and every label costs log 2."""
    result = train(sft_adapter, tmp_path / "pm", learning_rate=0.0, batch_size=3)
    for name, value in (("margin", 0.0), ("accuracy", 0.5), ("reward_chosen", 0.0), ("reward_rejected", 0.0)):
        assert [step[name] for step in result.steps] == [value] * 3
    assert result.losses == pytest.approx([math.log(2)] * 3, abs=1e-6)


def test_the_sft_adapter_is_trained_on(sft_adapter: Path) -> None:
    """What is trained begins as the adapter that was given, with a head beside it."""
    from safetensors.torch import load_file

    trainee = load_trainee(sft_adapter, lora=None, seed=0, dtype="float32", task="reward")
    found = {name: weight for name, weight in trainee.model.named_parameters() if weight.requires_grad}
    given = load_file(sft_adapter / "adapter_model.safetensors")
    heads = [name for name in found if "score" in name]
    assert len(found) - len(heads) == len(given)
    for name, weight in given.items():
        assert torch.equal(found[name.replace(".weight", ".default.weight")], weight)
    assert [found[name].abs().max().item() for name in heads] == [0.0]


def test_loss_is_the_closed_form(sft_adapter: Path, tmp_path: Path) -> None:
    """The loss is the formula in plain arithmetic, on rewards that were computed one conversation at a time."""
    trainer = make_trainer(sft_adapter, preferences(4), tmp_path / "x")
    batch, apart = first_batch(trainer), first_batch(trainer, apart=True)
    rows = [
        [token for token, read in zip(ids, mask, strict=True) if read]
        for ids, mask in zip(apart["input_ids"].tolist(), apart["attention_mask"].tolist(), strict=True)
    ]
    rewards = rewards_by_hand(trainer.model, rows)
    wanted = [
        p * math.log1p(math.exp(rejected - chosen)) + (1 - p) * math.log1p(math.exp(chosen - rejected))
        for chosen, rejected, p in zip(rewards[:4], rewards[4:], batch["p_chosen"].tolist(), strict=True)
    ]
    assert max(map(abs, rewards)) > 0.1
    assert loss_and_gradient(trainer, batch)[0] == pytest.approx(sum(wanted) / 4, abs=1e-9)


def test_sure_labels_are_plain_trl(sft_adapter: Path, tmp_path: Path) -> None:
    """At p = 1 loss and gradient are those of TRL's own RewardTrainer on the same rows and weights, in float64."""
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    rows = [preference(number, 1.0) for number in range(4)]
    ours = make_trainer(sft_adapter, rows, tmp_path / "ours")
    trainee = load_trainee(sft_adapter, lora=LORA, seed=0, dtype="float64", task="reward")
    sides = tokens_of(sft_adapter, rows)
    with quiet_libraries():
        settings = RewardConfig(
            output_dir=str(tmp_path / "trl"),
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            per_device_train_batch_size=4,
            train_sampling_strategy="sequential",
            dataloader_pin_memory=False,
        )
        columns = {"chosen_ids": sides[:4], "rejected_ids": sides[4:]}
        theirs = RewardTrainer(
            trainee.model,
            args=settings,
            train_dataset=Dataset.from_dict(columns),
            processing_class=trainee.tokenizer,
        )
    move(theirs.model)
    expected = loss_and_gradient(theirs, first_batch(theirs))
    shared = loss_and_gradient(ours, first_batch(ours))
    found = loss_and_gradient(ours, first_batch(ours, apart=True))
    assert abs(found[0] - math.log(2)) > 0.01
    assert found[0] == pytest.approx(expected[0], abs=1e-9)
    assert shared[0] == pytest.approx(expected[0], abs=1e-9)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(shared[1], expected[1], rtol=1e-5, atol=1e-7)  # adapters are float32


def test_swapping_pairs_and_labels_changes_nothing(sft_adapter: Path, tmp_path: Path) -> None:
    """(chosen, rejected, p) and (rejected, chosen, 1 - p) have the same loss and gradient."""
    rows = [preference(number, 0.8) for number in range(4)]
    swapped = [
        # A record would refuse p < 0.5, which no judge gives: the copy is not validated.
        row.model_copy(update={"chosen": row.rejected, "rejected": row.chosen, "p_chosen": 1 - row.p_chosen})
        for row in rows
    ]
    found = []
    for name, given in (("as it is", rows), ("swapped", swapped)):
        trainer = make_trainer(sft_adapter, given, tmp_path / name)
        found.append(loss_and_gradient(trainer, first_batch(trainer)))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-12)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=1e-12)


def test_tokens_are_read_to_the_last(sft_adapter: Path, tmp_path: Path) -> None:
    """A batch holds prompt, response and end of turn; all is masked but padding, which is no token of any row."""
    rows = [preference(0), preference(3, chosen="No.", rejected="A longer answer, and a longer one still.")]
    trainer = make_trainer(sft_adapter, rows, tmp_path / "x", batch_size=2)
    batch = first_batch(trainer, apart=True)
    n_tokens = batch["attention_mask"].sum(1).tolist()
    order = list(trainer.buckets)
    sides = tokens_of(sft_adapter, rows)
    expected = [sides[place] for place in order] + [sides[2 + place] for place in order]
    ids = batch["input_ids"].tolist()
    assert [row[:n] for row, n in zip(ids, n_tokens, strict=True)] == expected
    assert [set(row[n:]) - {PAD} for row, n in zip(ids, n_tokens, strict=True)] == [set()] * 4
    assert len(set(n_tokens)) > 1
    assert {row[-1] for row in expected} == {2}  # the end of turn, which the tiny tokenizer pads with by itself
    assert not any(PAD in row for row in expected)


def test_pairs_are_learnt(sft_adapter: Path, tmp_path: Path) -> None:
    """Over a few epochs the chosen sides get the higher rewards."""
    rows = [preference(number, 0.9) for number in range(8)]
    result = preference_model(rows, sft_adapter, out=tmp_path / "pm", pace=replace(PACE, epochs=8), **SETTINGS)
    scored = score_rewards(result.folder, rows, dtype="float32", device="cpu")
    assert all(pair.margin > 0 for pair in scored.pairs)
    assert result.losses[-1] < result.losses[0]
    assert {"margin", "accuracy", "reward_chosen", "reward_rejected", "loss"} <= result.steps[0].keys()
    json.dumps(result.to_json())


@pytest.mark.parametrize("stop_at", [2, 6])
def test_stopped_and_resumed_is_uninterrupted(sft_adapter: Path, tmp_path: Path, stop_at: int) -> None:
    """Losses and margins go on as if nothing had happened, and the rewards are the same in the end."""
    whole = train(sft_adapter, tmp_path / "whole", epochs=2)
    steps: list[int] = []
    with pytest.raises(Interrupted, match=f"step {stop_at} of 8"):
        train(
            sft_adapter,
            tmp_path / "pm",
            epochs=2,
            on_step=lambda step, _n, _logs: steps.append(step),
            stop=lambda: len(steps) == stop_at - 1,
        )
    resumed = train(sft_adapter, tmp_path / "pm", epochs=2)
    assert resumed.notes == (f"went on from checkpoint-{stop_at}",)
    for name in ("loss", "margin", "reward_chosen"):
        assert [s[name] for s in resumed.steps] == pytest.approx([s[name] for s in whole.steps], abs=1e-6)
    rewards = [RewardModel(one.folder, dtype="float32", device="cpu").score(preferences(8)) for one in (whole, resumed)]
    for first, second in zip(rewards[0].pairs, rewards[1].pairs, strict=True):
        assert (first.chosen, first.rejected) == pytest.approx((second.chosen, second.rejected), abs=1e-6)


def test_peft_alone_gives_the_rewards_of_an_adapter(trained: Path, sft_adapter: Path) -> None:
    """Loaded as PEFT's own class and by hand, a row at a time, the saved adapter gives the rewards that we give."""
    from peft import AutoPeftModelForSequenceClassification
    from transformers import AutoTokenizer

    rows = tokens_of(trained, preferences(8))
    ours = RewardModel(trained, dtype="float32", device="cpu").rewards_of_tokens(rows)
    tokenizer = AutoTokenizer.from_pretrained(trained)
    assert tokenizer.pad_token_id == PAD
    with quiet_libraries():
        loaded = AutoPeftModelForSequenceClassification.from_pretrained(
            str(trained), num_labels=1, pad_token_id=tokenizer.pad_token_id
        )
        padded = tokenizer.pad({"input_ids": rows}, return_tensors="pt", padding_side="right")
        with torch.no_grad():
            theirs = loaded(**padded).logits[:, 0].tolist()
    assert theirs == pytest.approx(ours, abs=1e-5)
    assert rewards_by_hand(loaded, rows) == pytest.approx(ours, abs=1e-5)
    assert max(ours) - min(ours) > 0.1
    told = json.loads((trained / "adapter_config.json").read_text("utf-8"))
    before = json.loads((sft_adapter / "adapter_config.json").read_text("utf-8"))
    assert (told["task_type"], told["modules_to_save"]) == ("SEQ_CLS", ["score"])
    assert told["base_model_name_or_path"] == before["base_model_name_or_path"]


def test_transformers_alone_gives_the_rewards_of_a_whole_model(tiny_model: Path, tmp_path: Path) -> None:
    """A model that was trained as a whole loads with no word more than its folder's name."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    result = train(tiny_model, tmp_path / "pm", lora=None, epochs=2, learning_rate=1e-3)
    rows = tokens_of(result.folder, preferences(8))
    ours = RewardModel(result.folder, dtype="float32", device="cpu").rewards_of_tokens(rows)
    tokenizer = AutoTokenizer.from_pretrained(result.folder)
    with quiet_libraries():
        loaded = AutoModelForSequenceClassification.from_pretrained(result.folder)
        with torch.no_grad():
            for side in ("left", "right"):
                padded = tokenizer.pad({"input_ids": rows}, return_tensors="pt", padding_side=side)
                assert loaded(**padded).logits[:, 0].tolist() == pytest.approx(ours, abs=1e-4)
    assert max(ours) - min(ours) > 0.1


def test_saved_rewards_are_those_of_the_training(sft_adapter: Path, tmp_path: Path) -> None:
    """What the trainer computes with its last weights is what the saved folder gives, pair by pair."""
    kept: list[SoftRewardTrainer] = []
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setattr(
            "charter.training.preference_model.reward_trainer",
            lambda *a, **k: kept.append(reward_trainer(*a, **k)) or kept[0],
        )
        folder = train(sft_adapter, tmp_path / "pm", epochs=2).folder
    (trainer,) = kept
    trainer.model.eval()
    scored = score_rewards(folder, preferences(8), dtype="float32", device="cpu").pairs
    order = iter(trainer.buckets)
    for batch in trainer.get_train_dataloader():
        with torch.no_grad():
            chosen, rejected = trainer.pair_rewards(trainer.model, batch)
        for row in zip(chosen.tolist(), rejected.tolist(), strict=True):
            pair = scored[next(order)]
            assert row == pytest.approx((pair.chosen, pair.rejected), abs=1e-5)


def test_rewards_of_conversations_do_not_depend_on_their_neighbours(trained: Path) -> None:
    """Alone, among others and in another order a conversation gets the same reward, and an open end another."""
    rows = preferences(8)
    conversations = [Conversation(row.prompt.turns, row.chosen) for row in rows]
    model = RewardModel(trained, dtype="float32", device="cpu")
    together = model.rewards(conversations)
    alone = [model.rewards([one])[0] for one in conversations]
    assert together == pytest.approx(alone, abs=1e-5)
    assert model.rewards(conversations[::-1])[::-1] == pytest.approx(alone, abs=1e-5)
    assert together == pytest.approx([pair.chosen for pair in model.score(rows).pairs], abs=1e-5)
    opened = model.rewards([one._replace(whole=False) for one in conversations])
    assert all(abs(one - other) > 1e-4 for one, other in zip(opened, together, strict=True))


def test_accumulated_passes_are_one_batch(sft_adapter: Path, tmp_path: Path) -> None:
    """Four pairs at once and twice two of them, of equal lengths, take the same steps."""
    same = {"chosen": "It depends.", "rejected": "I do not."}
    rows = [
        preference(4 * number, 0.9, **{name: f"{text} {number}" for name, text in same.items()}) for number in range(4)
    ]
    found = [
        preference_model(rows, sft_adapter, out=tmp_path / name, pace=pace, **SETTINGS)
        for name, pace in (
            ("once", Pace(batch_size=4, epochs=4, learning_rate=5e-3)),
            ("twice", Pace(batch_size=2, accumulation=2, epochs=4, learning_rate=5e-3)),
        )
    ]
    assert found[0].losses == pytest.approx(found[1].losses, abs=1e-5)
    assert found[0].losses[-1] < found[0].losses[0] - 0.01


def test_bfloat16_products_give_float32_rewards(trained: Path) -> None:
    """With weights in bfloat16 the reward is still a float32 number, near that of float32 weights."""
    rows = tokens_of(trained, preferences(8))
    half = RewardModel(trained, dtype="bfloat16", device="cpu")
    ids = torch.tensor([rows[0]])
    with torch.no_grad():
        logits = half.model(input_ids=ids, use_cache=False).logits
    assert logits.dtype == torch.float32
    assert logits.item() != logits.to(torch.bfloat16).item()
    precise = RewardModel(trained, dtype="float32", device="cpu").rewards_of_tokens(rows)
    assert half.rewards_of_tokens(rows) == pytest.approx(precise, abs=0.1)


def test_half_precision_training_is_finite(sft_adapter: Path, tmp_path: Path) -> None:
    """With products in bfloat16 the first step is still a tie, and the loss a number."""
    result = train(sft_adapter, tmp_path / "pm", dtype="bfloat16", epochs=2)
    assert result.steps[0]["margin"] == 0.0
    assert all(math.isfinite(loss) for loss in result.losses)


def test_rejected_rows_are_reported(sft_adapter: Path, tmp_path: Path) -> None:
    """Rows that do not fit are in the result by name, in training and in scoring; of none there is no training."""
    rows = [preference(0), preference(1, chosen="x " * 600), preference(2, chosen="Same.", rejected="Same.")]
    result = preference_model(rows, sft_adapter, out=tmp_path / "pm", pace=PACE, max_length=200, **SETTINGS)
    reasons = [("preference-1", "too_long"), ("preference-2", "equal")]
    assert result.n_rows == 1
    assert [(row.id, row.reason) for row in result.rejected] == reasons
    scored = score_rewards(result.folder, rows, max_length=200, dtype="float32", device="cpu")
    assert [pair.example.id for pair in scored.pairs] == ["preference-0"]
    assert [(row.id, row.reason) for row in scored.rejected] == reasons
    alike = [preference(number, chosen="No, thanks.", rejected="No, never.") for number in range(3)]
    with pytest.raises(RecipeError, match=r"raise preference_model\.opening_tokens, which is 1"):
        preference_model(alike, sft_adapter, out=tmp_path / "x", pace=PACE, opening_tokens=1, **SETTINGS)


def test_what_is_no_preference_model_is_refused(tiny_model: Path, sft_adapter: Path) -> None:
    """A model without a head would give every conversation the reward 0."""
    for model in (tiny_model, sft_adapter):
        with pytest.raises(ModelError, match="is no preference model"):
            RewardModel(model, device="cpu")


def test_a_preference_model_can_be_trained_on(trained: Path, tmp_path: Path) -> None:
    """Its head is kept: with a learning rate of 0 the rewards stay what they were."""
    again = train(trained, tmp_path / "again", learning_rate=0.0)
    rows = tokens_of(trained, preferences(8))
    before, after = (
        RewardModel(one, dtype="float32", device="cpu").rewards_of_tokens(rows) for one in (trained, again.folder)
    )
    assert after == pytest.approx(before, abs=1e-6)
    told = json.loads((again.folder / "adapter_config.json").read_text("utf-8"))
    assert told["modules_to_save"] == ["score"]


def test_nothing_is_left_behind(sft_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """No stray folders or files, and nothing printed."""
    monkeypatch.chdir(tmp_path)
    train(sft_adapter, tmp_path / "pm", save_steps=2)
    score_rewards(tmp_path / "pm", preferences(2), device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["pm"]
    assert capfd.readouterr() == ("", "")


def test_a_model_of_openings_reads_openings(sft_adapter: Path, tmp_path: Path) -> None:
    """What it was not trained on does not count for the rewards of what a policy draws, the end among it."""
    result = preference_model(preferences(8), sft_adapter, out=tmp_path / "pm", pace=PACE, opening_tokens=3, **SETTINGS)
    model = RewardModel(result.folder, dtype="float32", device="cpu")
    assert model.opening_tokens == 3
    turns = preferences(1)[0].prompt.turns
    said = "No, I will not, and here is why that would be wrong"
    rewards = model.rewards(
        [Conversation(turns, said), Conversation(turns, said, whole=False), Conversation(turns, f"{said}: it hurts.")]
    )
    assert rewards == pytest.approx([rewards[0]] * 3, abs=1e-6)
    (pair,) = score_rewards(
        result.folder, [preference(0, chosen=said)], opening_tokens=3, dtype="float32", device="cpu"
    ).pairs
    assert pair.chosen == pytest.approx(rewards[0], abs=1e-5)
    assert RewardModel(sft_whole(sft_adapter, tmp_path), dtype="float32", device="cpu").opening_tokens is None


def sft_whole(sft_adapter: Path, tmp_path: Path) -> Path:
    """Train a model that reads whole responses."""
    return preference_model(preferences(4), sft_adapter, out=tmp_path / "whole", pace=PACE, **SETTINGS).folder


def test_rewards_that_are_no_numbers_are_refused(trained: Path, tmp_path: Path) -> None:
    """A diverged model is named with what to do, before figures are made of it or a policy is trained on nothing."""
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    weights = load_file(broken / "adapter_model.safetensors")
    save_file(
        {name: torch.full_like(one, torch.nan) for name, one in weights.items()}, broken / "adapter_model.safetensors"
    )
    with pytest.raises(ModelError, match=r"broken' gives rewards that are no numbers.*preference_model\.learning_rate"):
        score_rewards(broken, preferences(2), dtype="float32", device="cpu")
