from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from charter.constitution import load_constitution
from charter.constitution.model import Constitution
from charter.errors import PromptError
from charter.files.tables import write_table
from charter.given import LoadedTraces, load_traces
from charter.given.mending import DIFFERS, FROM_COMPANION
from charter.prompts.artefacts import INSTRUCTION, LABEL_TAKEN_OFF
from charter.records import Trace

KITCHEN = """\
name: kitchen
principles:
  - {id: clean, text: Hands are washed., category: hygiene}
  - {id: honest, text: Nobody is told that a dish is safe when it is not.}
"""
CRITIQUE = "Critique the initial response provided with respect to this principle: 'Hands are washed.'"


@pytest.fixture
def kitchen(tmp_path: Path) -> Constitution:
    """A constitution of two principles."""
    path = tmp_path / "kitchen.yaml"
    path.write_text(KITCHEN, "utf-8")
    return load_constitution(path)


def row(prompt: str, **changed: Any) -> dict[str, Any]:
    """Make a row of the country layout."""
    texts = {
        "initial_prompt": prompt,
        "initial_response": "Just wipe them on the towel.",
        "critique_prompt": CRITIQUE,
        "critique_response": "It leaves the hands dirty.",
        "revision_prompt": "Produce a revised response.",
        "revision_response": "Wash them with soap for as long as it takes to hum a song.",
    }
    return {key: value for key, value in (texts | changed).items() if value is not ...}


def read(tmp_path: Path, value: Any, **options: Any) -> LoadedTraces:
    """Write a file and read it."""
    path = tmp_path / "sft.json"
    path.write_text(json.dumps(value), "utf-8")
    return load_traces(path, **options)


def test_keyed_rows_become_traces(tmp_path: Path, kitchen: Constitution) -> None:
    """The first part of a key is the principle's position; the rest of the row is the trace, verbatim."""
    loaded = read(tmp_path, {"0_0": [row("Must I wash?")], "1": [row("Is it off?"), row("Is {it} 100 % off?\r\n")]})
    assert (loaded.layout, len(loaded.traces), loaded.left_out) == ("country", 3, ())
    assert [trace.prompt.source_id for trace in loaded.traces] == ["0_0", "1", "1"]
    assert [trace.rounds[0].principle for trace in loaded.traces] == ["0_0", "1", "1"]
    assert loaded.traces[2].prompt.text == "Is {it} 100 % off?\r\n"
    named = load_traces(tmp_path / "sft.json", constitution=kitchen)
    assert [trace.rounds[0].principle for trace in named.traces] == ["clean", "honest", "honest"]
    assert [trace.prompt.principle for trace in named.traces] == ["clean", "honest", "honest"]
    assert named.traces[0].prompt.category == "hygiene"
    assert len({trace.id for trace in loaded.traces}) == 3
    assert loaded.places[loaded.traces[0].id].startswith(f"{tmp_path / 'sft.json'}:1 key '0_0'")


def test_older_names_of_columns_are_read(tmp_path: Path) -> None:
    """``critic_prompt`` and ``critic_response`` are the critique."""
    older = row("Must I?", critique_prompt=..., critique_response=..., critic_prompt="Ask.", critic_response="Said.")
    one = read(tmp_path, {"0": [older]}).traces[0].rounds[0]
    assert (one.critique_request, one.critique) == ("Ask.", "Said.")


def test_flags_are_those_that_revise_gives(tmp_path: Path) -> None:
    """Empty, identical and leaking texts are flagged, with the round that they are of."""
    rows = [row("One?", revision_response="Just wipe them on the towel."), row("Two?", initial_response="")]
    first, second = read(tmp_path, {"0": rows}).traces
    assert first.rounds[0].flags == ("identical",)
    assert first.flags == ("round 1:identical",)
    assert second.initial_flags == ("empty",)
    assert second.flags == ("initial:empty",)


def test_every_row_is_kept_or_left_out_by_name(tmp_path: Path) -> None:
    """Rows that cannot be used are counted with their reason and place; nothing is dropped silently."""
    rows = [
        row("One?"),
        row("One?"),
        row("Two?", revision_response=...),
        row("Three?", initial_response=7),
        row(" \n"),
        row("Four?", revision_response=" "),
    ]
    loaded = read(tmp_path, {"0": rows})
    assert loaded.rejected == {
        "exact duplicate": 1,
        "without revision_response": 1,
        "initial_response is no text": 1,
        "empty prompt": 1,
        "without a revision": 1,
    }
    assert len(loaded.traces) + len(loaded.left_out) == len(rows)
    assert all(str(tmp_path) in noted.place for noted in loaded.left_out)


def test_prompts_with_two_samples_are_numbered(tmp_path: Path) -> None:
    """Two traces of one prompt are its samples 0 and 1."""
    loaded = read(tmp_path, {"0": [row("One?"), row("One?", revision_response="Rinse them.")]})
    assert [trace.sample for trace in loaded.traces] == [0, 1]
    assert len({trace.prompt.id for trace in loaded.traces}) == 1


