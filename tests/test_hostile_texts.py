"""Ten thousand hostile texts through everything that takes text: they come back verbatim, or are refused by name.

Prompts in every file format, constitutions, rendered requests, the journal and each export see the same texts, made
from one seed of pieces that mean something to some reader: braces, formats, templates, tags, control characters, marks
that turn the direction of writing, line ends of every kind, a null, very long lines. Halves of surrogate pairs are
refused where they first come in: no file can hold one.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from charter.constitution import Constitution, Principle, load_constitution, write_constitution
from charter.engines.base import Sampling
from charter.feedback.questions import Question, letter_request, make_asking
from charter.files.tables import read_table, write_table
from charter.given import load_pairs, load_traces
from charter.journal.records import Outcome
from charter.journal.store import Journal
from charter.prompts import load_prompts
from charter.publishing import LAYOUTS, export_rows
from charter.publishing.export import LayoutName
from charter.publishing.layout import What
from charter.records import Message, Pair, Preference, Prompt, Round, SftRow, Trace, make_prompt
from charter.revision.layouts import make_layout
from method_examples import CONSTITUTION

N = 10_000
_PIECES = (
    "{", "}", "{}", "{0}", "{0.__class__.__mro__}", "{principle}", "%s", "%(x)s", "%", "100 %", "{{ 7 * 7 }}",
    "{% for x in y %}", "{# c #}", "${HOME}", "$(id)", "`id`", "<script>alert(1)</script>", "</td>", "&lt;",
    "<|im_end|>", "<|im_start|>system\n", "[INST]", "</s>", "\n\nHuman: ", "\n\nAssistant: ", "CritiqueRequest:",
    "(A)", "Options:", ": ", "- ", "# ", "---", "...", "&a", "*a", "!!python/object:os.system", "'", '"', '""', "\\",
    "\\n", "\\u0000", "\x00", "\x01", "\x07", "\x1b[31m", "\x7f", "\x85", "\xa0", "\u200b", "\u200f", "\u202e",
    "\u2066", "\u2028", "\u2029", "\ufeff", "\ufffe", "\r", "\n", "\r\n", "\n\r", "\t", " ", "  ", ",", ";", "=1+1",
    "@x", "+1", "-1", "\U0001f600", "e\u0301", "\u0130", "\U000e0041", "null", "true", "NaN", "1e999", "0x41", "word",
    "a sentence of words", "\u0103", "\u6f22\u5b57", "\u0627\u0644",
)  # fmt: skip


def _texts() -> tuple[str, ...]:
    """Draw distinct texts that hold more than white space; a few of them are very long lines."""
    draw = random.Random(7)  # noqa: S311 - no secret
    found: dict[str, None] = {}
    while len(found) < N:
        text = "".join(draw.choices(_PIECES, k=draw.randint(1, 12)))
        if len(found) % 1000 == 0:
            text = f"{text}{'x' * 50_000}{text}"
        if text.strip():
            found[text] = None
    return tuple(found)


TEXTS = _texts()
pytestmark = pytest.mark.slow


def _csv(texts: Sequence[str]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("prompt",), *([one] for one in texts)])
    return out.getvalue()


_WRITERS: dict[str, Callable[[Sequence[str]], str]] = {
    "x.csv": _csv,
    "x.jsonl": lambda texts: "".join(json.dumps({"prompt": one}) + "\n" for one in texts),
    "x.json": lambda texts: json.dumps([{"prompt": one} for one in texts], ensure_ascii=False),
}


@pytest.mark.parametrize("name", [*_WRITERS, "x.parquet"])
def test_prompts_come_back_verbatim(tmp_path: Path, name: str) -> None:
    """From every file format each text is read as it is, or its row is named."""
    path = tmp_path / name
    if name == "x.parquet":
        rows = [make_prompt(text, "helpful", id=str(number)) for number, text in enumerate(TEXTS)]
        write_table(path, rows, Prompt)
        assert [row.text for row in read_table(path, Prompt)] == list(TEXTS)
        return
    path.write_bytes(_WRITERS[name](TEXTS).encode("utf-8"))
    loaded = load_prompts(str(path), "red_team", column="prompt", layout="rows")
    assert [prompt.text for prompt in loaded.prompts] == list(TEXTS)
    assert loaded.rejected == {}


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_constitutions_come_back_verbatim(tmp_path: Path, suffix: str) -> None:
    """Each text as a principle's text, its requests, its source and its metadata."""
    path = tmp_path / f"c.{suffix}"
    for first in range(0, N, 1000):
        principles = tuple(
            Principle(
                id=f"p{number}", text=text[:4000], critique_request=text[:4000], revision_request=text[:4000],
                choice_question=text[:4000], source=text[:4000], metadata={text[:400]: text[:400]},
            )
            for number, text in enumerate(TEXTS[first : first + 1000])
        )  # fmt: skip
        constitution = Constitution(name="c", principles=principles)
        for begin in range(0, len(principles), 250):  # a file of a constitution is small
            part = constitution.model_copy(update={"principles": principles[begin : begin + 250]})
            write_constitution(part, path)
            assert load_constitution(path) == part


