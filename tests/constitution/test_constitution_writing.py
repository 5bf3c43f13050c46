"""Writing constitutions: what is written reads back equal."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charter.constitution import (
    Constitution,
    FewShots,
    JudgeExample,
    Principle,
    ReviseExample,
    SystemTexts,
    list_constitutions,
    load_constitution,
    write_constitution,
)
from charter.errors import ConstitutionError
from charter.records import Message

_AWKWARD = st.sampled_from(
    [
        "{principle} {0} {{x}}",
        "100 % %s %(x)s",
        "  leading spaces",
        "trailing \n",
        "key: value",
        "- item",
        "# comment",
        "\r\n",
        "line\r\nline",
        "line\n  indented\n\nblank above",
        "\nstarts with a break",
        "ends with two\n\n",
        "\t",
        "no",
        "1.0",
        "0o17",
        "null",
        "~",
        "=",
        "<<",
        "*x",
        "&x",
        "!x",
        "2026-01-31",
        "\u2028",
        "a\u0085b",
        "\ufeff",
        "\x00\x1b\x7f",
        "ă „î” 漢字 🙂",
        "---",
        "...\n---",
        "%YAML 1.2",
        "'\"\\",
    ]
)
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30) | _AWKWARD
_LINES = st.lists(_TEXT, max_size=4).map("\n".join)
_ANY = _TEXT | _LINES
_FULL = _ANY.filter(bool)
_VALUE = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | _ANY
_METADATA = st.dictionaries(
    _ANY, _VALUE | st.lists(_VALUE, max_size=3) | st.dictionaries(_ANY, _VALUE, max_size=2), max_size=3
)
_MESSAGE = st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=_ANY)


def _principles() -> st.SearchStrategy[tuple[Principle, ...]]:
    ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True) | st.sampled_from(["1", "1.0", "no", "true"])
    principle = st.builds(
        Principle,
        id=ids,
        text=_FULL,
        critique_request=_FULL,
        revision_request=_FULL,
        choice_question=_FULL,
        title=_ANY,
        category=_ANY,
        weight=st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False) | st.just(1.0),
        uses=st.sampled_from([("revise",), ("judge",), ("judge", "revise"), ("revise", "judge")]),
        language=_ANY,
        source=_ANY,
        licence=_ANY,
        source_id=_ANY,
        base=_ANY,
        metadata=_METADATA,
    )
    return st.lists(principle, min_size=1, max_size=3, unique_by=lambda one: one.id).map(tuple)


def _few_shots() -> st.SearchStrategy[FewShots]:
    revise = st.builds(
        ReviseExample,
        messages=st.lists(_MESSAGE, min_size=2, max_size=3).map(tuple),
        critique_request=_ANY,
        critique=_ANY,
        revision_request=_ANY,
        revision=_ANY,
    )
    judge = st.builds(
        JudgeExample,
        messages=st.lists(_MESSAGE, min_size=1, max_size=2).map(tuple),
        question=_ANY,
        a=_ANY,
        b=_ANY,
        reasoning=_ANY,
        answer=st.sampled_from("AB"),
    )
    return st.builds(
        FewShots, revise=st.lists(revise, max_size=2).map(tuple), judge=st.lists(judge, max_size=2).map(tuple)
    )


_CONSTITUTIONS = st.builds(
    Constitution,
    name=_FULL,
    version=st.from_regex(r"(0|[1-9]\d?)\.(0|[1-9]\d?)\.(0|[1-9]\d?)(-[a-z0-9.]+)?", fullmatch=True),
    description=_ANY,
    language=_ANY,
    licence=_ANY,
    system=st.builds(SystemTexts, respond=_ANY, critique=_ANY, revise=_ANY, judge=_ANY),
    principles=_principles(),
    few_shots=_few_shots(),
    bases=st.lists(_FULL, max_size=2).map(tuple),
    metadata=_METADATA,
)


def minimal(text: str) -> Constitution:
    """A constitution of one principle with this text everywhere."""
    principle = Principle(id="a", text=text, critique_request=text, revision_request=text, choice_question=text)
    return Constitution(name="x", principles=(principle,), description=text)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
@given(constitution=_CONSTITUTIONS)
@example(constitution=minimal("  a\n b: {c}\r\n 100 %\n\n"))
def test_what_is_written_reads_back_equal(suffix: str, constitution: Constitution) -> None:
    """Any constitution survives, character by character."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"my.{suffix}"
        write_constitution(constitution, path)
        assert load_constitution(path) == constitution


@pytest.mark.parametrize("name", list_constitutions())
def test_built_in_constitutions_round_trip(name: str, tmp_path: Path) -> None:
    """The library's own files survive too."""
    constitution = load_constitution(name)
    write_constitution(constitution, tmp_path / "copy.yaml")
    assert load_constitution(tmp_path / "copy.yaml") == constitution


def test_the_file_is_for_people(tmp_path: Path) -> None:
    """Long text stands as it is, on its own lines; what is empty or the default is left out."""
    path = tmp_path / "my.yaml"
    write_constitution(minimal("Two lines:\nthe second"), path)
    block = "|-\n      Two lines:\n      the second\n"
    assert path.read_text(encoding="utf-8") == (
        "name: x\nversion: 0.1.0\ndescription: |-\n  Two lines:\n  the second\nlanguage: en\nprinciples:\n"
        f"  - id: a\n    text: {block}    critique_request: {block}    revision_request: {block}"
        f"    choice_question: {block}"
    )


def test_the_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left beside the file, and a fault while writing leaves the old one as it was."""
    path = tmp_path / "my.yaml"
    write_constitution(minimal("x"), path)
    before = path.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ConstitutionError, match=r"my\.yaml: cannot be written \(No space left on device\)"):
        write_constitution(minimal("y"), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """Where the file cannot be written, the error says which."""
    with pytest.raises(ConstitutionError, match=r"my\.yaml: cannot be written \(No such file or directory\)"):
        write_constitution(minimal("x"), tmp_path / "none" / "my.yaml")
