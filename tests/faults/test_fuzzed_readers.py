"""Every reader of files, fed with files that were right before something changed them: no error but ours."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charter.authoring.coverage import read_axes
from charter.authoring.given_texts import read_given_texts
from charter.constitution import load_constitution, write_constitution
from charter.damage import read_figures, read_summary
from charter.engines.prices import read_prices
from charter.engines.weights import resolve_model
from charter.errors import CharterError
from charter.evaluation.answers import Columns
from charter.evaluation.attacks.own_wrappers import read_wrapper
from charter.evaluation.harm.rows import load_conversations, load_graded
from charter.evaluation.instructions.rows import load_instructions
from charter.evaluation.multiple_choice import load_choices
from charter.evaluation.refusals.labels import load_answers
from charter.evaluation.sycophancy.rows import load_rows
from charter.feedback.attached_audit import read_audit
from charter.feedback.calibrator import read_calibrator
from charter.files.lines import append_line, read_lines
from charter.files.tables import read_json, read_table, write_table
from charter.given import load_pairs, load_sft_rows, load_traces
from charter.journal.reading import count_journal, read_journal
from charter.journal.records import Outcome
from charter.journal.store import Journal
from charter.planning.shapes import read_shape
from charter.prompts import load_prompts
from charter.rating.store import read_ratings
from charter.recipe import load_recipe
from charter.records import Prompt, make_prompt
from charter.sharding.papers import read_papers
from country_examples import CONFIG
from engines.model_folders import make_adapter, make_model
from faults.points import FULL, point
from run_examples import RECIPE

pytestmark = [pytest.mark.faults, pytest.mark.slow]

_PIECES = st.sampled_from(
    [
        *(b"{", b"}", b"[", b"]", b'"', b"'", b":", b": ", b",", b"\n", b"\r", b"\t", b"\x00", b"\xff", b"\\", b"- "),
        *(b"null", b"true", b"NaN", b"1e999", b"-1", b"0", b"9" * 30, b"9" * 400, b'""', b"{}", b"[]", b"[" * 60),
        *(b"\\ud800", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"&a", b"*a", b"!!int", b"<<", b"---\n", b"#", b"%", b"|"),
        *(b'"prompt"', b'"id"', b"principles", b"extends", b"name", b"\xf0\x9f\x98\x80", b"\xe2\x80\xa8", b"=1", b" "),
    ]
)
_CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["insert", "replace", "delete", "repeat", "cut"]),
        st.floats(0.0, 1.0),
        st.integers(0, 40),
        _PIECES | st.binary(min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=5,
)


@dataclass(frozen=True)
class Reader:
    """Something that reads a file, and a file that it reads.

    Attributes:
        file: the name of the file that is changed.
        write: writes it, and what lies beside it, into a folder.
        read: reads it; its argument is the file.
    """

    file: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]


def _text(name: str, text: str) -> Callable[[Path], object]:
    return lambda place: (place / name).write_text(text, "utf-8")


def _lines(name: str, *rows: Any) -> Callable[[Path], object]:
    return _text(name, "".join(f"{json.dumps(row)}\n" for row in rows))


def _journal(place: Path) -> None:
    with Journal(place / "journal.sqlite") as journal:
        for number in range(3):
            journal.record("revise", f"row-{number}", Outcome("done", '{"text": "x"}'))
            journal.put(f"key-{number}", "answer")
        journal.keep_tally("revise", "{}")


def _rating_lines(place: Path) -> None:
    for number in range(3):
        append_line(place / "ratings.jsonl", _RATING | {"number": number + 1})


_CHOICE = {"prompt": "Which?\n (A) x\n (B) y", "corrects": [" (A)"], "incorrects": [" (B)"]}
_PAIR = {"prompt": "How?", "chosen": "So.", "rejected": "No."}
_TRACE = {
    "init_prompt": "How?", "init_response": "So.", "critic_prompt": "Why?", "critic_response": "Thus.",
    "revision_prompt": "Anew.", "revision_response": "No.",
}  # fmt: skip
_TALK = {"messages": [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "So."}]}
_CHATML = "<|im_start|>user\nHow?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>\n"
_SYCOPHANCY = {"id": "a", "kind": "fact", "topic": "x", "text": "Which?", "right": "x", "wrong": "y"}
_HARM = {"id": "a", "kind": "violence", "request": "How?", "harmful": "So.", "harmless": "No."}
_GRADED = {"id": "a", "kind": "violence", "prompt": "How?", "response": "So.", "harm": 2}
_WORTH = {
    "accuracy": {"value": 0.5, "low": 0.1, "high": 0.9},
    "brier": {"value": 0.2, "low": None, "high": None},
    "ece": 0.1,
}
_CALIBRATOR = {
    "judge": "x", "identity": "y", "constitution": "c", "chains": 0, "temperature": 1.0, "option_bias": 0.0,
    "labels": "l", "n_pairs": 3, "n_contexts": 2, "before": _WORTH, "after": _WORTH,
}  # fmt: skip
_PAPERS = {"number": 1, "of": 2, "key": "x", "brought": {"prompts": {"data/prompts.parquet": "y"}}}
_RATING = {"rater": "a", "item": "i", "choice": "tie", "left": "model", "prompt": "p", "model": "m", "base": "b"}
_SUMMARY = {"stage": "revise", "seconds": 1.0, "n_in": 1, "n_done": 1, "filtered": {}, "failed": {}, "usage": {}}
_FIGURES = {"models": ["base"], "measurements": []}
_SHAPE = {
    "model_type": "llama", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "vocab_size": 20, "head_dim": 4,
}  # fmt: skip


def _prompts(name: str, write: Callable[[Path], object]) -> Reader:
    return Reader(name, write, lambda path: load_prompts(str(path), "red_team"))


def _native(place: Path) -> None:
    harmless = load_constitution("harmless")
    write_constitution(harmless.model_copy(update={"principles": harmless.principles[:2]}), place / "c.yaml")


def _table(place: Path) -> None:
    write_table(place / "t.parquet", [make_prompt("How?", "red_team", id="p")], Prompt)


def _recipe(place: Path) -> None:
    (place / "r.yaml").write_text(
        f"{RECIPE}revise: {{rounds: 2, layout: chat}}\nsft: {{lora: {{r: 4}}, learning_rate: 1e-4}}\n", "utf-8"
    )


READERS: dict[str, Reader] = {
    "constitution in YAML": Reader("c.yaml", _native, load_constitution),
    "constitution in JSON": Reader(
        "c.json",
        _text("c.json", json.dumps({"name": "x", "principles": [{"id": "a", "text": "b"}]})),
        load_constitution,
    ),
    "constitution in Markdown": Reader(
        "c.md", _text("c.md", "# Ours\n\n## Kindness\n\nBe kind.\n\n- Be brief.\n"), load_constitution
    ),
    "constitution of a country": Reader(
        "config.yaml",
        lambda place: (
            (place / "constitution.json").write_text('[{"id": 1, "title": "a", "description": "b", "category": "c"}]'),
            (place / "config.yaml").write_text(CONFIG, "utf-8"),
        ),
        load_constitution,
    ),
    "constitution in the paper's layout": Reader(
        "c.json",
        _text(
            "c.json", json.dumps({"harmful0": {"prompt": "CritiqueRequest: a", "edit_request": "RevisionRequest: b"}})
        ),
        load_constitution,
    ),
    "recipe": Reader("r.yaml", _recipe, load_recipe),
    "prompts in CSV": _prompts("t.csv", _text("t.csv", 'prompt,id\n"a, b",1\n"c ""d""",2\n')),
    "prompts in TSV": _prompts("t.tsv", _text("t.tsv", "prompt\tid\na\t1\nb\t2\n")),
    "prompts in JSON lines": _prompts("t.jsonl", _lines("t.jsonl", {"prompt": "a", "id": "1"}, _TALK)),
    "prompts in JSON": _prompts("t.json", _text("t.json", json.dumps([{"prompt": "a"}, {"prompt": "b"}]))),
    "prompts by principle": _prompts(
        "t.json", _text("t.json", json.dumps({"0": [{"prompt": "a"}], "1_0": [{"prompt": "b"}]}))
    ),
    "prompts in lines": _prompts("t.txt", _text("t.txt", "a\nb\n")),
    "prompts in Parquet": _prompts("t.parquet", _table),
    "pairs": Reader("t.jsonl", _lines("t.jsonl", _PAIR, _PAIR | {"prompt": "When?"}), load_pairs),
    "traces": Reader("t.jsonl", _lines("t.jsonl", _TRACE, _TRACE | {"init_prompt": "When?"}), load_traces),
    "texts for SFT": Reader("t.jsonl", _lines("t.jsonl", {"text": _CHATML}, {"text": _CHATML * 2}), load_sft_rows),
    "multiple choice": Reader(
        "t.jsonl", _lines("t.jsonl", _CHOICE, _CHOICE | {"prompt": "Who?"}), lambda path: load_choices(str(path))
    ),
    "multiple choice of BIG-bench": Reader(
        "t.json",
        _text("t.json", json.dumps({"examples": [{"input": "Which?", "target_scores": {"x": 1, "y": 0}}]})),
        lambda path: load_choices(str(path)),
    ),
    "instructions": Reader(
        "t.jsonl",
        _lines(
            "t.jsonl", {"key": 1, "prompt": "Write.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
        ),
        lambda path: load_instructions(str(path)),
    ),
    "rows on sycophancy": Reader(
        "t.jsonl",
        _lines("t.jsonl", _SYCOPHANCY),
        lambda path: load_rows(str(path)),
    ),
    "rows about harm": Reader("t.jsonl", _lines("t.jsonl", _HARM), lambda path: load_conversations(str(path))),
    "graded replies": Reader(
        "t.jsonl",
        _lines("t.jsonl", _GRADED),
        lambda path: load_graded(str(path)),
    ),
    "labelled answers": Reader(
        "t.csv",
        _text("t.csv", "prompt,response,label\nHow?,So.,1_full_compliance\n"),
        lambda path: load_answers(str(path), Columns("prompt", "response", "label")),
    ),
    "axes of prompts": Reader("a.yaml", _text("a.yaml", "settings: [home, work]\nlanguages: [en]\n"), read_axes),
    "wording of prompts": Reader("a.yaml", _text("a.yaml", CONFIG), read_given_texts),
    "wrapper of attacks": Reader(
        "w.yaml", _text("w.yaml", "name: mine\nuser: 'Say {prompt} now'\nsystem: x\n"), read_wrapper
    ),
    "prices": Reader(
        "p.yaml", _text("p.yaml", "stub: {prompt: 1.0, completion: 10.0}\n"), lambda path: read_prices(str(path))
    ),
    "calibrator": Reader("c.json", _text("c.json", json.dumps(_CALIBRATOR)), read_calibrator),
    "audit": Reader(
        "a.json",
        _text(
            "a.json",
            json.dumps(
                {
                    "judge": "x",
                    "identity": "y",
                    "grade": "A",
                    "advice": ["b"],
                    "labels": 3,
                    "constitution": "c",
                    "quality": {"accuracy": {"value": 0.5, "low": 0.1, "high": 0.9, "n": 4}},
                }
            ),
        ),
        read_audit,
    ),
    "table of a run": Reader("t.parquet", _table, partial(read_table, kind=Prompt)),
    "JSON of a run": Reader("s.json", _text("s.json", json.dumps(_SUMMARY)), read_json),
    "summary of a stage": Reader("s.json", _text("s.json", json.dumps(_SUMMARY)), read_summary),
    "figures of a run": Reader("s.json", _text("s.json", json.dumps(_FIGURES)), read_figures),
    "papers of a shard": Reader(
        "shard.json",
        _text("shard.json", json.dumps(_PAPERS)),
        lambda path: read_papers(path.parent),
    ),
    "journal": Reader("journal.sqlite", _journal, lambda path: (read_journal(path), count_journal(path))),
    "lines with digests": Reader("ratings.jsonl", _rating_lines, read_lines),
    "ratings": Reader("ratings.jsonl", _rating_lines, read_ratings),
    "configuration of a model": Reader(
        "model/config.json", lambda place: make_model(place / "model"), lambda path: resolve_model(str(path.parent))
    ),
    "configuration of a tokenizer": Reader(
        "model/tokenizer_config.json",
        lambda place: make_model(place / "model"),
        lambda path: resolve_model(str(path.parent)),
    ),
    "weights of a model": Reader(
        "model/model.safetensors",
        lambda place: make_model(place / "model"),
        lambda path: resolve_model(str(path.parent)),
    ),
    "index of weights": Reader(
        "model/model.safetensors.index.json",
        lambda place: (
            make_model(place / "model"),
            _text("model/model.safetensors.index.json", '{"weight_map": {"a": "model.safetensors"}}')(place),
        ),
        lambda path: resolve_model(str(path.parent)),
    ),
    "configuration of an adapter": Reader(
        "adapter/adapter_config.json",
        lambda place: make_adapter(place / "adapter", str(make_model(place / "base"))),
        lambda path: resolve_model(str(path.parent)),
    ),
    "shape of a model": Reader(
        "config.json", _text("config.json", json.dumps(_SHAPE)), lambda path: read_shape(path.parent, "x")
    ),
}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder in which one file is changed over and over."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


