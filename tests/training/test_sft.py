"""Supervised fine-tuning on a tiny model: what is learnt, saved, resumed and left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_rows import sft_rows

from charter.engines.devices import computes_in_bfloat16
from charter.engines.quiet import quiet_libraries
from charter.errors import Collapsed, Interrupted, ModelError, RecipeError, RunError
from charter.training.adapters import LoraSettings, load_trainee
from charter.training.checkpoints import take_back
from charter.training.data import sft_examples
from charter.training.order import length_buckets
from charter.training.pace import Pace
from charter.training.results import TrainingResult
from charter.training.sft import SftTrainer, sft, sft_trainer

pytestmark = pytest.mark.model

LORA = LoraSettings(r=4, alpha=8, dropout=0.0)
PACE = Pace(batch_size=2, learning_rate=5e-3)
SETTINGS: dict[str, Any] = {"seed": 5, "lora": LORA, "dtype": "float32", "device": "cpu"}
PACED = {field.name for field in fields(Pace)}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read an adapter's weights."""
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def train(model: Path, out: Path, n: int = 10, **changed: Any) -> TrainingResult:
    """Fine-tune the tiny model; what is changed of the pace is named as the other settings are."""
    pace = replace(PACE, **{name: changed.pop(name) for name in PACED & changed.keys()})
    return sft(sft_rows(n), model, out=out, pace=pace, **{**SETTINGS, **changed})


def test_loss_falls_and_the_result_says_what_was_done(tiny_model: Path, tmp_path: Path) -> None:
    """Four epochs over a few rows lower the loss; counts are those of the tokenised rows."""
    from transformers import AutoTokenizer

    result = train(tiny_model, tmp_path / "sft", epochs=4)
    examples = sft_examples(sft_rows(10), AutoTokenizer.from_pretrained(tiny_model), max_length=1024).kept
    assert result.folder == tmp_path / "sft"
    assert len(result.steps) == len(result.losses) == 20
    assert [step["step"] for step in result.steps] == list(range(1, 21))
    assert sum(result.losses[-5:]) < 0.8 * sum(result.losses[:5])
    assert result.n_rows == 10
    assert result.n_tokens == 4 * sum(len(one.input_ids) for one in examples)
    assert result.n_loss_tokens == 4 * sum(one.n_loss_tokens for one in examples)
    assert result.seconds > 0
    assert result.tokens_per_second == result.n_tokens / result.seconds
    json.dumps(result.steps)


def test_plain_peft_loads_what_was_saved(tiny_model: Path, tmp_path: Path) -> None:
    """PEFT alone, given the base or finding it by name, loads the adapter; the tokenizer lies beside it."""
    from peft import AutoPeftModelForCausalLM, PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = train(tiny_model, tmp_path / "sft", epochs=2).folder
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    ids = torch.tensor([[5, 6, 7, 8]])
    before = base(ids).logits
    with quiet_libraries():  # PEFT's own deprecated call
        given = PeftModel.from_pretrained(base, str(out))(ids).logits
        found = AutoPeftModelForCausalLM.from_pretrained(str(out))(ids).logits
    assert not torch.allclose(before, given, atol=1e-3)
    torch.testing.assert_close(given, found)
    assert AutoTokenizer.from_pretrained(out).chat_template == AutoTokenizer.from_pretrained(tiny_model).chat_template


