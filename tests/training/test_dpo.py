"""DPO on soft labels with a tiny model: against TRL's own loss, and from SFT to the saved adapter."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_rows import preference, preferences, sft_rows

from charter.engines.quiet import quiet_libraries
from charter.errors import Interrupted, RecipeError
from charter.records import Preference
from charter.training.adapters import LoraSettings, load_trainee
from charter.training.checkpoints import take_back
from charter.training.data import preference_examples
from charter.training.dpo import dpo
from charter.training.losses import LossName
from charter.training.pace import Pace, Watch
from charter.training.preference_trainer import Objective, SoftDpoTrainer, dpo_trainer
from charter.training.results import TrainingResult
from charter.training.sft import sft

pytestmark = pytest.mark.model

LORA = LoraSettings(r=4, alpha=8)
PACE = Pace(batch_size=2, learning_rate=5e-3)
SETTINGS: dict[str, Any] = {"seed": 5, "lora": LORA, "dtype": "float32", "device": "cpu"}
PACED = {field.name for field in fields(Pace)}
NOBODY = Watch.of(None, None)


@pytest.fixture(scope="module")
def sft_adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that differs from its base, to start DPO from."""
    out = tmp_path_factory.mktemp("models") / "sft"
    return sft(sft_rows(8), tiny_model, out=out, pace=PACE, **{**SETTINGS, "seed": 1}).folder


def train(model: Path, out: Path, n: int = 8, **changed: Any) -> TrainingResult:
    """Train the tiny model on pairs; what is changed of the pace is named as the other settings are."""
    pace = replace(PACE, **{name: changed.pop(name) for name in PACED & changed.keys()})
    return dpo(preferences(n), model, out=out, pace=pace, **{**SETTINGS, **changed})


def make_trainer(
    model: Path, rows: Sequence[Preference], out: Path, *, objective: Objective | None = None
) -> SoftDpoTrainer:
    """Make a float64 trainer that holds its reference."""
    trainee = load_trainee(model, lora=LORA, seed=0, dtype="float64")
    examples = preference_examples(rows, trainee.tokenizer, max_length=400).kept
    trainer = dpo_trainer(examples, trainee, out, seed=0, pace=Pace(batch_size=4), objective=objective or Objective())
    trainer.take_reference(trainer.reference_logprobs(NOBODY, 0))
    return trainer


def move(model: Any) -> None:
    """Move the policy off its reference, the same way each time."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype), alpha=0.02)


def batches(trainer: Any, *, shares: bool | None = None) -> list[dict[str, Any]]:
    """Give a trainer's batches, with the two sides of each pair behind one prompt or apart where that is said."""
    collator = trainer.data_collator
    own = collator.shares
    collator.shares = own if shares is None else shares
    found = [dict(batch) for batch in trainer.get_train_dataloader()]
    collator.shares = own
    return found


def loss_and_gradient(trainer: Any, batch: Mapping[str, Any] | None = None) -> tuple[float, torch.Tensor]:
    """Compute a trainer's loss on a batch (its own first one), and its gradient by the adapter."""
    if batch is None:
        batch = batches(trainer)[0]
    trainer.model.zero_grad()
    with quiet_libraries():  # TRL's own deprecated call
        loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    trained = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    return loss.item(), torch.cat([weight.grad.flatten() for weight in trained])


def test_first_step_costs_log_two(sft_adapter: Path, tmp_path: Path) -> None:
    """Before the first update policy and reference are equal to the bit: margin 0, and log 2 for any label."""
    result = train(sft_adapter, tmp_path / "dpo", learning_rate=0.0, batch_size=3)
    assert [step["margin"] for step in result.steps] == [0.0] * 3
    assert [step["accuracy"] for step in result.steps] == [0.5] * 3
    assert result.losses == pytest.approx([math.log(2)] * 3, abs=1e-6)