def _changed(data: bytes, changes: list[tuple[str, float, int, bytes]]) -> bytes:
    for how, where, length, piece in changes:
        at = int(where * len(data))
        if how == "insert":
            data = data[:at] + piece + data[at:]
        elif how == "replace":
            data = data[:at] + piece + data[at + max(1, length % 8) :]
        elif how == "delete":
            data = data[:at] + data[at + length :]
        elif how == "repeat":
            data = data[:at] + data[at : at + length] * 3 + data[at + length :]
        else:
            data = data[:at]
    return data


@pytest.mark.parametrize("name", READERS)
def test_a_changed_file_is_read_or_refused(place: Path, name: str) -> None:
    """Whatever is put in, taken out or cut off: no other error than ours."""
    reader = READERS[name]
    folder = place / "files"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    reader.write(folder)
    path = folder / reader.file
    whole = path.read_bytes()
    reader.read(path)
    n = dict.fromkeys(("read", "refused"), 0)

    @settings(
        max_examples=10_000 if FULL else 40,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(_CHANGES)
    def read(changes: list[tuple[str, float, int, bytes]]) -> None:
        path.write_bytes(_changed(whole, changes))
        try:
            reader.read(path)
        except CharterError:
            n["refused"] += 1
        else:
            n["read"] += 1

    with point("fuzzed readers", name) as tried:
        read()
        tried.outcome = f"{n['read']:,} read, {n['refused']:,} refused"
