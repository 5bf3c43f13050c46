from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from charter.errors import PromptError
from charter.files.tables import write_table
from charter.given import LoadedPairs, load_pairs
from charter.records import Pair, Preference, make_prompt

ASSISTANT = {"role": "assistant", "content": "Wash them."}
WORSE = {"role": "assistant", "content": "Why bother?"}
USER = {"role": "user", "content": "My hands?"}


def read(tmp_path: Path, value: Any, **options: Any) -> LoadedPairs:
    """Write a JSON file and read it."""
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps(value), "utf-8")
    return load_pairs(path, **options)


def sides(pair: Pair) -> tuple[str, str]:
    """Give the better answer and the other."""
    return (pair.a, pair.b) if pair.intended == "a" else (pair.b, pair.a)


def test_country_preferences(tmp_path: Path) -> None:
    """Keyed rows, several a key; the reasoning is kept beside the pair."""
    one = {"prompt": "My hands?", "chosen_response": "Wash them.", "rejected_response": "Why?", "reasoning": "Germs."}
    loaded = read(tmp_path, {"0_3": [one], "2": [one | {"prompt": "And now?"}, one | {"prompt": "{x}: 5 %s"}]})
    assert (loaded.layout, len(loaded.pairs)) == ("country preferences", 3)
    assert [pair.prompt.source_id for pair in loaded.pairs] == ["0_3", "2", "2"]
    assert all(sides(pair) == ("Wash them.", "Why?") and pair.source == "given" for pair in loaded.pairs)
    assert list(loaded.reasoning.values()) == ["Germs."] * 3
    assert loaded.pairs[2].prompt.text == "{x}: 5 %s"


def test_rows_may_say_what_their_prompts_are_for(tmp_path: Path) -> None:
    """One of our kinds is taken from the row; another word, or none, leaves what the file is read for."""
    told = ("helpful", "benign_twin", "red_team", "joke", None, ["helpful"])
    rows = [{"prompt": f"Ask {n}", "chosen": "Yes", "rejected": "No", "kind": kind} for n, kind in enumerate(told)]
    loaded = read(tmp_path, rows)
    assert [pair.prompt.kind for pair in loaded.pairs] == ["helpful", "benign_twin", *["red_team"] * 4]
    assert "kind" not in loaded.unused
    other = read(tmp_path, rows, kind="helpful")
    assert [pair.prompt.kind for pair in other.pairs][2:4] == ["red_team", "helpful"]
    assert loaded.pairs[0].id == other.pairs[0].id, "the same rows are the same pairs"


def test_red_team_answers_are_pairs(tmp_path: Path) -> None:
    """The correct answer is the better one, and the key counts the prompts of a principle."""
    rows = [
        {
            "adversarial_prompt": f"Question {number}?",
            "correct_model_response_to_adversarial_prompt": "No.",
            "incorrect_model_response_to_adversarial_prompt": "Yes.",
        }
        for number in range(2)
    ]
    loaded = read(tmp_path, {"4": rows})
    assert [pair.prompt.source_id for pair in loaded.pairs] == ["4_0", "4_1"]
    assert sides(loaded.pairs[0]) == ("No.", "Yes.")


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "My hands?", "chosen": "Wash them.", "rejected": "Why bother?"},
        {"prompt": [USER], "chosen": [ASSISTANT], "rejected": [WORSE]},
        {"chosen": [USER, ASSISTANT], "rejected": [USER, WORSE]},
        {"prompt": "My hands?", "chosen": [USER, ASSISTANT], "rejected": [USER, WORSE]},
        {"messages": [USER], "chosen": ASSISTANT, "rejected": WORSE},
        {
            "conversations": [{"from": "human", "value": "My hands?"}],
            "chosen": {"from": "gpt", "value": "Wash them."},
            "rejected": {"from": "gpt", "value": "Why bother?"},
        },
        {
            "chosen": "\n\nHuman: My hands?\n\nAssistant: Wash them.",
            "rejected": "\n\nHuman: My hands?\n\nAssistant: Why bother?",
        },
        {
            "chosen": "Human: My hands?\n\nAssistant: Wash them.",
            "rejected": "Human: My hands?\n\nAssistant: Why bother?",
        },
        {
            "chosen": "\nHuman:My hands?\n\nAssistant:Wash them.",
            "rejected": "\nHuman:My hands?\n\nAssistant:Why bother?",
        },
    ],
    ids=["text", "messages", "implicit", "text-and-messages", "axolotl", "sharegpt", "transcript", "bare", "close"],
)
def test_chosen_and_rejected_in_all_their_forms(tmp_path: Path, row: dict[str, Any]) -> None:
    """Texts, lists of messages and transcripts say the same pair, with the same ids."""
    pair = read(tmp_path, [row]).pairs[0]
    assert sides(pair) == ("Wash them.", "Why bother?")
    assert [(turn.role, turn.content) for turn in pair.prompt.turns] == [("user", "My hands?")]
    first = read(tmp_path, [{"prompt": "My hands?", "chosen": "Wash them.", "rejected": "Why bother?"}]).pairs[0]
    assert pair.id == first.id