def test_sure_labels_are_plain_trl(sft_adapter: Path, tmp_path: Path) -> None:
    """At p = 1 loss and gradient are those of TRL's own DPOTrainer on the same batch, in float64."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    rows = [preference(number, 1.0) for number in range(4)]
    ours = make_trainer(sft_adapter, rows, tmp_path / "ours")
    trainee = load_trainee(sft_adapter, lora=LORA, seed=0, dtype="float64")
    with quiet_libraries():
        settings = DPOConfig(
            output_dir=str(tmp_path / "trl"),
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            beta=0.1,
            max_length=None,
        )
        words = {"prompt": ["a"], "chosen": [" b"], "rejected": [" c"]}
        theirs = DPOTrainer(
            trainee.model, args=settings, train_dataset=Dataset.from_dict(words), processing_class=trainee.tokenizer
        )
    apart = batches(ours, shares=False)[0]
    found, expected = loss_and_gradient(ours), loss_and_gradient(theirs, apart)
    assert found[0] == pytest.approx(expected[0], abs=1e-6)
    for trainer in (ours, theirs):
        move(trainer.model)
    found, expected = loss_and_gradient(ours), loss_and_gradient(theirs, apart)
    assert abs(found[0] - math.log(2)) > 0.01
    assert found[0] == pytest.approx(expected[0], abs=1e-6)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-5, atol=1e-6)


def test_a_whole_training_is_that_of_plain_trl(
    sft_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With sure labels and the same order of rows, every step's figures are those of TRL's own training."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    monkeypatch.setattr("charter.training.order.length_buckets", lambda lengths, *_: list(range(len(lengths))))
    rows = [preference(number, 1.0) for number in range(8)]
    pace = replace(PACE, batch_size=4, epochs=3, warmup=0, schedule="linear")
    ours = dpo(rows, sft_adapter, out=tmp_path / "ours", pace=pace, **SETTINGS)
    trainee = load_trainee(sft_adapter, lora=LORA, seed=0, dtype="float32")
    examples = preference_examples(rows, trainee.tokenizer, max_length=400).kept
    columns = {
        name: [list(getattr(one, name)) for one in examples] for name in ("prompt_ids", "chosen_ids", "rejected_ids")
    }
    monkeypatch.setattr(DPOTrainer, "_prepare_dataset", lambda _self, dataset, *_: dataset)
    with quiet_libraries():
        settings = DPOConfig(
            output_dir=str(tmp_path / "trl"),
            report_to="none",
            save_strategy="no",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            beta=0.1,
            learning_rate=PACE.learning_rate,
            per_device_train_batch_size=4,
            num_train_epochs=3,
            train_sampling_strategy="sequential",
            logging_steps=1,
        )
        theirs = DPOTrainer(
            trainee.model, args=settings, train_dataset=Dataset.from_dict(columns), processing_class=trainee.tokenizer
        )
        theirs.train()
    steps = [entry for entry in theirs.state.log_history if "loss" in entry]
    assert ours.losses[-1] < 0.6
    for name, trl_name in (("loss", "loss"), ("margin", "rewards/margins"), ("logprob_chosen", "logps/chosen")):
        expected = [step[trl_name] for step in steps]
        assert [step[name] for step in ours.steps] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_ties_have_no_gradient_before_the_first_step(sft_adapter: Path, tmp_path: Path) -> None:
    """With p = 0.5 everywhere a policy equal to its reference is not moved."""
    trainer = make_trainer(sft_adapter, [preference(number, 0.5) for number in range(4)], tmp_path / "x")
    loss, gradient = loss_and_gradient(trainer)
    assert loss == pytest.approx(math.log(2), abs=1e-12)
    assert gradient.abs().max().item() < 1e-12


@pytest.mark.parametrize("loss", ["sigmoid", "geometric", "ipo"])
def test_swapping_pairs_and_labels_changes_nothing(sft_adapter: Path, tmp_path: Path, loss: LossName) -> None:
    """(chosen, rejected, p) and (rejected, chosen, 1 - p) have the same loss and gradient."""
    rows = [preference(number, 0.8) for number in range(4)]
    swapped = [
        # A record would refuse p < 0.5, which no judge gives: the copy is not validated.
        row.model_copy(update={"chosen": row.rejected, "rejected": row.chosen, "p_chosen": 1 - row.p_chosen})
        for row in rows
    ]
    found = []
    for name, given in (("as it is", rows), ("swapped", swapped)):
        trainer = make_trainer(sft_adapter, given, tmp_path / name, objective=Objective(loss=loss))
        move(trainer.model)
        found.append(loss_and_gradient(trainer))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-12)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=1e-12)


def test_labels_reach_the_loss_row_by_row(sft_adapter: Path, tmp_path: Path) -> None:
    """Two pairs with labels 1 and 0.6 cost what each costs by itself with its own label."""
    pairs = [preference(0, 1.0), preference(4, 0.6)]
    losses = []
    for name, rows in (("both", pairs), ("first", pairs[:1]), ("second", pairs[1:])):
        trainer = make_trainer(sft_adapter, rows, tmp_path / name)
        move(trainer.model)
        losses.append(loss_and_gradient(trainer)[0])
    assert losses[0] == pytest.approx((losses[1] + losses[2]) / 2, abs=1e-12)


@pytest.mark.parametrize("nll_weight", [0.0, 0.3])
def test_weights_reach_the_loss_row_by_row(sft_adapter: Path, tmp_path: Path, nll_weight: float) -> None:
    """Two pairs of weights 1 and 0.25 have the weighted mean of the losses and gradients that each has by itself."""
    pairs = [preference(0, 1.0), preference(4, 0.6).model_copy(update={"weight": 0.25})]
    found = []
    for name, rows in (("both", pairs), ("first", pairs[:1]), ("second", pairs[1:])):
        trainer = make_trainer(sft_adapter, rows, tmp_path / name, objective=Objective(nll_weight=nll_weight))
        move(trainer.model)
        found.append(loss_and_gradient(trainer))
    both, first, second = found
    assert both[0] == pytest.approx((first[0] + 0.25 * second[0]) / 1.25, abs=1e-12)
    torch.testing.assert_close(both[1], (first[1] + 0.25 * second[1]) / 1.25, rtol=1e-5, atol=1e-6)


def test_nll_term_adds_the_chosen_response_per_token(sft_adapter: Path, tmp_path: Path) -> None:
    """At margin 0 the loss is log 2 plus the weight times the chosen response's mean NLL."""
    rows = [preference(number, 0.5) for number in range(4)]
    trainer = make_trainer(sft_adapter, rows, tmp_path / "x", objective=Objective(nll_weight=0.1))
    batch = batches(trainer)[0]
    chosen, _, n_tokens, _ = trainer.response_logprobs(trainer.model, batch)
    loss, _ = loss_and_gradient(trainer, batch)
    expected = math.log(2) - 0.1 * (chosen / n_tokens).mean().item()
    assert loss == pytest.approx(expected, abs=1e-12)
    assert n_tokens.tolist() == [
        len(trainer.train_dataset[row]["chosen_ids"]) for row in list(trainer.buckets)[: len(n_tokens)]
    ]


