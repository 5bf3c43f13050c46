"""Attack wrappers: what each makes of a prompt, to the letter, and what a file of one's own may hold."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from charter.engines.base import CompletionRequest
from charter.errors import UserError
from charter.evaluation.attacks import BUILT_IN, PLAIN, USUAL, choose_wrappers, read_wrapper, translated
from charter.records import Prompt
from method_examples import CONVERSATION, PROMPT, shown

OWN = {
    "name": "letter",
    "system": "You write {letters}.",
    "user": "A letter, 100 %s:\n\n{prompt}\n\nEnd of {letter}.",
    "prefill": "Dear ",
}


def write(path: Path, **texts: object) -> Path:
    """Write a wrapper's file."""
    import yaml

    path.write_text(yaml.safe_dump(texts, allow_unicode=True), "utf-8")
    return path


def request_of(name: str, prompt: Prompt) -> str:
    """Write what a built-in wrapper has a model shown."""
    wrapped = BUILT_IN[name].wrap(prompt)
    return shown(CompletionRequest(messages=wrapped.turns, prefill=wrapped.prefill))


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("prompt", [PROMPT, CONVERSATION], ids=["prompt", "conversation"])
def test_what_a_model_is_asked(name: str, prompt: Prompt, snapshot: SnapshotAssertion) -> None:
    """Every wrapper around a lone request with slots in it, and around a conversation with a system text."""
    assert request_of(name, prompt) == snapshot


def test_plain_changes_nothing() -> None:
    """What attacks are compared with is the prompt."""
    assert BUILT_IN[PLAIN].wrap(CONVERSATION).turns == CONVERSATION.turns
    assert not BUILT_IN[PLAIN].wrap(CONVERSATION).prefill
    assert USUAL[0] == PLAIN


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != PLAIN])
def test_each_wrapper_changes_what_is_asked(name: str) -> None:
    """No two wrappers are one; all keep the turns before the request, and end with the user's."""
    others = {request_of(other, CONVERSATION) for other in BUILT_IN if other != name}
    assert request_of(name, CONVERSATION) not in others
    turns = BUILT_IN[name].wrap(CONVERSATION).turns
    assert CONVERSATION.turns[1:-1] == turns[-3:-1]
    assert turns[-1].role == "user"
    assert [turn.role for turn in turns].count("system") == 1
    assert CONVERSATION.turns[0].content in turns[0].content


def test_base64_can_be_decoded() -> None:
    """The request is in it whole."""
    said = BUILT_IN["base64"].wrap(PROMPT).turns[-1].content
    assert base64.b64decode(said.rpartition("\n")[2]).decode() == PROMPT.text


def test_a_translation_covers_what_was_translated(snapshot: SnapshotAssertion) -> None:
    """The text is the translator's, and the answer is asked for in English."""
    wrapper = translated("French", {PROMPT.id: "Comment {ouvrir} un bocal ?"})
    assert (wrapper.name, wrapper.covers, wrapper.is_plain_english) == (
        "translation:French", frozenset({PROMPT.id}), False,
    )  # fmt: skip
    assert wrapper.wrap(PROMPT).turns[-1].content == snapshot


def test_a_wrapper_of_ones_own(tmp_path: Path) -> None:
    """Texts are taken as they stand; one slot is replaced, and slots in the prompt are not."""
    wrapper = read_wrapper(write(tmp_path / "own.yaml", **OWN))
    wrapped = wrapper.wrap(PROMPT.model_copy(update={"turns": (PROMPT.turns[0],)}))
    assert wrapper.name == "letter"
    assert [(turn.role, turn.content) for turn in wrapped.turns] == [
        ("system", "You write {letters}."),
        ("user", f"A letter, 100 %s:\n\n{PROMPT.text}\n\nEnd of {{letter}}."),
    ]
    assert wrapped.prefill == "Dear "
    inner = PROMPT.model_copy(update={"turns": (PROMPT.turns[0].model_copy(update={"content": "say {prompt}"}),)})
    assert "\n\nsay {prompt}\n\n" in wrapper.wrap(inner).turns[-1].content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user": "no slot"}, r"own\.yaml:\d: 'user' has \{prompt\} 0 times; expected once"),
        ({"user": "{prompt} {prompt}"}, "2 times"),
        ({"prefil": "x"}, "'prefil' is no key of a wrapper .*did you mean \"prefill\""),
        ({"system": "{prompt}"}, "replaced in 'user' alone"),
        ({"prefill": 3}, "'prefill' is 3; expected a text"),
        ({"name": " "}, "'name' is missing or empty"),
        ({"name": "persona"}, "'persona' is a built-in wrapper"),
        ({"name": "translation:x"}, "is a built-in wrapper"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """File, line, value and what is expected."""
    path = write(tmp_path / "own.yaml", **(OWN | change))
    with pytest.raises(UserError, match=message) as caught:
        read_wrapper(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_no_wrapper(tmp_path: Path) -> None:
    """A list is none."""
    (tmp_path / "x.yaml").write_text("- a\n")
    with pytest.raises(UserError, match="expected name, user and"):
        read_wrapper(tmp_path / "x.yaml")


def test_wrappers_are_chosen_by_name_file_and_language(tmp_path: Path) -> None:
    """The bare prompts come first, each wrapper once; languages are told apart from them."""
    own = str(write(tmp_path / "own.yaml", **OWN))
    chosen = choose_wrappers(["persona", own, "translation:Zulu", "persona", "translation:French", "translation:Zulu"])
    assert [one.name for one in chosen.wrappers] == [PLAIN, "persona", "letter"]
    assert chosen.languages == ("Zulu", "French")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("persoan", 'expected plain, system-prompt.*did you mean "persona"'),
        ("translation", "names no language"),
        ("nowhere.yaml", "nowhere.yaml: cannot be read"),
    ],
)
def test_what_is_no_wrapper_is_named(text: str, message: str) -> None:
    """Misspelt names, a missing language, a missing file."""
    with pytest.raises(UserError, match=message):
        choose_wrappers([text])


def test_two_wrappers_of_one_name(tmp_path: Path) -> None:
    """Figures could not be told apart."""
    paths = [str(write(tmp_path / f"{n}.yaml", **OWN)) for n in "ab"]
    with pytest.raises(UserError, match="another wrapper is called 'letter'"):
        choose_wrappers(paths)
