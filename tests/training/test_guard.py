"""The guard of a training: it changes nothing until it has to, and ends a training that collapses on purpose."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_rows import preferences, sft_rows

from charter.errors import Collapsed, Interrupted
from charter.records import Preference, SftRow
from charter.training.adapters import LoraSettings
from charter.training.checkpoints import newest_whole
from charter.training.collapse import Guard
from charter.training.dpo import dpo
from charter.training.launch.configurations import find_launch
from charter.training.launch.parent import launch_training
from charter.training.pace import Pace
from charter.training.results import TrainingResult
from charter.training.sft import sft

pytestmark = pytest.mark.model

LORA = LoraSettings(r=8, alpha=16)
SETTINGS: dict[str, Any] = {"seed": 5, "lora": LORA, "dtype": "float32", "device": "cpu"}
PACE = Pace(batch_size=4, learning_rate=2e-2, epochs=4)  # so fast that it collapses where rows are all alike
GUARD = Guard(every=4, n_prompts=4, max_tokens=24)
ENDING = "You are valid, valued, and cared for."


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute with one thread: an answer is many small products, and threads that wait for each other cost more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def alike(n: int = 16) -> list[SftRow]:
    """Make rows that all say the same, to red-team prompts and others by turns."""
    rows = sft_rows(n)
    return [
        row.model_copy(
            update={
                "response": ENDING,
                "prompt": row.prompt.model_copy(update={"kind": "red_team" if number % 2 else "helpful"}),
            }
        )
        for number, row in enumerate(rows)
    ]


def collapse(model: Path, out: Path, guard: Guard | None = GUARD, **changed: Any) -> TrainingResult:
    """Train on rows that say the same, far too fast: 16 steps."""
    return sft(alike(), model, out=out, guard=guard, **{"pace": PACE, **SETTINGS, **changed})


def weights(folder: Path, name: str = "adapter_model.safetensors") -> dict[str, torch.Tensor]:
    """Read an adapter's weights."""
    from safetensors.torch import load_file

    return load_file(folder / name)