@pytest.mark.parametrize("loss", ["sigmoid", "geometric", "ipo"])
def test_length_normalised_margins_are_per_token(sft_adapter: Path, tmp_path: Path, loss: LossName) -> None:
    """The loss is what the formula, written out in plain arithmetic, gives for the model's own log-probabilities."""
    rows = [preference(number, 0.8) for number in range(4)]
    objective = Objective(loss=loss, beta=2.0, length_normalised=True)
    trainer = make_trainer(sft_adapter, rows, tmp_path / "x", objective=objective)
    move(trainer.model)
    batch = batches(trainer)[0]
    found, _ = loss_and_gradient(trainer, batch)
    policy = [column.tolist() for column in trainer.response_logprobs(trainer.model, batch)]
    reference = [batch[name].tolist() for name in ("ref_chosen_logps", "ref_rejected_logps")]
    wanted = []
    for chosen, rejected, n_chosen, n_rejected, ref_chosen, ref_rejected in zip(*policy, *reference, strict=True):
        h = (chosen - ref_chosen) / n_chosen - (rejected - ref_rejected) / n_rejected
        wanted.append(
            {
                "sigmoid": 0.8 * math.log1p(math.exp(-2 * h)) + 0.2 * math.log1p(math.exp(2 * h)),
                "geometric": math.log1p(math.exp(-0.6 * 2 * h)),
                "ipo": (h - 0.6 / 4) ** 2,
            }[loss]
        )
    assert found == pytest.approx(sum(wanted) / len(wanted), abs=1e-12)
    assert {n for column in policy[2:] for n in column} != {policy[2][0]}


