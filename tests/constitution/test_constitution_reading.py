"""Reading constitutions: what is right is read verbatim, what is wrong is named with line and remedy."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from charter.constitution import Constitution, list_constitutions, load_constitution
from charter.errors import ConstitutionError

GOOD = """\
name: mine
principles:
  - id: kind
    text: Be kind
  - id: true
    text: Be honest
"""


def load(tmp_path: Path, text: str, name: str = "my.yaml") -> Constitution:
    """Read a constitution from text."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_constitution(path)


def refusal(tmp_path: Path, text: str, name: str = "my.yaml") -> str:
    """Read a file that must be refused, and give back the message with the folder left out."""
    with pytest.raises(ConstitutionError) as caught:
        load(tmp_path, text, name)
    return str(caught.value).replace(f"{tmp_path}{os.sep}", "")


def test_a_minimal_file_is_enough(tmp_path: Path) -> None:
    """A name and principles with id and text; the requests follow from the text."""
    constitution = load(tmp_path, GOOD.replace("id: true", "id: truth"))
    assert constitution.ids == ("kind", "truth")
    assert "Be kind." in constitution.principles[0].critique_request
    assert constitution.principles[1].choice_question.endswith("Which response follows this principle better?")


def test_json_is_read_too(tmp_path: Path) -> None:
    """The same structure as JSON gives the same constitution."""
    as_yaml = load(tmp_path, GOOD.replace("id: true", "id: truth"))
    principles = [{"id": "kind", "text": "Be kind"}, {"id": "truth", "text": "Be honest"}]
    as_json = load(tmp_path, json.dumps({"name": "mine", "principles": principles}), "my.json")
    assert as_json == as_yaml


def test_text_is_verbatim(tmp_path: Path) -> None:
    """Words that other YAML readers turn into booleans or dates stay words."""
    text = (
        'name: no\nversion: "1.0.0"\nprinciples:\n  - id: "1"\n    text: " {x}: 100 %\\r\\n "\n    title: 2026-01-31\n'
    )
    constitution = load(tmp_path, text)
    assert constitution.name == "no"
    assert constitution.version == "1.0.0"
    assert constitution.principles[0].text == " {x}: 100 %\r\n "
    assert constitution.principles[0].title == "2026-01-31"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "my.yaml:1: the file is empty; a constitution needs a name and principles"),
        (
            "Be nice.\n",
            'my.yaml:1: the file holds the text "Be nice.", and fits no layout of a constitution. Expected one of:\n',
        ),
        ("name: x\n", 'my.yaml:1: "principles" is missing; list at least one principle'),
        ("name: x\nprinciples: []\n", 'my.yaml:2: "principles" holds 0 items; give it at least 1'),
        ("principles:\n  - {id: a, text: b}\n", 'my.yaml:1: "name" is missing; give the constitution a name'),
        ("name: x\nprinciples: nice\n", 'my.yaml:2: "principles" is the text "nice"; expected a list'),
        ("name: x\nprinciples:\n  - nice\n", 'my.yaml:3: principles: item 1 is the text "nice"; expected a mapping'),
        ("name: x\nprinciples:\n", 'my.yaml:2: "principles" has no value; write one'),
        (
            "name: x\nversion: 1.0\nprinciples:\n  - {id: a, text: b}\n",
            'my.yaml:2: "version" is the number 1.0; expected text; put it in quotes if it is meant as text',
        ),
        (GOOD, 'my.yaml:5: principle 2: "id" is the truth value true; expected text; put it in quotes'),
        (
            "name: x\nprinciples:\n  - text: b\n",
            'my.yaml:3: principle 1: "id" is missing; give the principle a short, lasting id such as "privacy"',
        ),
        (
            "name: x\nprinciples:\n  - id: a\n",
            'my.yaml:3: principle "a": "text" is missing; state the principle in its text, and the requests follow',
        ),
        (
            'name: x\nprinciples:\n  - id: a\n    text: ""\n',
            'my.yaml:4: principle "a": "text" is empty; write its text',
        ),
        (
            "name: x\nprinciples:\n  - id: a\n    text: b\n    critique_request:\n",
            'my.yaml:5: principle "a": "critique_request" has no value; write one, or leave the key out',
        ),
        (
            "name: x\nprinciples:\n  - id: a b\n    text: b\n",
            'my.yaml:3: principle "a b": id "a b" is not usable; begin with a letter or digit',
        ),
        (
            "name: x\nprinciples:\n  - id: a\n    text: b\n    weight: heavy\n",
            'my.yaml:5: principle "a": "weight" is the text "heavy"; expected a number',
        ),
        (
            'name: x\nprinciples:\n  - id: a\n    text: b\n    weight: "2"\n',
            'my.yaml:5: principle "a": "weight" is the text "2"; expected a number',
        ),
        (
            "name: x\nprinciples:\n  - id: a\n    text: b\n    weight: 0\n",
            'my.yaml:5: principle "a": "weight" is the number 0; expected a number above 0',
        ),
        (
            "name: x\nprinciples:\n  - id: a\n    text: b\n    weight: .inf\n",
            'my.yaml:5: principle "a": "weight" is the number inf; expected a finite number',
        ),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    """Each fault says file, line, value, what was expected and what to do."""
    assert message in refusal(tmp_path, text)