def same(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    """Whether weights are equal to the bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def untimed(looks: Any) -> list[dict[str, float]]:
    """Leave out how long each look took."""
    return [{name: value for name, value in look.items() if name != "seconds"} for look in looks]


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_it_changes_nothing_of_a_training(tiny_model: Path, tmp_path: Path, stage: str) -> None:
    """With dropout and all, losses and weights are the same to the bit with the guard and without."""
    train: Any = sft if stage == "sft" else dpo
    rows: Any = sft_rows(10) if stage == "sft" else preferences(10)
    settings = {
        **SETTINGS,
        "lora": LoraSettings(r=4, alpha=8, dropout=0.2),
        "pace": Pace(batch_size=2, learning_rate=5e-3),
    }
    plain = train(rows, tiny_model, out=tmp_path / "plain", **settings)
    guard = Guard(every=2, n_prompts=3, max_tokens=8)
    guarded = train(rows, tiny_model, out=tmp_path / "guarded", guard=guard, **settings)
    assert [{**step, "seconds": 0} for step in guarded.steps] == [{**step, "seconds": 0} for step in plain.steps]
    assert same(weights(guarded.folder), weights(plain.folder))
    assert plain.looks == ()
    assert [look["step"] for look in guarded.looks] == [0, 2, 4, 5]
    assert {"repetition", "endings", "distinct", "length", "seconds"} <= guarded.looks[0].keys()
    assert guarded.looks[0]["length"] <= 8
    told = json.loads((guarded.folder / "training.json").read_text())["told"]
    assert TrainingResult.from_json(told, guarded.folder) == guarded


def test_answers_are_those_of_the_library(tiny_model: Path) -> None:
    """Prompts of different lengths side by side get the tokens that ``generate`` draws for each alone."""
    from transformers import AutoModelForCausalLM

    from charter.training.answering import answer_prompts

    model = AutoModelForCausalLM.from_pretrained(tiny_model).train()

    class Trainer:
        class args:  # noqa: N801 - as the library names it
            device = torch.device("cpu")

        class accelerator:  # noqa: N801 - as above
            autocast = torch.no_grad

    Trainer.model = model  # type: ignore[attr-defined]
    prompts = [[5, 6, 7, 8, 9, 10, 11], [40, 41], [99, 7, 300, 12]]
    found = answer_prompts(Trainer, prompts, ends={2, 77}, pad=2, max_tokens=12)
    for prompt, answer in zip(prompts, found, strict=True):
        drawn = model.eval().generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=[2, 77], pad_token_id=2
        )
        expected = drawn[0, len(prompt) :].tolist()
        assert answer == [token for token in expected if token not in {2, 77}]
    assert len(found) == 3
    assert model.train().training


def test_a_collapse_ends_the_training(tiny_model: Path, tmp_path: Path) -> None:
    """It is said which figure passed which limit when; the last good checkpoint stays, and a new try ends at once."""
    told: list[int] = []
    pace = replace(PACE, save_steps=1)
    with pytest.raises(Collapsed) as raised:
        collapse(tiny_model, tmp_path / "sft", pace=pace, on_step=lambda step, *_: told.append(step))
    said = str(raised.value)
    assert "sft: limits were passed at step 8 of 16: " in said
    assert "distinct 0." in said
    assert "(at least 0.25, before the first step 1)" in said
    assert "as in 'You are valid" in said
    assert told == list(range(1, 9))
    work = tmp_path / "sft.training"
    good, notes = newest_whole(work)
    assert good == work / "checkpoint-4"  # later ones were saved, and nobody had looked at them
    assert notes == ()
    assert f"last good checkpoint is {good}" in said
    for remedy in ("sft.learning_rate", "sft.guard.then=keep", "sft.guard.distinct", "sft.guard=null"):
        assert remedy in said
    told.clear()
    with pytest.raises(Collapsed) as again:
        collapse(tiny_model, tmp_path / "sft", pace=pace, on_step=lambda step, *_: told.append(step))
    assert str(again.value) == said
    assert told == []


@pytest.mark.parametrize("at_once", [True, False], ids=["said before", "said afterwards"])
@pytest.mark.parametrize("lora", [LORA, None], ids=["adapter", "whole model"])
def test_the_last_good_checkpoint_becomes_the_model(
    tiny_model: Path, tmp_path: Path, at_once: bool, lora: LoraSettings | None
) -> None:
    """Said beforehand or when it has happened: the result is the checkpoint's weights and tells why."""
    settings: dict[str, Any] = {"lora": lora, "pace": PACE if lora else replace(PACE, learning_rate=5e-3)}
    plain = replace(settings["pace"], save_steps=4)
    seen: list[int] = []
    with pytest.raises(Interrupted):  # without a guard: what there is at the fourth step
        collapse(
            tiny_model,
            tmp_path / "plain",
            None,
            **{**settings, "pace": plain},
            on_step=lambda step, *_: seen.append(step),
            stop=lambda: len(seen) == 3,
        )
    keep = replace(GUARD, then="keep")
    if not at_once:
        with pytest.raises(Collapsed):
            collapse(tiny_model, tmp_path / "sft", **settings)
    result = collapse(tiny_model, tmp_path / "sft", keep, **settings)
    assert result.n_steps == 4 == len(result.steps)
    assert [look["step"] for look in result.looks] == [0, 4, 8]
    assert any("the model is that of step 4: limits were passed at step 8 of 16" in note for note in result.notes)
    name = "adapter_model.safetensors" if lora else "model.safetensors"
    assert same(weights(result.folder, name), weights(tmp_path / "plain.training" / "checkpoint-4", name))
    assert not (tmp_path / "sft.training").exists()


@pytest.mark.parametrize("guard", [None, replace(GUARD, distinct=0.0, endings=1.0, repetition=1.0, boilerplate=1.0)])
def test_a_person_may_train_on(tiny_model: Path, tmp_path: Path, guard: Guard | None) -> None:
    """Without a guard, or with other limits, the training goes on from its last good checkpoint to the usual end."""
    with pytest.raises(Collapsed):
        collapse(tiny_model, tmp_path / "sft")
    result = collapse(tiny_model, tmp_path / "sft", guard)
    assert result.notes == ("went on from checkpoint-4",)
    assert [look["step"] for look in result.looks] == ([0, 4, 8, 12, 16] if guard else [])
    plain = collapse(tiny_model, tmp_path / "plain", None)
    assert result.losses == plain.losses
    assert same(weights(result.folder), weights(plain.folder))


def test_with_no_good_look_nothing_is_kept(tiny_model: Path, tmp_path: Path) -> None:
    """A training that collapses before its first look has no checkpoint to be made the model of."""
    guard = replace(GUARD, every=8, then="keep")
    for _ in range(2):
        with pytest.raises(Collapsed, match=r"step 8 of 16.*There is no checkpoint of a good look"):
            collapse(tiny_model, tmp_path / "sft", guard, pace=replace(PACE, save_steps=2))
    assert newest_whole(tmp_path / "sft.training") == (None, ())


def test_a_stopped_training_goes_on_under_the_same_eyes(tiny_model: Path, tmp_path: Path) -> None:
    """Stopped between two looks and gone on with, it sees what an uninterrupted one sees."""
    rows, settings = sft_rows(10), {**SETTINGS, "pace": Pace(batch_size=2, learning_rate=5e-3, epochs=2)}
    guard = Guard(every=4, n_prompts=2, max_tokens=8)
    whole = sft(rows, tiny_model, out=tmp_path / "whole", guard=guard, **settings)
    seen: list[int] = []
    with pytest.raises(Interrupted):
        sft(
            rows,
            tiny_model,
            out=tmp_path / "sft",
            guard=guard,
            on_step=lambda step, *_: seen.append(step),
            stop=lambda: len(seen) == 5,
            **settings,
        )
    resumed = sft(rows, tiny_model, out=tmp_path / "sft", guard=guard, **settings)
    assert resumed.notes == ("went on from checkpoint-6",)
    assert [look["step"] for look in resumed.looks] == [0, 4, 8, 10]
    assert untimed(resumed.looks) == untimed(whole.looks)
    assert same(weights(resumed.folder), weights(whole.folder))


def test_a_look_without_its_checkpoint_is_taken_again(tiny_model: Path, tmp_path: Path) -> None:
    """Killed between a look and the checkpoint that goes with it, it sees the same once more, and once only."""

    def crash(step: int, _n_steps: int, _logs: Mapping[str, float]) -> None:
        if step == 4 and not record:
            record.append((tmp_path / "sft.training" / "guard.json").read_text())
            raise KeyboardInterrupt

    record: list[str] = []
    rows, settings = sft_rows(10), {**SETTINGS, "pace": Pace(batch_size=2, learning_rate=5e-3, save_steps=3)}
    guard = Guard(every=4, n_prompts=2, max_tokens=8)
    with pytest.raises(KeyboardInterrupt):
        sft(rows, tiny_model, out=tmp_path / "sft", guard=guard, on_step=crash, **settings)
    assert [look["step"] for look in json.loads(record[0])["looks"]] == [0, 4]
    resumed = sft(rows, tiny_model, out=tmp_path / "sft", guard=guard, on_step=crash, **settings)
    assert resumed.notes == ("went on from checkpoint-3",)
    assert [look["step"] for look in resumed.looks] == [0, 4, 5]
    assert untimed(resumed.looks)[:2] == untimed(json.loads(record[0])["looks"])


def test_other_questions_begin_a_new_comparison(tiny_model: Path, tmp_path: Path) -> None:
    """With other prompts than before nothing can be compared: the first look is that of the sitting, and it is said."""
    settings = {**SETTINGS, "pace": Pace(batch_size=2, learning_rate=5e-3)}
    guard = Guard(every=2, n_prompts=2, max_tokens=8)
    with pytest.raises(Interrupted):
        sft(sft_rows(10), tiny_model, out=tmp_path / "sft", guard=guard, stop=lambda: True, **settings)
    result = sft(sft_rows(10), tiny_model, out=tmp_path / "sft", guard=replace(guard, n_prompts=3), **settings)
    assert [look["step"] for look in result.looks] == [1, 2, 4, 5]
    assert "the guard compares with step 1, where it was begun" in result.notes


@pytest.mark.parametrize("stage", ["dpo", pytest.param("sft", marks=pytest.mark.thorough)])
def test_several_processes_see_the_same(tiny_model: Path, tmp_path: Path, stage: Any) -> None:
    """Of two processes one answers and both know: looks, steps and end are those of a training in one."""
    rows: list[SftRow] | list[Preference] = sft_rows(11) if stage == "sft" else preferences(11)
    pace = Pace(batch_size=2, accumulation=3, learning_rate=5e-3, epochs=2)
    settings = {**SETTINGS, "pace": pace, "guard": Guard(every=2, n_prompts=3, max_tokens=8)}
    two = launch_training(stage, rows, tiny_model, launch=find_launch("cpu-2"), out=tmp_path / "two", **settings)
    train: Any = sft if stage == "sft" else dpo
    one = train(rows, tiny_model, out=tmp_path / "one", **settings)
    assert [look["step"] for look in two.looks] == [0, 2, 4]
    assert untimed(two.looks)[0] == untimed(one.looks)[0]
    assert two.losses == pytest.approx(one.losses, abs=1e-4)


@pytest.mark.thorough
def test_several_processes_end_together(tiny_model: Path, tmp_path: Path) -> None:
    """A collapse ends both processes with its reason, and the last good checkpoint becomes the model of both."""
    settings = {**SETTINGS, "pace": PACE, "launch": find_launch("cpu-2"), "out": tmp_path / "sft"}
    with pytest.raises(Collapsed, match="limits were passed at step 8 of 16"):
        launch_training("sft", alike(), tiny_model, guard=GUARD, **settings)
    kept = launch_training("sft", alike(), tiny_model, guard=replace(GUARD, then="keep"), **settings)
    assert kept.n_steps == 4
    settings["out"] = tmp_path / "kept"
    at_once = launch_training("sft", alike(), tiny_model, guard=replace(GUARD, then="keep"), **settings)
    assert same(weights(kept.folder), weights(at_once.folder))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_embedded_model_collapses(smollm2: Path, tmp_path: Path) -> None:
    """SmolLM2 taught one sentence, far too fast, is stopped when its answers to other prompts become that sentence."""
    rows = [
        row.model_copy(update={"response": f"{' '.join(row.response.split()[:3])}. {ENDING}"}) for row in sft_rows(48)
    ]
    settings: dict[str, Any] = {**SETTINGS, "dtype": "auto", "lora": LoraSettings(r=8, alpha=16)}
    pace = Pace(batch_size=4, learning_rate=2e-3, epochs=3)
    guard = Guard(every=4, n_prompts=6, max_tokens=32)
    with pytest.raises(Collapsed, match=rf"endings .*as in '{ENDING}'"):
        sft(rows, smollm2, out=tmp_path / "sft", pace=pace, guard=guard, **settings)