@pytest.mark.parametrize("form", ["{}_model", "{}-model", "model_{}"])
def test_authors_are_read_where_a_file_names_them(tmp_path: Path, form: str) -> None:
    """By side, which a hash decides; their columns are used then, and a row that names nobody has no author."""
    rows = [
        {"prompt": f"Question {n}?", "chosen": "Yes.", "rejected": "No.", form.format("chosen"): "x", "more": n}
        | {form.format("rejected"): "y"}
        for n in range(8)
    ]
    loaded = read(tmp_path, [*rows, {"prompt": "And now?", "chosen": "Yes.", "rejected": "No."}])
    *named, last = loaded.pairs
    assert {pair.intended for pair in named} == {"a", "b"}
    for pair in named:
        assert loaded.authors[pair.id] == (("x", "y") if pair.intended == "a" else ("y", "x"))
    assert last.id not in loaded.authors
    assert loaded.unused == ("more",)


def test_transcripts_must_share_what_is_before_the_last_reply(tmp_path: Path) -> None:
    """Packed JSON lines of many turns; what differs earlier, is equal, or says nothing is left out by name."""
    start = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Soap?\n\nAssistant:"
    rows = [
        {"chosen": f"{start} Yes.", "rejected": f"{start} No."},
        {"chosen": f"{start} Yes.", "rejected": "\n\nHuman: Hi\n\nAssistant: Oi\n\nHuman: Soap?\n\nAssistant: No."},
        {"chosen": f"{start} Yes.", "rejected": f"{start} Yes."},
        {"chosen": f"{start} Yes.", "rejected": start},
        {"chosen": "no transcript", "rejected": "this neither"},
        {"chosen": f"{start} Yes.", "rejected": f"{start} No."},
    ]
    path = tmp_path / "dev.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    loaded = load_pairs(path)
    assert [turn.content for turn in loaded.pairs[0].prompt.turns] == ["Hi", "Hello", "Soap?"]
    assert sides(loaded.pairs[0]) == ("Yes.", "No.")
    assert loaded.rejected == {
        "differ before the last reply": 1,
        "the two answers are equal": 1,
        "empty answer": 1,
        "without prompt, and no transcript": 1,
        "exact duplicate": 1,
    }
    assert loaded.left_out[0].place == f"{path}:2"
    assert len(loaded.pairs) + len(loaded.left_out) == len(rows)


def test_position_says_nothing_of_the_choice(tmp_path: Path) -> None:
    """About half of the chosen answers are side a; the seed decides which, and the same seed decides the same."""
    rows = [{"prompt": f"{n}?", "chosen": "Yes.", "rejected": "No."} for n in range(400)]
    first = [pair.intended for pair in read(tmp_path, rows).pairs]
    assert 160 < first.count("a") < 240
    assert first == [pair.intended for pair in read(tmp_path, rows).pairs]
    assert first != [pair.intended for pair in read(tmp_path, rows, seed=1).pairs]


def test_csv_cells_are_unescaped_where_they_are_ours(tmp_path: Path) -> None:
    """Escaped cells come back; a file with a bare formula is not ours, and is left as it is."""
    path = tmp_path / "pairs.csv"
    path.write_text('"prompt","chosen","rejected"\r\n"Sum?","\'=1+1","two\nlines"\r\n', "utf-8", newline="")
    assert sides(load_pairs(path).pairs[0]) == ("=1+1", "two\nlines")
    assert sides(load_pairs(path, escaped=False).pairs[0])[0] == "'=1+1"
    path.write_text('"prompt","chosen","rejected"\r\n"Sum?","\'=1+1","=2"\r\n', "utf-8", newline="")
    assert sides(load_pairs(path).pairs[0]) == ("'=1+1", "=2")