def test_extending_nothing_is_fine(tmp_path: Path) -> None:
    """An empty list names nothing."""
    (tmp_path / "my.yaml").write_text("name: x\nprinciples:\n  - {id: a, text: b}\nextends: []\n", "utf-8")
    assert load_constitution(tmp_path / "my.yaml").ids == ("a",)


def test_faults_in_few_shots_are_placed(tmp_path: Path) -> None:
    """A place in a list is counted from 1."""
    example = "{messages: [{role: human, content: hi}], a: x, b: y, answer: C}"
    text = f"name: x\nprinciples:\n  - {{id: a, text: b}}\nfew_shots:\n  judge:\n    - {example}\n"
    assert refusal(tmp_path, text) == (
        'my.yaml:6: few_shots.judge[1].messages[1]: "role" is the text "human"; '
        'expected "system", "user" or "assistant"\n'
        'my.yaml:6: few_shots.judge[1]: "answer" is the text "C"; expected "A" or "B"'
    )


def test_a_repeated_id_names_both_lines(tmp_path: Path) -> None:
    """The second use is the fault, the first is where to look."""
    text = "name: x\nprinciples:\n  - text: a\n    id: x\n  - text: b\n    id: x\n"
    assert refusal(tmp_path, text) == (
        'my.yaml:6: principle id "x" is used twice (first on line 4); give each principle its own id'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("principels: []\n", 'unknown key "principels"; did you mean "principles"? (keys here: name, version,'),
        ("system: {judeg: x}\n", 'system: unknown key "judeg"; did you mean "judge"? (keys here: respond, critique,'),
        ("few_shots: {revision: []}\n", 'few_shots: unknown key "revision"; did you mean "revise"?'),
        ("zebra: 1\n", 'unknown key "zebra" (keys here: name,'),
    ],
)
def test_unknown_keys_name_the_nearest(tmp_path: Path, text: str, message: str) -> None:
    """A typo is answered with the key that was probably meant."""
    found = refusal(tmp_path, "name: x\nprinciples:\n  - {id: a, text: b}\n" + text)
    assert f"my.yaml:4: {message}" in found


def test_unknown_key_in_a_principle(tmp_path: Path) -> None:
    """The principle is named too."""
    found = refusal(tmp_path, "name: x\nprinciples:\n  - id: a\n    text: b\n    critique_reqest: c\n")
    assert 'my.yaml:5: principle "a": unknown key "critique_reqest"; did you mean "critique_request"?' in found


def test_all_faults_are_reported_in_order(tmp_path: Path) -> None:
    """One reading tells everything, up to ten, by line."""
    lines = refusal(tmp_path, "zebra: 1\nname: 2\nprinciples:\n  - id: a\n    text: 3\n").splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "2", "5"]
    many = refusal(tmp_path, "name: x\nprinciples: [{}, {}, {}, {}, {}, {}, {}]\n").splitlines()
    assert len(many) == 11
    assert many[-1] == "my.yaml: and 4 more faults"


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("name: &a x\nprinciples: [*a]\n", 'my.yaml:1: the anchor "&a" is not allowed'),
        ("name: !x y\n", 'my.yaml:1: the tag "!x" is not allowed'),
        ("name: x\nname: y\n", 'my.yaml:2: key "name" is used twice (first on line 1)'),
        ("[" * 60, "my.yaml:1: values are nested more than 50 deep"),
        ("name: a: b\n", "my.yaml:1: this is not valid YAML"),
    ],
)
def test_unsafe_yaml_is_a_constitution_error(tmp_path: Path, text: str, piece: str) -> None:
    """What the YAML reader refuses arrives as the constitution's own error."""
    assert piece in refusal(tmp_path, text)


def test_a_missing_file_lists_the_built_in_names() -> None:
    """A typo in a built-in name is answered with the name."""
    with pytest.raises(ConstitutionError) as caught:
        load_constitution("harmles")
    message = str(caught.value)
    assert message.startswith("there is no constitution 'harmles': it is neither a file nor a built-in")
    assert 'did you mean "harmless"?' in message
    assert f"(built in: {', '.join(list_constitutions())})" in message


@pytest.mark.parametrize("source", ["", "x" * 5_000, "name: x\nprinciples: []", "a\0b"])
def test_what_is_no_path_is_refused(source: str) -> None:
    """The text of a constitution in place of its path is told apart."""
    with pytest.raises(ConstitutionError, match="neither a file nor a built-in"):
        load_constitution(source)


def test_a_path_is_never_a_built_in_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Path means a file, a bare built-in name means the built-in."""
    monkeypatch.chdir(tmp_path)
    Path("harmless").write_text("name: other\nprinciples:\n  - {id: a, text: b}\n", encoding="utf-8")
    assert load_constitution("harmless").name == "harmless"
    assert load_constitution(Path("harmless")).name == "other"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder without files of data is no constitution."""
    with pytest.raises(ConstitutionError, match="the folder holds no constitution"):
        load_constitution(tmp_path)


def test_the_model_refuses_repeated_ids() -> None:
    """A constitution made in code cannot repeat an id either."""
    principle = load_constitution("harmless").principles[0]
    with pytest.raises(ValueError, match="used more than once: violence"):
        Constitution(name="x", principles=(principle, principle))
