from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.constitution import load_constitution
from charter.errors import UserError
from charter.given import load_pairs, load_traces
from charter.publishing import LAYOUTS, export_rows, export_run
from charter.publishing.export import LayoutName
from charter.publishing.layout import NO_ROUND, NOT_IN_TURN, TIED, What
from charter.records import Message, Preference, Prompt, Round, SftRow, Trace, make_prompt
from run_examples import small_run

KITCHEN = """\
name: kitchen
principles:
  - {id: clean, text: Hands are washed.}
  - {id: honest, text: Nobody is told that a dish is safe when it is not.}
"""


def trace(name: str, *principles: str, **fields: Any) -> Trace:
    """Make a trace with a round for each principle."""
    rounds = tuple(
        Round(
            number=number, principle=principle, critique_request=f"Criticise {number}.", critique=f"Critique {number}.",
            revision_request=f"Revise {number}.", revision=f"{name} revised {number}.",
        )
        for number, principle in enumerate(principles, start=1)
    )  # fmt: skip
    prompt = make_prompt(f"{name}?", "red_team", **fields)
    return Trace(id=name, prompt=prompt, initial=f"{name} at first.", rounds=rounds)


def preference(**fields: Any) -> Preference:
    """Make a preference."""
    values: dict[str, Any] = {
        "id": "p", "prompt": make_prompt("Soap?", "red_team"), "chosen": "Yes.", "rejected": "No.", "p_chosen": 0.9,
        "source": "on_policy", "verdicts": (), "pair": "p", "chosen_side": "a", "p_judge": 0.9, "position_bias": 0.0,
    }  # fmt: skip
    return Preference(**(values | fields))


def test_lost_columns_are_named(tmp_path: Path) -> None:
    """What had something in it and has no place in the layout is named; what was empty is not."""
    done = export_rows({"preferences": [preference()]}, tmp_path / "trl", "trl")
    lost = done.lost["preferences"]
    assert "p_chosen" in lost
    assert "position_bias" in lost
    assert not {"prompt", "turns", "chosen", "rejected", "category", "whole_chosen"} & set(lost)
    open_ended = preference(whole_chosen=False)
    again = export_rows({"preferences": [open_ended]}, tmp_path / "open", "trl")
    assert "whole_chosen" in again.lost["preferences"]


def test_one_round_layouts_take_the_last(tmp_path: Path) -> None:
    """Traces without a round are left out by name, and rounds before the last are told to be lost."""
    rows = [trace("Soap", "clean", "honest"), trace("Rain")]
    done = export_rows({"traces": rows}, tmp_path / "out", "cai-conversation")
    assert done.left_out == {"traces": {NO_ROUND: 1}}
    assert "rounds before the last" in done.lost["traces"]
    loaded = load_traces(tmp_path / "out").traces
    assert [one.rounds[0].revision for one in loaded] == ["Soap revised 2."]


def test_country_keys_are_positions_in_the_constitution(tmp_path: Path) -> None:
    """Rows go under their principle's position; a key that they came with stays, and several may share one."""
    path = tmp_path / "kitchen.yaml"
    path.write_text(KITCHEN, "utf-8")
    kitchen = load_constitution(path)
    rows = [
        trace("Soap", "honest"),
        trace("Rain", "clean"),
        trace("Oven", "honest", principle="honest", source_id="1_7"),
        trace("Dough", "honest", principle="honest", source_id="1_7"),
        trace("Lost", "elsewhere"),
    ]
    done = export_rows({"traces": rows}, tmp_path / "out", "country", constitution=kitchen)
    keyed = json.loads((tmp_path / "out" / "sft.json").read_text("utf-8"))
    assert {key: [row["initial_prompt"] for row in value] for key, value in keyed.items()} == {
        "0_0": ["Rain?"],
        "1_0": ["Soap?"],
        "1_7": ["Oven?", "Dough?"],
    }
    assert done.left_out == {"traces": {"of no principle of the constitution": 1}}
    loaded = load_traces(tmp_path / "out" / "sft.json", constitution=kitchen)
    assert [one.rounds[0].principle for one in loaded.traces] == ["clean", "honest", "honest", "honest"]