def test_nothing_is_left_behind(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """No stray folders, no pickles, no cards, nothing printed."""
    monkeypatch.chdir(tmp_path)
    out = train(tiny_model, tmp_path / "models" / "sft", save_steps=2).folder
    assert [path.name for path in tmp_path.iterdir()] == ["models"]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["sft"]
    assert {path.name for path in out.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    }
    assert capfd.readouterr() == ("", "")


def test_base_is_recorded_as_it_was_named(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter names its base in the words that were given, with targets in a fixed order."""
    monkeypatch.chdir(tiny_model.parent)
    out = train(Path(tiny_model.name), tmp_path / "sft").folder
    configuration = json.loads((out / "adapter_config.json").read_text())
    assert configuration["base_model_name_or_path"] == tiny_model.name
    assert configuration["target_modules"] == sorted(configuration["target_modules"])
    assert str(tiny_model.parent) not in "".join(path.read_text() for path in out.glob("*.json"))


def test_same_seed_same_weights(tiny_model: Path, tmp_path: Path) -> None:
    """Two trainings with a seed are equal bit by bit; another seed differs."""
    first = weights(train(tiny_model, tmp_path / "a").folder)
    second = weights(train(tiny_model, tmp_path / "b").folder)
    other = weights(train(tiny_model, tmp_path / "c", seed=6).folder)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_loss_is_that_of_plain_trl(tiny_model: Path, tmp_path: Path) -> None:
    """On the same batches, with no dropout, TRL's own trainer finds the same loss and gradient."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    trainee = load_trainee(tiny_model, lora=LORA, seed=0, dtype="float32")
    examples = sft_examples(sft_rows(8), trainee.tokenizer, max_length=400).kept
    ours = sft_trainer(examples, trainee, tmp_path / "ours", seed=0, pace=Pace(batch_size=4))
    batches = [ours._prepare_inputs(batch) for batch in ours.get_train_dataloader()]
    settings = SFTConfig(
        output_dir=str(tmp_path / "trl"),
        report_to="none",
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        gradient_checkpointing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    columns = {"input_ids": [[1, 2]], "labels": [[1, 2]]}
    theirs = SFTTrainer(
        trainee.model, settings, train_dataset=Dataset.from_dict(columns), processing_class=trainee.tokenizer
    )
    for batch in batches:
        found = []
        for trainer in (ours, theirs):
            trainee.model.zero_grad()
            loss = trainer.compute_loss(trainee.model, dict(batch))
            loss.backward()
            gradient = [p.grad.flatten().clone() for p in trainee.model.parameters() if p.grad is not None]
            found.append((loss.detach(), torch.cat(gradient)))
        torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-5)
        torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)


def test_accumulated_batches_weigh_tokens_equally(tiny_model: Path, tmp_path: Path) -> None:
    """Two batches of two, accumulated, are one batch of four: the loss is the mean over all their tokens."""
    small = train(tiny_model, tmp_path / "small", n=4, batch_size=2, accumulation=2)
    large = train(tiny_model, tmp_path / "large", n=4, batch_size=4)
    assert small.losses == pytest.approx(large.losses, abs=1e-6)


@pytest.mark.parametrize("stop_at", [3, 7])  # in the middle of the first epoch, and of the second
def test_stopped_and_resumed_is_uninterrupted(tiny_model: Path, tmp_path: Path, stop_at: int) -> None:
    """Stopping writes a checkpoint; going on ends with the same losses and weights, dropout included."""
    settings: dict[str, Any] = {"epochs": 2, "lora": LoraSettings(r=4, alpha=8, dropout=0.1)}
    whole = train(tiny_model, tmp_path / "whole", **settings)
    steps: list[int] = []

    def on_step(step: int, n_steps: int, logs: Mapping[str, float]) -> None:
        assert n_steps == 10
        assert logs["loss"] > 0
        steps.append(step)

    with pytest.raises(Interrupted, match=f"step {stop_at} of 10"):
        train(tiny_model, tmp_path / "sft", **settings, on_step=on_step, stop=lambda: len(steps) == stop_at - 1)
    assert not (tmp_path / "sft").exists()
    resumed = train(tiny_model, tmp_path / "sft", **settings, on_step=on_step)
    assert steps == list(range(1, 11))
    assert resumed.notes == (f"went on from checkpoint-{stop_at}",)
    assert resumed.losses == pytest.approx(whole.losses, abs=1e-6)
    expected, found = weights(whole.folder), weights(resumed.folder)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=0, atol=1e-6)