def test_pairs_are_learnt(sft_adapter: Path, tmp_path: Path) -> None:
    """Over a few epochs the policy comes to prefer what was chosen."""
    rows = [preference(number, 0.95) for number in range(8)]
    result = dpo(rows, sft_adapter, out=tmp_path / "dpo", pace=replace(PACE, epochs=8), **SETTINGS)
    last = result.steps[-4:]
    assert sum(step["accuracy"] for step in last) / 4 > 0.9
    assert sum(step["margin"] for step in last) / 4 > 0.5
    assert result.losses[-1] < result.losses[0]
    assert {"logprob_chosen", "logprob_rejected", "nll", "margin", "accuracy", "loss"} <= result.steps[0].keys()
    json.dumps(result.steps)


def test_saved_adapter_on_the_base_alone_is_what_was_trained(
    tiny_model: Path, sft_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base plus the saved DPO adapter, by PEFT alone, gives the log-probabilities that the training ended with."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    kept: list[SoftDpoTrainer] = []
    monkeypatch.setattr(
        "charter.training.dpo.dpo_trainer", lambda *a, **k: kept.append(dpo_trainer(*a, **k)) or kept[0]
    )
    out = train(sft_adapter, tmp_path / "dpo", epochs=2).folder
    (trainer,) = kept
    assert set(trainer.model.peft_config) == {"default"}  # the copy that TRL keeps as the reference is dropped
    trainer.model.eval()
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == []
    with quiet_libraries():
        loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), str(out))
        sft_model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), str(sft_adapter))
    for batch, apart in zip(batches(trainer), batches(trainer, shares=False), strict=True):
        with torch.no_grad():
            expected = torch.stack(trainer.response_logprobs(trainer.model, batch)[:2])
        found = torch.stack(sum_logprobs(loaded, apart))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
        assert (found - torch.stack(sum_logprobs(sft_model, apart))).abs().max() > 1e-2