def test_country_red_team_keeps_references(tmp_path: Path) -> None:
    """Red-team prompts go under their principle, with the reference as the aligned answer; others are left out."""
    rows = [
        make_prompt("Soap?", "red_team", principle="0", reference="Use it."),
        make_prompt("Cake?", "helpful", principle="0"),
    ]
    done = export_rows({"prompts": rows}, tmp_path / "out", "country")
    value = json.loads((tmp_path / "out" / "red_team.json").read_text("utf-8"))
    assert value["0"][0]["correct_model_response_to_adversarial_prompt"] == "Use it."
    assert done.left_out == {"prompts": {"no red-team prompt": 1}}


def test_turns_that_text_cannot_tell_are_left_out_by_name(tmp_path: Path) -> None:
    """A question that reads like a transcript is not written where it would come back as other turns."""
    rows = [preference(), preference(prompt=make_prompt("\n\nHuman: am I a turn?", "red_team"))]
    done = export_rows({"preferences": rows}, tmp_path / "out", "answer-improvement")
    assert done.files == {"preferences.csv": 1}
    assert done.left_out == {"preferences": {"its text would be read back as other turns": 1}}
    assert export_rows({"preferences": rows}, tmp_path / "trl", "trl").left_out == {}


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"native"}))
def test_ties_become_no_hard_labels(tmp_path: Path, layout: LayoutName) -> None:
    """A label that prefers neither side is left out of every layout that does not hold it, and counted."""
    prompt = make_prompt("Soap?", "red_team", principle="clean")
    pairs = [preference(prompt=prompt), preference(id="tied", prompt=prompt, p_chosen=0.5)]
    rows: dict[What, list[Preference]] = {"preferences": pairs}
    done = export_rows(rows, tmp_path / "out", layout)
    assert (sum(done.files.values()), done.left_out) == (1, {"preferences": {TIED: 1}})
    assert export_rows(rows, tmp_path / "native", "native").left_out == {}