def test_every_epoch_has_its_own_order(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pass asks for its own number's order, also the one that is resumed in its middle."""
    asked: list[int] = []

    def recorded(lengths: Any, batch_size: int, seed: int, epoch: int) -> list[int]:
        asked.append(epoch)
        return length_buckets(lengths, batch_size, seed, epoch)

    monkeypatch.setattr("charter.training.order.length_buckets", recorded)
    steps: list[int] = []
    with pytest.raises(Interrupted):
        train(
            tiny_model,
            tmp_path / "sft",
            epochs=3,
            on_step=lambda step, *_: steps.append(step),
            stop=lambda: len(steps) == 7,
        )
    assert asked == [0, 1]
    train(tiny_model, tmp_path / "sft", epochs=3)
    assert asked == [0, 1, 1, 2]


def test_torn_checkpoint_is_passed_over(tiny_model: Path, tmp_path: Path) -> None:
    """A crash while the newest checkpoint was written costs the steps since the one before."""

    def crash(step: int, _n_steps: int, _logs: Mapping[str, float]) -> None:
        if step == 4:
            raise KeyboardInterrupt

    whole = train(tiny_model, tmp_path / "whole", epochs=2)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "sft", epochs=2, save_steps=2, on_step=crash)
    work = tmp_path / "sft.training"
    (checkpoint,) = work.glob("checkpoint-*")
    assert checkpoint.name == "checkpoint-2"
    torn = work / "checkpoint-3"
    torn.mkdir()
    (torn / "adapter_model.safetensors").write_bytes((checkpoint / "adapter_model.safetensors").read_bytes()[:100])
    resumed = train(tiny_model, tmp_path / "sft", epochs=2, save_steps=2)
    assert resumed.notes == ("checkpoint-3 was passed over: it was not finished", "went on from checkpoint-2")
    assert resumed.losses == pytest.approx(whole.losses, abs=1e-6)