def test_a_key_of_another_constitution_is_refused(tmp_path: Path, kitchen: Constitution) -> None:
    """A position behind the last principle means that the file was made with another constitution."""
    with pytest.raises(PromptError, match=r"sft\.json:1 key '2_0'.*position 2.*'kitchen' has 2"):
        read(tmp_path, {"2_0": [row("One?")]}, constitution=kitchen)


def test_other_files_are_refused_with_their_columns(tmp_path: Path) -> None:
    """A file of another layout is told what traces look like."""
    with pytest.raises(PromptError, match=r"columns are chosen, rejected.*country: initial_prompt, initial_response"):
        read(tmp_path, [{"chosen": "x", "rejected": "y"}])


def test_no_row_left_says_why(tmp_path: Path) -> None:
    """A file of which nothing can be used is an error that names the first row."""
    with pytest.raises(PromptError, match=r"sft\.json:1 .*empty prompt; no row of .* is left \(1 empty prompt\)"):
        read(tmp_path, {"0": [row("")]})


def test_misplaced_prompts_are_mended_from_a_companion(tmp_path: Path) -> None:
    """An instruction, a wrapper and a label give way to the prompt of the same key; what only differs is doubted."""
    asked = ["May I skip the soap?", "Can I 'taste' raw dough?", "Is rain clean?", "Is it cold?", "Is it late?"]
    given = [
        CRITIQUE,
        f"The response from an LLM to this red team prompt: '{asked[1]}' is 'Yes.'. Critique it.",
        f"Red team prompt: {asked[2]}",
        "Something else entirely?",
        asked[4],
    ]
    (tmp_path / "red_team.json").write_text(json.dumps({"0": [{"adversarial_prompt": one} for one in asked]}), "utf-8")
    keyed = {f"0_{number}": [row(prompt)] for number, prompt in enumerate(given)}
    loaded = read(tmp_path, keyed, companion=tmp_path / "red_team.json")
    assert [trace.prompt.text for trace in loaded.traces] == [*asked[:3], given[3], asked[4]]
    assert [one.reason for one in loaded.mended] == [FROM_COMPANION] * 3
    assert [one.reason for one in loaded.doubted] == [DIFFERS]
    assert loaded.left_out == ()


def test_misplaced_prompts_without_a_companion_are_rejected(tmp_path: Path) -> None:
    """An instruction is no prompt, and a label is taken off; a prompt that asks for criticism is none of both."""
    rows = [row(CRITIQUE), row("Red Team Prompt: 'May I?'"), row("Critique my poem about soap, please.")]
    loaded = read(tmp_path, {"0": rows})
    assert loaded.rejected == {INSTRUCTION: 1}
    assert [trace.prompt.text for trace in loaded.traces] == ["May I?", "Critique my poem about soap, please."]
    assert [one.reason for one in loaded.mended] == [LABEL_TAKEN_OFF]


def test_cai_conversation_rows_are_read(tmp_path: Path, kitchen: Constitution) -> None:
    """Its columns, its many turns where messages have them, and the principle where a request is one of ours."""
    principle = kitchen.principle("honest")
    value = {
        "index": 7,
        "prompt": "Is it off?",
        "init_prompt": "Is it off?",
        "init_response": "No.",
        "critic_prompt": principle.critique_request,
        "critic_response": "It guesses.",
        "revision_prompt": principle.revision_request,
        "revision_response": "I cannot smell it from here.",
        "messages": [
            {"role": "system", "content": "You cook."},
            {"role": "user", "content": "Is it off?"},
            {"role": "assistant", "content": "I cannot smell it from here."},
        ],
    }
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(value).encode()))
    loaded = load_traces(path, constitution=kitchen)
    trace = loaded.traces[0]
    assert loaded.layout == "cai-conversation"
    assert [turn.role for turn in trace.prompt.turns] == ["system", "user"]
    assert (trace.rounds[0].principle, trace.prompt.source_id) == ("honest", "7")
    assert trace.final == "I cannot smell it from here."


def test_own_tables_are_read_as_they_are(tmp_path: Path) -> None:
    """Rows of ours keep everything, their ids too."""
    trace = read(tmp_path, {"0": [row("One?")]}).traces[0]
    write_table(tmp_path / "traces.parquet", [trace], Trace)
    loaded = load_traces(tmp_path / "traces.parquet")
    assert (loaded.layout, loaded.traces) == ("native", (trace,))


def test_own_traces_of_two_seeds_are_read(tmp_path: Path) -> None:
    """Runs of two seeds number their traces alike, and both are kept; one without a round is left out by name."""
    one = read(tmp_path, {"0": [row("One?")]}).traces[0].model_copy(update={"id": "trace-1"})
    other = one.model_copy(update={"initial": "Rinse them."})
    write_table(tmp_path / "traces.parquet", [one, other, one, one.model_copy(update={"rounds": ()})], Trace)
    loaded = load_traces(tmp_path / "traces.parquet")
    assert [trace.initial for trace in loaded.traces] == [one.initial, other.initial]
    assert loaded.traces[0].id == "trace-1" != loaded.traces[1].id
    assert loaded.rejected == {"exact duplicate": 1, "without a round": 1}