def sum_logprobs(model: Any, batch: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """Sum the responses' log-probabilities from a model's full logits: chosen, rejected."""
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    everywhere = torch.log_softmax(logits[:, :-1], -1).gather(-1, batch["input_ids"][:, 1:, None]).squeeze(-1)
    return (everywhere * batch["completion_mask"][:, 1:]).sum(1).chunk(2)


def test_reference_is_the_model_that_was_given(sft_adapter: Path, tmp_path: Path) -> None:
    """The reference's log-probabilities are the SFT model's, not its base's."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    trainer = make_trainer(sft_adapter, preferences(4), tmp_path / "x")
    base = json.loads((sft_adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    with quiet_libraries():
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64)
        on_base = sum_logprobs(model, batches(trainer, shares=False)[0])
        sft_model = PeftModel.from_pretrained(model, str(sft_adapter), autocast_adapter_dtype=False).double()
    batch = batches(trainer, shares=False)[0]
    expected = sum_logprobs(sft_model, batch)
    torch.testing.assert_close(batch["ref_chosen_logps"], expected[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(batch["ref_rejected_logps"], expected[1], rtol=0, atol=1e-9)
    assert (batch["ref_chosen_logps"] - on_base[0]).abs().min() > 1e-2


@pytest.mark.parametrize("stop_at", [2, 6])
def test_stopped_and_resumed_is_uninterrupted(sft_adapter: Path, tmp_path: Path, stop_at: int) -> None:
    """The reference survives the stop: losses and margins go on as if nothing had happened."""
    whole = train(sft_adapter, tmp_path / "whole", epochs=2)
    steps: list[tuple[int, int]] = []

    def on_step(step: int, n_steps: int, _logs: Mapping[str, float]) -> None:
        steps.append((step, n_steps))

    with pytest.raises(Interrupted, match=f"step {stop_at} of 8"):
        train(sft_adapter, tmp_path / "dpo", epochs=2, on_step=on_step, stop=lambda: len(steps) == 4 + stop_at - 1)
    assert steps == [(number + 1, 12) for number in range(4 + stop_at)]  # 4 batches of the reference come first
    resumed = train(sft_adapter, tmp_path / "dpo", epochs=2)
    assert resumed.notes == (f"went on from checkpoint-{stop_at}",)
    for name in ("loss", "margin", "logprob_chosen"):
        assert [s[name] for s in resumed.steps] == pytest.approx([s[name] for s in whole.steps], abs=1e-6)


def test_only_openings_bear_loss(sft_adapter: Path, tmp_path: Path) -> None:
    """Of both responses as many tokens bear loss as are asked for; another number is another training."""
    opening = train(sft_adapter, tmp_path / "dpo", opening_tokens=2)
    assert opening.n_loss_tokens == 2 * 2 * 8
    assert take_back(tmp_path / "dpo")
    other = train(sft_adapter, tmp_path / "dpo", opening_tokens=3)
    assert other.notes == ("the finished model was deleted: it is of another training (opening_tokens)",)
    assert other.n_loss_tokens == 2 * 3 * 8


def test_pairs_that_all_open_alike_are_no_training(sft_adapter: Path, tmp_path: Path) -> None:
    """Where the opening is what leaves nothing to train on, its value is named with what to do."""
    alike = [preference(number, chosen="No, thanks.", rejected="No, never.") for number in range(3)]
    rows = [*alike, preference(3, rejected="")]
    expected = (
        r"no row is left to train on \(rejected: empty 1, same_opening 3; max_length is 1024\); most pairs differ only "
        r"behind their first 1 tokens: raise dpo.opening_tokens, which is 1, or leave it out"
    )
    with pytest.raises(RecipeError, match=expected):
        dpo(rows, sft_adapter, out=tmp_path / "dpo", pace=PACE, opening_tokens=1, **SETTINGS)
    with pytest.raises(RecipeError, match="give more rows, or raise max_length"):
        dpo(rows[2:], sft_adapter, out=tmp_path / "dpo", pace=PACE, opening_tokens=1, **SETTINGS)


def test_stop_while_the_reference_is_computed(sft_adapter: Path, tmp_path: Path) -> None:
    """Stopping before the first step leaves no result, and the training can begin again."""
    with pytest.raises(Interrupted, match="reference"):
        train(sft_adapter, tmp_path / "dpo", stop=lambda: True)
    assert not (tmp_path / "dpo").exists()
    assert train(sft_adapter, tmp_path / "dpo").n_steps == 4


@pytest.mark.parametrize("damage", ["none", "torn", "altered"])
def test_what_was_computed_of_the_reference_is_kept(sft_adapter: Path, tmp_path: Path, damage: str) -> None:
    """Stopped after two of its four steps, the second sitting computes the others alone, to the same numbers."""
    told: list[tuple[int, int]] = []

    def look(step: int, n_steps: int, _logs: Mapping[str, float]) -> None:
        told.append((step, n_steps))

    with pytest.raises(Interrupted, match="reference was computed, at step 2 of 4"):
        train(sft_adapter, tmp_path / "dpo", on_step=look, stop=lambda: len(told) == 2)
    assert told == [(1, 8), (2, 8)]
    file = tmp_path / "dpo.training" / "reference.lines"
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes({"none": first + second, "torn": first + second[:-5], "altered": b"0" + first + second}[damage])
    told.clear()
    result = train(sft_adapter, tmp_path / "dpo", on_step=look)
    assert told[0][0] == {"none": 3, "torn": 2, "altered": 1}[damage]
    assert told == [(step, 8) for step in range(told[0][0], 9)]
    whole = train(sft_adapter, tmp_path / "whole")
    assert [{**step, "seconds": 0.0} for step in result.steps] == [{**step, "seconds": 0.0} for step in whole.steps]


@pytest.mark.parametrize("lora", [LORA, None])
def test_a_plain_model_can_be_trained(tiny_model: Path, tmp_path: Path, lora: LoraSettings | None) -> None:
    """Without an SFT adapter a new one is trained, or all weights; the reference is the model itself."""
    result = train(tiny_model, tmp_path / "dpo", lora=lora, learning_rate=1e-3)
    assert result.steps[0]["margin"] == 0.0
    assert any(step["margin"] != 0.0 for step in result.steps)
    assert (result.folder / ("adapter_config.json" if lora else "config.json")).is_file()


def test_bfloat16_runs_on_this_machine(sft_adapter: Path, tmp_path: Path) -> None:
    """With products in bfloat16 the first margin is still exactly 0."""
    result = train(sft_adapter, tmp_path / "dpo", dtype="bfloat16", epochs=2)
    assert result.steps[0]["margin"] == 0.0
    assert all(math.isfinite(loss) for loss in result.losses)


def test_nothing_is_left_behind(sft_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """No stray folders or files, and nothing printed."""
    monkeypatch.chdir(tmp_path)
    train(sft_adapter, tmp_path / "dpo", save_steps=2)
    assert [path.name for path in tmp_path.iterdir()] == ["dpo"]
    assert capfd.readouterr() == ("", "")
