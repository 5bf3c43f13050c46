"""A file ``.env`` where somebody stands: what the command takes from it, and what it never shows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cli.command import Command

TOKEN = "hf_plantedPlanted0123456789"  # noqa: S105 - made up
NAMES = ("HF_TOKEN", "SFT_OUTPUT_DIR", "DPO_OUTPUT_DIR")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the variables is set before a test, or after it."""
    for name in NAMES:
        monkeypatch.setenv(name, "")  # remembers what was there
        monkeypatch.delenv(name)


def test_a_file_in_the_way_of_a_model_is_said_before_a_run_begins(charter: Command, place: Path) -> None:
    """The file names the folder; nothing is done, and what is in the file is not shown."""
    (place / ".env").write_text(f"HF_TOKEN={TOKEN}\nSFT_OUTPUT_DIR=mine\n")
    (place / "mine").mkdir()
    (place / "mine/notes.txt").touch()
    refused = charter("run", "demo.yaml")
    assert (refused.code, "SFT_OUTPUT_DIR says that the model of sft is put into mine" in refused.err) == (2, True)
    assert not (place / "runs").exists()
    assert TOKEN not in refused.out + refused.err
    assert charter("run", "demo.yaml", "--until", "revise").code == 0  # which trains nothing


def test_a_run_keeps_nothing_of_the_file(charter: Command, place: Path) -> None:
    """No file of a run has the token; a run without weights puts nothing anywhere."""
    (place / ".env").write_text(f"HF_TOKEN={TOKEN}\nSFT_OUTPUT_DIR=out/sft\nHF_ENDPOINT=https://evil.example\n")
    done = charter("run", "demo.yaml")
    assert done.code == 0, done.err
    assert os.environ["HF_TOKEN"] == TOKEN
    assert os.environ.get("HF_ENDPOINT") != "https://evil.example"
    files = [path for path in (place / "runs").rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
    assert TOKEN not in done.out + done.err
    assert not (place / "out").exists()


def test_a_file_that_cannot_be_read_stops_nobody(charter: Command, place: Path) -> None:
    """It is said once, and the command goes on without it."""
    (place / ".env").write_bytes(b"HF_TOKEN=\xff")
    done = charter("check", "demo.yaml")
    assert done.code == 0
    assert done.err.count("nothing of it is used") == 1


def _rows(place: Path) -> None:
    """Write revisions as cai-conversation has them."""
    rows = []
    for number in range(8):
        asked, first, last = f"How is harm {number} done?", f"Do {number}.", f"I object to number {number}: it hurts."
        said = [{"role": "user", "content": asked}, {"role": "assistant", "content": last}]
        revised = {"critic_prompt": "Say.", "critic_response": "It is bad.", "revision_prompt": "Rewrite it."}
        named = {"index": number, "prompt": asked, "init_prompt": asked, "init_response": first, "messages": said}
        rows.append(named | revised | {"revision_response": last})
    (place / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


@pytest.mark.model
def test_a_trained_model_is_put_where_the_file_says(charter: Command, place: Path, tiny_model: Path) -> None:
    """By the whole command, and by one stage alone, which does nothing anew; other weights need a place."""
    _rows(place)
    (place / ".env").write_text("SFT_OUTPUT_DIR=out/sft\n")
    (place / "small.yaml").write_text(
        "name: small\nconstitution: harmless\n"
        f"models: {{policy: {{name: {tiny_model}, dtype: float32, device: cpu}}}}\n"
        "prompts: {red_team: rows.jsonl, benign_twin: null, helpful: null, n_evaluation: 2}\n"
        "revise: {given: rows.jsonl, n_samples: 0}\n"
        "sft: {helpful_ratio: 0, twin_ratio: 0, lora: {r: 4, alpha: 8}, guard: null}\n"
        "pairs: {kinds: {red_team: 1.0}}\n"
    )
    done = charter("run", "small.yaml", "--until", "sft")
    assert done.code == 0, done.err
    assert "the model of sft is in out/sft too, as SFT_OUTPUT_DIR says" in done.err
    assert done.out.splitlines()[-1] == "runs/small"
    kept = {path.name for path in (place / "out/sft").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= kept
    ours = (place / "runs/small/models/sft/adapter_model.safetensors").read_bytes()
    assert (place / "out/sft/adapter_model.safetensors").read_bytes() == ours
    again = charter("sft", "small.yaml")
    assert (again.code, "done before" in again.err) == (0, True)
    refused = charter("sft", "small.yaml", "--again")
    assert (refused.code, "out/sft, which holds files already" in refused.err) == (2, True)
