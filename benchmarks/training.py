"""SFT and DPO against TRL's own trainers with their default settings: the same rows, adapter, batch and learning rate.

    python -m benchmarks.training [--only sft|dpo] [--rows 64] [--rounds 5]

One epoch over the same written rows (questions of 5 to 40 words, answers of 8 to 220), LoRA of rank 16 on all linear
layers, batches of 8 sequences, learning rate 2e-4. What is timed is the training itself; in DPO the reference is inside
on both sides. TRL keeps every default but its three epochs.

Speed is worth nothing at another loss: ``loss`` is the mean negative log-likelihood per answer token over all the rows
after training (DPO: of the chosen responses), computed the same way for both. ``ratio`` is that of SFT, and of DPO with
``--only dpo``; ``ratio_dpo`` that of DPO.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.limits import Machine, ModelSize, measure_machine, training_limit
from benchmarks.machine_models import release, size_in
from benchmarks.measuring import Clock, Sample, finish, flags, interleave, median, result, speed_up
from benchmarks.training_rows import MAX_LENGTH, chosen_row, loss_on, make_rows
from charter.engines.devices import choose_device, computes_in_bfloat16
from charter.engines.quiet import quiet_libraries
from charter.engines.weights import resolve_model
from charter.records import Preference, SftRow
from charter.training.adapters import LoraSettings, load_trainee, save_trained
from charter.training.data import preference_examples, sft_examples
from charter.training.pace import Pace, Watch
from charter.training.preference_trainer import Objective, dpo_trainer
from charter.training.sft import sft_trainer

BATCH = 8  # sequences; 4 pairs
LEARNING_RATE = 2e-4
_LORA = LoraSettings()


@dataclass
class Bench:
    """What both sides train: the rows, where from, and what came of it; the loss is taken in the last of ``rounds``."""

    model: str
    machine: Machine
    size: ModelSize
    rows: Sequence[SftRow]
    pairs: Sequence[Preference]
    work: Path
    rounds: int
    lora: LoraSettings = _LORA
    losses: dict[str, float] = field(default_factory=dict)

    def end(self, name: str, number: int, clock: Clock, n_tokens: int, trainer: Any) -> Sample:
        """Close a turn: hold it against the limit, and after the last take the loss."""
        dpo = name.endswith("DPO")
        least = n_tokens / training_limit(self.machine, self.size, with_reference=dpo)
        notes = {}
        if number == self.rounds - 1:
            rows = [chosen_row(pair) for pair in self.pairs] if dpo else self.rows
            notes["loss"] = self.losses[name] = loss_on(rows, trainer.model, trainer.processing_class)
        return Sample(clock.seconds, len(self.pairs if dpo else self.rows), n_tokens, least, notes)

    def start(self) -> Path:
        """Write the adapter that both DPO trainings begin from."""
        folder = self.work / "start"
        if not folder.exists():
            trainee = load_trainee(self.model, lora=replace(self.lora, quantise=None), seed=0)
            save_trained(trainee.model, trainee.tokenizer, folder, trainee.base)
        return folder


def our_sft(bench: Bench) -> Callable[[int], Sample]:
    """Measure our SFT."""

    def turn(number: int) -> Sample:
        trainee = load_trainee(bench.model, lora=bench.lora, seed=0)
        examples = sft_examples(bench.rows, trainee.tokenizer, max_length=MAX_LENGTH).kept
        trainer = _silent(sft_trainer(examples, trainee, bench.work / "ours", seed=0, pace=_pace(BATCH)))
        with quiet_libraries(), Clock() as clock:
            trainer.train()
        _require_all(len(examples), len(bench.rows))
        return _ended(bench.end("our SFT", number, clock, sum(one.n_tokens for one in examples), trainer))

    return turn


def trl_sft(bench: Bench) -> Callable[[int], Sample]:
    """Measure TRL's SFTTrainer with its defaults, but for products in bfloat16 where they are emulated."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    columns = [{"prompt": _said(row.prompt.text), "completion": _answered(row.response)} for row in bench.rows]

    def turn(number: int) -> Sample:
        with quiet_libraries():
            arguments = SFTConfig(output_dir=str(bench.work / "trl"), **_arguments(BATCH))
            trainer = _silent(
                SFTTrainer(
                    bench.model, args=arguments, train_dataset=Dataset.from_list(columns), peft_config=_lora_config()
                )
            )
            with Clock() as clock:
                trainer.train()
        n_tokens = sum(len(ids) for ids in trainer.train_dataset["input_ids"])
        return _ended(bench.end("TRL SFT", number, clock, n_tokens, trainer))

    return turn


