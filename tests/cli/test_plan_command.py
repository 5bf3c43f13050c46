from __future__ import annotations

import socket
from pathlib import Path
from typing import NoReturn

import pytest
from syrupy.assertion import SnapshotAssertion

from charter.planning.hardware import built_in_text, read_devices
from cli.command import Command

ON_GPUS = ("--hardware", "h200x8", "--size", "7b")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--hardware", "cpu-2", "--size", "135m"),
        (*ON_GPUS, "--prompts", "100k"),
        (*ON_GPUS, "--prompts", "1k,100k,10M", "--price-per-hour", "2.25"),
        ("--hardware", "l4", "--size", "14b", "--training", "full"),
        (*ON_GPUS, "--on", "ray", "--prompts", "100k"),
    ],
    ids=["alone", "laptop", "GPUs", "growth", "too small", "Ray"],
)
def test_what_a_plan_prints(charter: Command, options: tuple[str, ...], snapshot: SnapshotAssertion) -> None:
    """The plan, what it costs, what does not fit and what gives first."""
    done = charter("plan", "demo.yaml", *options)
    assert done.out == snapshot
    assert done.code == (2 if "14b" in options else 0)


def test_check_ends_with_the_same_plan(charter: Command) -> None:
    """Without a machine a plan is the one of ``check``, and what a run takes beside the models."""
    checked, planned = charter("check", "demo.yaml").out, charter("plan", "demo.yaml").out
    table = checked[checked.index("\nstage") : checked.index("no errors")]
    assert table in planned


def test_plan_as_json(charter: Command) -> None:
    """Every number of prompts has its estimate, with seconds, bytes and money as plain numbers."""
    value = charter("plan", "demo.yaml", *ON_GPUS, "--prompts", "50,5k", "--json").value
    assert [one["prompts"] for one in value["estimates"]] == [50, 5_000]
    first = value["estimates"][0]
    assert first["plan"]["total"]["calls"] > 0
    assert "demand" not in first["plan"]["stages"][0]
    assert first["cost"]["fits"] is True
    stages = {stage["stage"]: stage for stage in first["cost"]["stages"]}
    assert 0 < stages["dpo"]["hours"]["low"] <= stages["dpo"]["hours"]["high"]
    assert stages["dpo"]["memory_bytes"]["weights"] > 14e9
    assert first["models"]["policy"] == "7b (mistralai/Mistral-7B-v0.3)"
    assert {"what", "n_prompts", "remedy"} == set(first["limits"][0])


def test_nobody_is_asked(charter: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan with a judge behind a server, a critic of the hub and a missing policy calls nobody."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a plan called somebody")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    judge = "models.judge={name: big-judge, engine: http, server: 'http://192.0.2.1:9/v1'}"
    models = ("models.policy={name: somebody/chat-7B}", "models.critic={name: somebody/critic-8B}", judge)
    done = charter("plan", "demo.yaml", *models, "--hardware", "h100x2")
    assert done.code == 0
    assert "policy, red_team: somebody/chat-7B, taken for 7b" in done.out or "policy: somebody/chat-7B" in done.out
    assert "judge: big-judge (http)" in done.out


def test_a_models_own_configuration_is_read(charter: Command, place: Path) -> None:
    """A folder with a configuration is enough; weights need not be there."""
    folder = place / "new"
    folder.mkdir()
    (folder / "config.json").write_text(
        '{"num_hidden_layers": 24, "hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096, '
        '"vocab_size": 32000}',
        "utf-8",
    )
    done = charter("plan", "demo.yaml", "--hardware", "l4", "--model-config", str(folder))
    assert done.code == 0
    assert f"policy, critic, reviser, judge: {folder}" in done.out


def test_machines_are_listed(charter: Command) -> None:
    """Each with what it is planned by, and a word about prices."""
    done = charter("plan", "--hardware", "list")
    assert [line.split()[0] for line in done.out.splitlines()[1:-1]] == list(read_devices())
    assert "prices are examples of the middle of 2025" in done.out
    assert set(charter("plan", "--hardware", "list", "--json").value) == set(read_devices())


def test_our_file_of_machines_is_written_to_be_edited(charter: Command, place: Path) -> None:
    """A new file is written, and one that is there is left alone; what is edited is planned with."""
    assert charter("plan", "--write-hardware", "mine.yaml").code == 0
    text = (place / "mine.yaml").read_text("utf-8")
    assert text == built_in_text()
    (place / "mine.yaml").write_text(text.replace("price_per_hour: 3.5}", "price_per_hour: 7}"), "utf-8")
    ours, own = (
        charter("plan", "demo.yaml", *ON_GPUS, *file, "--json").value["estimates"][0]["cost"]["money"]["high"]
        for file in ((), ("--hardware-file", "mine.yaml"))
    )
    assert own == pytest.approx(2 * ours)
    again = charter("plan", "--write-hardware", "mine.yaml")
    assert (again.code, again.err) == (2, "error: mine.yaml is there already; name another file\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("demo.yaml", "--hardware", "h20x8"), 'did you mean "h200"?'),
        (("demo.yaml", "--hardware", "h200", "--size", "7bb"), 'did you mean "7b"?'),
        (("demo.yaml", "--hardware", "h200", "--size", "7b", "--model-config", "x"), "give one of them"),
        (("demo.yaml", "--size", "7b"), "need a machine; name one with --hardware"),
        (("demo.yaml", "--on", "ray"), "--on and --price-per-hour need a machine; name one with --hardware"),
        (("demo.yaml", "--hardware", "h200", "--on", "slurm"), "'slurm' is not one of 'ray'"),
        (("demo.yaml", "--hardware", "h200", "--prompts", "1k,lots"), "--prompts is 'lots'; expected a number such as"),
        (("demo.yaml", "--hardware", "h200", "--training", "qlara"), "did you mean 'qlora'?"),
        (("demo.yaml", "--training", "qlora", "--sharding", "zero3"), "weights in 4 bits cannot be spread"),
        (("--hardware", "h200"), "there is no recipe to plan; name one"),
        (("demo.yaml", "--phases", "--hardware", "h200"), "--phases goes by the recipe alone"),
        (("demo.yaml", "--hardware-file", "none.yaml"), "none.yaml"),
        (("demo.yaml", "prompts.n_train=1000000"), "lower it, or bring more"),
    ],
)
def test_what_is_wrong_is_said(charter: Command, options: tuple[str, ...], message: str) -> None:
    """In one line with the remedy, and exit code 2."""
    done = charter("plan", *options)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_the_phases_of_a_divided_run(charter: Command) -> None:
    """What one process and what shards do in turn follows the stages of the recipe."""
    plain = charter("plan", "demo.yaml", "--phases")
    assert (plain.code, plain.out) == (
        0,
        "alone prompts\nshards revise\nalone sft\nshards pairs label\nalone dpo\nshards evaluate\n",
    )
    twice = charter("plan", "demo.yaml", "preference_model={}", "iterations=2", "--phases").out.splitlines()
    assert twice[3:-1] == [
        "shards pairs label",
        "alone preference_model dpo",
        "shards pairs-2 label-2",
        "alone preference_model-2 dpo-2",
    ]
    told = charter("plan", "demo.yaml", "dpo=null", "--phases", "--json").value
    assert told["recipe"] == "demo"
    assert told["phases"][-2:] == [
        {"by": "alone", "stages": ["sft"]},
        {"by": "shards", "stages": ["pairs", "label", "evaluate"]},
    ]