def test_own_tables_are_read(tmp_path: Path) -> None:
    """Our preferences keep prompt, sides and what is whole; our pairs keep everything but their source."""
    preference = Preference(
        id="p", prompt=make_prompt("Hi?", "helpful"), chosen="Yes.", rejected="No", p_chosen=0.8, source="on_policy",
        verdicts=(), pair="p", chosen_side="b", p_judge=0.8, position_bias=0.0, whole_rejected=False,
    )  # fmt: skip
    write_table(tmp_path / "preferences.parquet", [preference], Preference)
    loaded = load_pairs(tmp_path / "preferences.parquet")
    pair = loaded.pairs[0]
    assert (pair.a, pair.b, pair.intended, pair.whole_a, pair.whole_b) == ("No", "Yes.", "b", False, True)
    assert pair.prompt == preference.prompt
    assert "p_judge" in loaded.unused
    assert "p_chosen" not in loaded.unused
    assert loaded.labels_by == "a judge"
    write_table(tmp_path / "pairs.parquet", [pair.model_copy(update={"source": "contrast"})], Pair)
    assert load_pairs(tmp_path / "pairs.parquet").pairs == (pair,)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """The error names the columns that are there and those that would do."""
    with pytest.raises(PromptError, match=r"columns are better, worse.*chosen and rejected: chosen, rejected"):
        read(tmp_path, [{"better": "x", "worse": "y"}])


def test_half_a_surrogate_is_rejected_by_name(tmp_path: Path) -> None:
    """What no file can hold is left out and counted."""
    path = tmp_path / "pairs.jsonl"
    good = '{"prompt": "a", "chosen": "b", "rejected": "c"}\n'
    path.write_text(good + '{"prompt": "\\ud800", "chosen": "b", "rejected": "c"}\n', "utf-8")
    loaded = load_pairs(path)
    assert len(loaded.pairs) == 1
    assert "surrogate" in next(iter(loaded.rejected))


def test_own_pairs_are_named_by_what_they_hold(tmp_path: Path) -> None:
    """Two runs number their pairs alike: those of both are read, and none bears the number of a pair that is made."""
    prompt = make_prompt("Hi?", "helpful")
    numbered = [
        Pair(id="pair-1", prompt=prompt, a=a, b="No.", source="on_policy", intended=None) for a in ("Yes.", "Yes!")
    ]
    write_table(tmp_path / "pairs.parquet", [*numbered, numbered[0]], Pair)
    loaded = load_pairs(tmp_path / "pairs.parquet")
    assert [pair.a for pair in loaded.pairs] == ["Yes.", "Yes!"]
    assert loaded.rejected == {"exact duplicate": 1}
    assert len({pair.id for pair in loaded.pairs} | {"pair-1"}) == 3


def test_a_files_own_categories_are_read(tmp_path: Path) -> None:
    """A column of that name, whatever the layout; what is no text is none."""
    rows: list[dict[str, object]] = [{"prompt": f"{n}?", "chosen": "Yes.", "rejected": "No."} for n in range(3)]
    rows[0]["category"], rows[1]["category"] = " fraud ", 7
    loaded = read(tmp_path, rows)
    assert [pair.prompt.category for pair in loaded.pairs] == ["fraud", "", ""]
    assert "category" not in loaded.unused


def test_silence_is_told_from_a_choice(tmp_path: Path) -> None:
    """Of our own pairs those that intend no side are counted; whose labels the others are is told."""
    pairs = [
        Pair(id=f"{n}", prompt=make_prompt(f"{n}?", "helpful"), a="Yes.", b="No.", source="on_policy", intended=side)
        for n, side in enumerate(("a", None, "b"))
    ]
    write_table(tmp_path / "pairs.parquet", pairs, Pair)
    loaded = load_pairs(tmp_path / "pairs.parquet")
    assert [pair.intended for pair in loaded.sided] == ["a", "b"]
    assert loaded.left_out_or_undecided == {"no side is said to be better": 1}
    assert loaded.labels_by == "the pairs' sources"
    assert read(tmp_path, [{"prompt": "?", "chosen": "Yes.", "rejected": "No."}]).labels_by == "people"