def our_dpo(bench: Bench) -> Callable[[int], Sample]:
    """Measure our DPO, with the computation of its reference."""

    def turn(number: int) -> Sample:
        trainee = load_trainee(bench.start(), lora=bench.lora, seed=0)  # that adapter, on a base as this one has it
        examples = preference_examples(bench.pairs, trainee.tokenizer, max_length=MAX_LENGTH).kept
        pace = _pace(BATCH // 2)
        trainer = _silent(dpo_trainer(examples, trainee, bench.work / "ours", seed=0, pace=pace, objective=Objective()))
        with quiet_libraries(), Clock() as clock:
            trainer.take_reference(trainer.reference_logprobs(Watch.of(None, None), 0))
            trainer.train()
        _require_all(len(examples), len(bench.pairs))
        return _ended(bench.end("our DPO", number, clock, sum(one.n_tokens for one in examples), trainer))

    return turn


def trl_dpo(bench: Bench) -> Callable[[int], Sample]:
    """Measure TRL's DPOTrainer with its defaults, from the same adapter."""
    from datasets import Dataset
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    columns = [
        {"prompt": _said(pair.prompt.text), "chosen": _answered(pair.chosen), "rejected": _answered(pair.rejected)}
        for pair in bench.pairs
    ]

    def turn(number: int) -> Sample:
        with quiet_libraries():
            # As TRL itself does with a model that is given by its name.
            base = AutoModelForCausalLM.from_pretrained(bench.model, dtype=torch.float32)
            trainer = _silent(
                DPOTrainer(
                    PeftModel.from_pretrained(base, str(bench.start()), is_trainable=True),
                    args=DPOConfig(output_dir=str(bench.work / "trl"), **_arguments(BATCH // 2)),
                    train_dataset=Dataset.from_list(columns),
                    processing_class=AutoTokenizer.from_pretrained(bench.model),
                )
            )
            with Clock() as clock:
                trainer.train()
        read = trainer.train_dataset
        columns_read = zip(read["prompt_ids"], read["chosen_ids"], read["rejected_ids"], strict=True)
        n_tokens = sum(2 * len(prompt) + len(chosen) + len(rejected) for prompt, chosen, rejected in columns_read)
        return _ended(bench.end("TRL DPO", number, clock, n_tokens, trainer))

    return turn


def main() -> None:
    parser = flags(__doc__)
    parser.add_argument("--only", choices=("sft", "dpo"), help="one of the two")
    parser.add_argument("--rows", type=int, default=64, help="rows of SFT; half as many pairs of DPO")
    given = parser.parse_args()
    rows, pairs = make_rows(given.rows)
    machine = measure_machine()
    print(f"{given.model}, {len(rows)} rows, {len(pairs)} pairs, {torch.get_num_threads()} threads; {machine}")
    measured = ("sft", "dpo") if given.only is None else (given.only,)
    with tempfile.TemporaryDirectory() as folder:
        model = resolve_model(given.model)
        size = size_in(model, torch.float32)
        bench = Bench(str(model.path), machine, size, rows, pairs, Path(folder), given.rounds)
        sides = {"sft": {"our SFT": our_sft, "TRL SFT": trl_sft}, "dpo": {"our DPO": our_dpo, "TRL DPO": trl_dpo}}
        samples: dict[str, tuple[Sample, ...]] = {}
        for what in measured:
            samples |= interleave({name: make(bench) for name, make in sides[what].items()}, given.rounds)
    _report(bench, measured, samples)


def _report(bench: Bench, measured: Sequence[str], samples: dict[str, tuple[Sample, ...]]) -> None:
    ratios = {what: speed_up(*(samples[f"{side} {what.upper()}"] for side in ("our", "TRL"))) for what in measured}
    more: dict[str, Any] = {"measured": list(measured), "loss": bench.losses}
    if "dpo" in ratios:
        more |= {"ratio_dpo": ratios["dpo"].ratio, "min_dpo": ratios["dpo"].min, "max_dpo": ratios["dpo"].max}
        more["limit_share_dpo"] = median(samples["our DPO"], "limit_share")
    # Each side has a loss only in its last round; the table is to show it all the same.
    shown = {name: [replace(one, notes=found[-1].notes) for one in found] for name, found in samples.items()}
    more["gemm_gflops"] = bench.machine.gemm / 1e9
    finish(result("training", ratios[measured[0]], samples, **more), shown)


def _pace(batch: int) -> Pace:
    # TRL's own schedule, so that the steps are alike: no warm-up, a straight line down.
    return Pace(batch_size=batch, learning_rate=LEARNING_RATE, warmup=0.0, schedule="linear")


def _arguments(batch: int) -> dict[str, Any]:
    return {
        "per_device_train_batch_size": batch,
        "learning_rate": LEARNING_RATE,
        "num_train_epochs": 1,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "seed": 0,
        "bf16": computes_in_bfloat16(choose_device("auto")),
        "use_cpu": not torch.cuda.is_available(),
    }


def _lora_config() -> Any:
    from peft import LoraConfig

    return LoraConfig(r=_LORA.r, lora_alpha=_LORA.alpha, target_modules=_LORA.targets, task_type="CAUSAL_LM")


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _answered(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _silent(trainer: Any) -> Any:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


def _ended(sample: Sample) -> Sample:
    release()
    return sample


def _require_all(n_kept: int, n_rows: int) -> None:
    if n_kept != n_rows:
        raise RuntimeError(f"{n_kept} of {n_rows} rows were trained on; both sides must train on the same")


if __name__ == "__main__":
    main()