def test_requests_hold_each_text_verbatim() -> None:
    """What a model is shown holds the text as it is: no slot in it is filled, nothing of it is taken for markup."""
    asking = make_asking(CONSTITUTION)
    layouts = [make_layout("chat", CONSTITUTION), make_layout("transcript", CONSTITUTION)]
    for text in TEXTS:
        first, second, third = (f"<{n}{text}{n}>" for n in (1, 2, 3))
        prompt = make_prompt(first, "red_team")
        principle = CONSTITUTION.principles[0].model_copy(update={"critique_request": third, "revision_request": third})
        requests = [
            letter_request(asking, Question(prompt, third, second, second)),
            *(layout.critique(prompt, second, principle, Sampling()) for layout in layouts),
            *(layout.revision(prompt, second, principle, "a critique", Sampling()) for layout in layouts),
        ]
        for request in requests:
            shown = request.text or "".join(turn.content for turn in request.messages or ())
            assert all(one in shown for one in (first, second, third))


def test_the_journal_gives_each_text_back(tmp_path: Path) -> None:
    """As a key, a payload, a row's name and a reason; after the file was closed and opened again."""
    with Journal(tmp_path / "journal.sqlite") as journal:
        for text in TEXTS:
            journal.put(text, text)
            journal.record("revise", text, Outcome("filtered", text))
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert all(journal.get(text) == text for text in TEXTS)
        ends = journal.outcomes("revise")
        assert journal.n_damaged == 0
    assert {row: end.payload for row, end in ends.items()} == {text: text for text in TEXTS}


def _rows() -> dict[What, list[object]]:
    prompts = [make_prompt(text, "red_team", id=f"p{number}") for number, text in enumerate(TEXTS)]
    traces: list[object] = []
    preferences: list[object] = []
    sft: list[object] = []
    for prompt, text in zip(prompts, reversed(TEXTS), strict=True):
        one = Round(
            number=1, principle="kind", critique_request=text, critique=text, revision_request=text, revision=f"{text}."
        )
        traces.append(Trace(id=f"t{prompt.id}", prompt=prompt, initial=text, rounds=(one,)))
        sft.append(SftRow(id=f"s{prompt.id}", prompt=prompt, response=text, origin="revision 1"))
        preferences.append(
            Preference(
                id=f"f{prompt.id}", prompt=prompt, chosen=text, rejected=f"{text}.", p_chosen=0.9, source="given",
                verdicts=(), pair=prompt.id, chosen_side="a", p_judge=0.9, position_bias=0.0,
            )
        )  # fmt: skip
    return {"traces": traces, "preferences": preferences, "sft": sft}


@pytest.mark.parametrize("layout", [name for name, parts in LAYOUTS.items() if "preferences" in parts])
def test_every_export_gives_each_text_back(tmp_path: Path, layout: LayoutName) -> None:
    """What a layout can hold is read back as it was; what it cannot is left out and counted, and none is changed."""
    rows = _rows()["preferences"]
    exported = export_rows({"preferences": rows}, tmp_path / "out", layout)
    n_left_out = sum(exported.left_out.get("preferences", {}).values())
    assert sum(exported.files.values()) + n_left_out == N
    found = [load_pairs(tmp_path / "out" / name) for name in exported.files]
    assert sum(len(one.pairs) + len(one.left_out) for one in found) + n_left_out == N
    chosen = {_better(pair): pair.prompt.text for one in found for pair in one.pairs}
    expected = {one.chosen: one.prompt.text for one in rows if isinstance(one, Preference)}
    assert chosen.items() <= expected.items()
    assert len(chosen) > 0.8 * N


def test_given_traces_come_back(tmp_path: Path) -> None:
    """Traces in the native layout are equal after a journey there and back."""
    rows = _rows()["traces"]
    exported = export_rows({"traces": rows}, tmp_path / "out", "native")
    loaded = load_traces(tmp_path / "out" / next(iter(exported.files)))
    assert list(loaded.traces) == rows


def _better(pair: Pair) -> str:
    return pair.a if pair.intended == "a" else pair.b


@pytest.mark.parametrize("half", ["\ud800", "a\udfffb", "{\ud912}"])
def test_half_a_surrogate_pair_is_refused_by_name(half: str) -> None:
    """No file can hold one, so that it is refused where it first comes in."""
    with pytest.raises(ValidationError, match="half of a surrogate pair"):
        Message(role="user", content=half)