@pytest.mark.slow
def test_killed_and_resumed_is_uninterrupted(tiny_model: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle: going on ends where an uninterrupted training does."""
    script = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[3])
        from test_sft import train
        def on_step(step, n_steps, logs):
            if step == 7:
                os.kill(os.getpid(), signal.SIGKILL)
        train(Path(sys.argv[1]), Path(sys.argv[2]), epochs=2, save_steps=3, on_step=on_step)
    """)
    arguments = [str(tiny_model), str(tmp_path / "sft"), str(Path(__file__).parent)]
    killed = subprocess.run([sys.executable, "-c", script, *arguments], check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    resumed = train(tiny_model, tmp_path / "sft", epochs=2)
    assert resumed.notes == ("went on from checkpoint-6",)
    assert resumed.losses == pytest.approx(train(tiny_model, tmp_path / "whole", epochs=2).losses, abs=1e-6)


def test_other_rows_begin_afresh(tiny_model: Path, tmp_path: Path) -> None:
    """Checkpoints of other rows are not gone on from, and the result says so."""
    with pytest.raises(Interrupted):
        train(tiny_model, tmp_path / "sft", stop=lambda: True)
    result = train(tiny_model, tmp_path / "sft", n=8)
    assert result.notes == ("checkpoint-1 was deleted: it is of another training (rows)",)
    assert result.n_rows == 8


def test_an_adapter_is_trained_on(tiny_model: Path, tmp_path: Path) -> None:
    """Given an adapter's folder, that adapter goes on from where it was, over the same base."""
    first = train(tiny_model, tmp_path / "first", epochs=4)
    second = train(first.folder, tmp_path / "second")
    assert second.losses[0] < first.losses[0]
    configuration = json.loads((second.folder / "adapter_config.json").read_text())
    assert configuration["base_model_name_or_path"] == str(tiny_model)


def test_an_adapter_keeps_its_shape(tiny_model: Path, tmp_path: Path) -> None:
    """Asking for another rank when an adapter is trained on is noted, not done."""
    first = train(tiny_model, tmp_path / "first")
    second = train(first.folder, tmp_path / "second", lora=LoraSettings(r=16, alpha=32))
    assert second.notes == (
        "the adapter that is trained on keeps its r 4 and alpha 8; r 16 and alpha 32 were asked for",
    )
    assert first.notes == ()


def test_whole_model_can_be_trained(tiny_model: Path, tmp_path: Path) -> None:
    """Without LoRA all weights are trained, and the result is a model of transformers."""
    from transformers import AutoModelForCausalLM

    result = train(tiny_model, tmp_path / "sft", lora=None, epochs=2, learning_rate=1e-3)
    assert result.losses[-1] < result.losses[0]
    trained = AutoModelForCausalLM.from_pretrained(result.folder)
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert not torch.equal(trained.get_output_embeddings().weight, base.get_output_embeddings().weight)


def test_gradient_checkpointing_changes_no_loss(tiny_model: Path, tmp_path: Path) -> None:
    """It trades time for memory and nothing else."""
    plain = train(tiny_model, tmp_path / "plain")
    checkpointed = train(tiny_model, tmp_path / "checkpointed", gradient_checkpointing=True)
    assert checkpointed.losses == pytest.approx(plain.losses, abs=1e-6)


def test_bfloat16_runs_on_this_machine(tiny_model: Path, tmp_path: Path) -> None:
    """Products in bfloat16, adapter in float32: losses near those in float32, and a float32 adapter saved."""
    half = train(tiny_model, tmp_path / "half", dtype="bfloat16")
    full = train(tiny_model, tmp_path / "full")
    assert half.losses == pytest.approx(full.losses, rel=0.05)
    assert half.losses != full.losses
    assert {values.dtype for values in weights(half.folder).values()} == {torch.float32}
    able = computes_in_bfloat16(torch.device("cpu"))
    assert load_trainee(tiny_model, lora=LORA, seed=0, device="cpu").autocast == ("bfloat16" if able else None)


def test_nothing_to_train_on_is_said(tiny_model: Path, tmp_path: Path) -> None:
    """With every row too long, the reasons are counted."""
    with pytest.raises(RecipeError, match="too_long 10; max_length is 16"):
        train(tiny_model, tmp_path / "sft", max_length=16)


def test_only_openings_bear_loss(tiny_model: Path, tmp_path: Path) -> None:
    """The loss falls on as many tokens of each response as are asked for; another number is another training."""
    whole = train(tiny_model, tmp_path / "whole")
    opening = train(tiny_model, tmp_path / "sft", opening_tokens=2)
    assert opening.n_loss_tokens == 2 * 10
    assert whole.n_loss_tokens - opening.n_loss_tokens == whole.n_tokens - opening.n_tokens > 0
    assert take_back(tmp_path / "sft")
    other = train(tiny_model, tmp_path / "sft", opening_tokens=3)
    assert other.notes == ("the finished model was deleted: it is of another training (opening_tokens)",)
    assert other.n_loss_tokens == 3 * 10


def test_rejected_rows_are_in_the_result(tiny_model: Path, tmp_path: Path) -> None:
    """Rows that do not fit are named; the others are trained on."""
    result = train(tiny_model, tmp_path / "sft", max_length=70)
    assert 0 < result.n_rows < 10
    assert result.n_rows + len(result.rejected) == 10
    assert {one.reason for one in result.rejected} == {"too_long"}


def test_wrong_targets_are_said(tiny_model: Path, tmp_path: Path) -> None:
    """Layers that the model does not have are named in the error."""
    with pytest.raises(ModelError, match="no_such_layer"):
        train(tiny_model, tmp_path / "sft", lora=LoraSettings(targets=("no_such_layer",)))


def test_existing_result_is_kept(tiny_model: Path, tmp_path: Path) -> None:
    """A training never writes over another one's result."""
    train(tiny_model, tmp_path / "sft")
    with pytest.raises(RunError, match="exists"):
        train(tiny_model, tmp_path / "sft")


def test_a_loss_that_is_no_number_ends_the_training(tiny_model: Path, tmp_path: Path) -> None:
    """No later step mends it: it is said at which step and what to change, and no such weights are written."""
    pace = Pace(batch_size=2, learning_rate=1e30, warmup=0.0, save_steps=1)
    settings: dict[str, Any] = {"seed": 5, "lora": LoraSettings(r=4, alpha=8), "dtype": "float32", "device": "cpu"}
    with pytest.raises(
        Collapsed, match=r"sft: the training diverged at step 2 of 4: its loss is nan.*sft\.learning_rate"
    ):
        sft(sft_rows(8), tiny_model, out=tmp_path / "sft", pace=pace, guard=None, **settings)
    assert not (tmp_path / "sft").exists()
    assert not (tmp_path / "sft.training" / "checkpoint-2").exists()


def test_a_gradient_that_overflows_ends_the_training(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its step leaves weights that are no numbers, and behind the last one no loss would tell of them."""
    compute = SftTrainer.compute_loss

    def steep(self: Any, model: Any, *arguments: Any, **more: Any) -> torch.Tensor:
        weight = next(one for one in model.parameters() if one.requires_grad).sum()
        nothing = (weight - weight.detach()).sqrt()  # 0, and infinitely steep there
        steep_loss: torch.Tensor = compute(self, model, *arguments, **more) + nothing
        return steep_loss

    monkeypatch.setattr(SftTrainer, "compute_loss", steep)
    with pytest.raises(Collapsed, match=r"diverged at step 1 of 1: its loss is \d.*, the norm of its gradient inf"):
        train(tiny_model, tmp_path / "sft", n=2)
    assert not (tmp_path / "sft").exists()