def test_splits_of_cai_conversation_are_files_that_datasets_loads(tmp_path: Path) -> None:
    """The folder loads as a dataset with its splits, and each file alone does."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    rows = [trace("Soap", "clean"), trace("Rain", "clean", split="evaluation")]
    done = export_rows({"traces": rows, "preferences": [preference()]}, tmp_path / "out", "cai-conversation")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in loaded.items()} == {"train_sft": 1, "test_sft": 1, "train_prefs": 1}
    assert loaded["train_sft"][0]["messages"] == [
        {"content": "Soap?", "role": "user"},
        {"content": "Soap revised 1.", "role": "assistant"},
    ]
    file = str(tmp_path / "out" / next(iter(done.files)))
    single = datasets.load_dataset("parquet", data_files=file, cache_dir=str(tmp_path / "cache"))
    assert single["train"].column_names == [
        "index", "prompt", "init_prompt", "init_response", "critic_prompt", "critic_response", "revision_prompt",
        "revision_response", "messages", "chosen", "rejected",
    ]  # fmt: skip
    assert load_traces(tmp_path / "out", split="test_sft").traces[0].prompt.split == "evaluation"


def test_llama_factory_has_its_entries(tmp_path: Path) -> None:
    """One ``dataset_info.json`` names both files, their form and their columns."""
    system = Prompt(
        id="s",
        turns=(Message(role="system", content="Cook."), Message(role="user", content="Soap?")),
        kind="helpful",
    )
    rows = [SftRow(id="r", prompt=system, response="Yes.", origin="sampled")]
    export_rows({"sft": rows, "preferences": [preference()]}, tmp_path / "out", "llama-factory")
    information = json.loads((tmp_path / "out" / "dataset_info.json").read_text("utf-8"))
    assert {name: one["file_name"] for name, one in information.items()} == {
        "charter_sft": "sft.json",
        "charter_preferences": "preferences.json",
    }
    assert information["charter_preferences"]["ranking"] is True
    talks = json.loads((tmp_path / "out" / "sft.json").read_text("utf-8"))
    assert [one["from"] for one in talks[0]["conversations"]] == ["system", "human", "gpt"]


def test_conversations_that_llama_factory_would_skip_are_left_out_by_name(tmp_path: Path) -> None:
    """Its reader takes user and assistant in turn; other rows it would empty without a word in the exit status."""
    user, assistant = Message(role="user", content="Soap?"), Message(role="assistant", content="Which?")
    prompts = [
        Prompt(id=str(number), turns=turns, kind="helpful")
        for number, turns in enumerate([(user,), (user, assistant, user), (user, user), (assistant, user)])
    ]
    rows = [preference(id=one.id, prompt=one) for one in prompts]
    done = export_rows({"preferences": rows}, tmp_path / "out", "llama-factory")
    assert (done.files, done.left_out) == ({"preferences.json": 2}, {"preferences": {NOT_IN_TURN: 2}})
    assert export_rows({"preferences": rows}, tmp_path / "trl", "trl").left_out == {}


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("trl", ("preferences.jsonl", "preferences_evaluation.jsonl")),
        ("trl-standard", ("preferences.jsonl", "preferences_evaluation.jsonl")),
        ("axolotl", ("preferences.jsonl", "preferences_evaluation.jsonl")),
        ("llama-factory", ("preferences.json", "preferences_evaluation.json")),
        (
            "alignment-handbook",
            ("data/train_prefs-00000-of-00001.parquet", "data/test_prefs-00000-of-00001.parquet"),
        ),
    ],
)
def test_what_is_held_out_is_never_among_what_is_trained_on(
    layout: Any, names: tuple[str, str], tmp_path: Path
) -> None:
    """Tools that train get rows of held-out prompts in a file of its own."""
    rows = [preference(), preference(prompt=make_prompt("Rain?", "red_team", split="evaluation"))]
    done = export_rows({"preferences": rows}, tmp_path / "out", layout)
    assert done.files == dict.fromkeys(names, 1)
    assert "split" not in done.lost["preferences"]
    held_out = load_pairs(tmp_path / "out" / names[1]).pairs
    assert [pair.prompt.text for pair in held_out] == ["Rain?"]
    if layout == "llama-factory":
        entries = json.loads((tmp_path / "out" / "dataset_info.json").read_text("utf-8"))
        assert [one["file_name"] for one in entries.values()] == list(names)


def test_axolotl_is_told_which_messages_to_learn(tmp_path: Path) -> None:
    """What an assistant said in the prompt is no answer of ours; Axolotl would learn it, too."""
    turns = tuple(Message(role=role, content=role) for role in ("user", "assistant", "user"))
    rows = [SftRow(id="r", prompt=Prompt(id="p", turns=turns, kind="helpful"), response="Yes.", origin="sampled")]
    export_rows({"sft": rows}, tmp_path / "out", "axolotl")
    told = json.loads((tmp_path / "out" / "sft.jsonl").read_text("utf-8"))["messages"]
    assert [one["train"] for one in told] == [False, False, False, True]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot be written nothing is left; what is there already is never written over."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("charter.publishing.export.replace_whole", fail)
        with pytest.raises(UserError, match="No space left on device"):
            export_rows({"preferences": [preference()]}, tmp_path / "out", "trl")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    export_rows({"preferences": [preference()]}, tmp_path / "out", "trl")
    with pytest.raises(UserError, match=r"out: is not empty; name a new folder"):
        export_rows({"preferences": [preference()]}, tmp_path / "out", "trl")


def test_what_a_layout_does_not_have_is_refused(tmp_path: Path) -> None:
    """The error says which layouts would do, and nothing is made of nothing."""
    with pytest.raises(UserError, match=r"'axolotl' has no prompts, only sft, preferences; prompts are in native"):
        export_rows({"prompts": []}, tmp_path / "out", "axolotl")
    with pytest.raises(UserError, match=r"holds none of the rows \(1 traces: without a round\)"):
        export_rows({"traces": [trace("Soap")]}, tmp_path / "out", "country")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_runs_are_exported(layout: Any, tmp_path: Path, run: Path) -> None:
    """Each layout takes what it holds of a run, the same bytes each time."""
    done = export_run(run, tmp_path / "out", layout)
    again = export_run(run, tmp_path / "again", layout)
    assert done.files
    assert done.files == again.files
    for name in done.files:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert done.template == ("ChatML" if layout == "answer-improvement" else "")


def test_rows_that_a_run_has_not_made_are_told(tmp_path: Path) -> None:
    """An unfinished run exports what there is; what was asked for by name must be there."""
    run = small_run(tmp_path, ["prompts", "revise"])
    assert export_run(run, tmp_path / "all", "native").missing == ("sft", "preferences")
    with pytest.raises(UserError, match=r"preferences\.parquet: no such file; run the stage"):
        export_run(run, tmp_path / "some", "native", what="preferences")
    with pytest.raises(UserError, match="is no run's folder"):
        export_run(tmp_path, tmp_path / "none", "native")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has everything but models."""
    return small_run(tmp_path_factory.mktemp("exported"), ["prompts", "revise", "sft", "pairs", "label"])
