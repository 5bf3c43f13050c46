"""Constitutions that extend others: what is taken over, who goes before whom, and what is refused by line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from charter.constitution import Constitution, load_constitution, write_constitution
from charter.constitution.versions import in_range, next_version, parse_version
from charter.errors import ConstitutionError

BASE = """\
name: base
version: 1.2.0
licence: CC-BY-4.0
system: {respond: You help., judge: You compare.}
principles:
  - {id: kind, text: The assistant is kind., category: manner}
  - {id: brief, text: The assistant is brief., category: form, weight: 2, critique_request: Too long?}
few_shots:
  revise:
    - {messages: [{role: user, content: q}, {role: assistant, content: r}], critique_request: c, critique: d,
       revision_request: e, revision: f}
"""


def put(folder: Path, **files: str) -> None:
    """Write files of constitutions, by their names without the ending."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")


def load(folder: Path, text: str, **files: str) -> Constitution:
    """Read a constitution that extends others."""
    put(folder, mine=f"name: mine\n{text}", **{"base": BASE, **files})
    return load_constitution(folder / "mine.yaml")


def refusal(folder: Path, text: str, **files: str) -> str:
    """Give the message of one that must be refused, without the folder."""
    with pytest.raises(ConstitutionError) as caught:
        load(folder, text, **files)
    return str(caught.value).replace(f"{folder}{os.sep}", "")


def small(name: str, **fields: Any) -> str:
    """Write a file of one principle."""
    text = fields.pop("text", "Be a.")
    lines = "".join(f"{key}: {value}\n" for key, value in fields.items())
    return f"name: {name}\n{lines}principles:\n  - {{id: a, text: {text}}}\n"


def test_bases_come_first_and_own_principles_after(tmp_path: Path) -> None:
    """Order, origin, licence, few-shots and system texts of a file that adds one principle."""
    mine = load(tmp_path, "extends: [base.yaml]\nprinciples:\n  - {id: true-to-fact, text: Be true.}\n")
    assert mine.ids == ("kind", "brief", "true-to-fact")
    assert [one.base for one in mine.principles] == ["base 1.2.0", "base 1.2.0", ""]
    assert [one.licence for one in mine.principles] == ["CC-BY-4.0", "CC-BY-4.0", ""]
    assert mine.bases == ("base 1.2.0",)
    assert (mine.name, mine.version, mine.licence) == ("mine", "0.1.0", "")
    assert mine.system.respond == "You help."
    assert [one.revision for one in mine.few_shots.revise] == ["f"]


def test_a_file_may_have_no_principles_of_its_own(tmp_path: Path) -> None:
    """It has its base's."""
    assert load(tmp_path, "extends: [base.yaml]\n").ids == ("kind", "brief")
    assert load(tmp_path, "extends: [base.yaml]\nprinciples: []\n").ids == ("kind", "brief")


def test_built_in_constitutions_are_extended_by_name(tmp_path: Path) -> None:
    """A name that is built in goes before a path."""
    mine = load(tmp_path, "extends: [harmless]\n")
    assert mine.ids == load_constitution("harmless").ids
    assert mine.bases == ("harmless 1.0.0",)


def test_a_text_of_ones_own_replaces_the_whole_principle(tmp_path: Path) -> None:
    """Nothing of the base's is left but the place; requests follow from the new text."""
    mine = load(tmp_path, "extends: [base.yaml]\nprinciples:\n  - {id: brief, text: Say it in one line.}\n")
    assert mine.ids == ("kind", "brief")
    brief = mine.principle("brief")
    assert (brief.weight, brief.category, brief.base) == (1.0, "", "")
    assert "Say it in one line." in brief.critique_request


def test_without_a_text_only_what_is_given_changes(tmp_path: Path) -> None:
    """The rest is the base's."""
    mine = load(tmp_path, "extends: [base.yaml]\nprinciples:\n  - {id: brief, weight: 5, revision_request: Cut.}\n")
    was, now = load_constitution(tmp_path / "base.yaml").principle("brief"), mine.principle("brief")
    assert (now.weight, now.revision_request) == (5.0, "Cut.")
    assert (now.text, now.critique_request, now.category) == (was.text, was.critique_request, was.category)
    assert now.base == "base 1.2.0"


def test_weights_ids_and_categories(tmp_path: Path) -> None:
    """A base's weights are multiplied; what is taken is named by id or category, and left out the same way."""
    entry = "{source: base.yaml, weight: 0.5, only: [manner, brief]}"
    assert [one.weight for one in load(tmp_path, f"extends: [{entry}]\n").principles] == [0.5, 1.0]
    assert load(tmp_path, "extends: [{source: base.yaml, only: [manner]}]\n").ids == ("kind",)
    assert load(tmp_path, "extends: [{source: base.yaml, without: [manner]}]\n").ids == ("brief",)


def test_own_system_texts_and_examples_go_first(tmp_path: Path) -> None:
    """Also an empty text is a decision; an example that both have is there once."""
    example = BASE.partition("few_shots:\n")[2]
    own = "system: {judge: '', respond: Mine.}\nfew_shots:\n" + example.replace("content: q", "content: p")
    mine = load(tmp_path, f"extends: [base.yaml]\n{own}{example.partition('revise:' + chr(10))[2]}")
    assert (mine.system.judge, mine.system.respond) == ("", "Mine.")
    assert [one.messages[0].content for one in mine.few_shots.revise] == ["p", "q"]


def test_two_bases_that_differ_are_a_clash(tmp_path: Path) -> None:
    """Both places and the remedies are named; a text of one's own, or leaving one out, settles it."""
    other = BASE.replace("name: base", "name: other").replace("is kind.", "is warm.")
    message = refusal(tmp_path, "extends:\n  - base.yaml\n  - other.yaml\n", other=other)
    assert message == (
        'mine.yaml:4: two bases give principle "kind" differently (text, critique_request, revision_request, '
        "choice_question): base.yaml:6 and other.yaml:6; leave one out with without: [kind] at its base, or write the "
        "principle here with a text"
    )
    settled = load(tmp_path, "extends: [base.yaml, other.yaml]\nprinciples: [{id: kind, text: Kind.}]\n", other=other)
    assert settled.principle("kind").text == "Kind."
    left = load(tmp_path, "extends: [{source: base.yaml, without: [kind]}, other.yaml]\n", other=other)
    assert left.principle("kind").text == "The assistant is warm."
    assert "two bases" in refusal(
        tmp_path, "extends: [base.yaml, other.yaml]\nprinciples: [{id: kind, weight: 2}]\n", other=other
    )


def test_system_texts_clash_too(tmp_path: Path) -> None:
    """Nobody has decided which of two texts the judge is shown."""
    other = small("other", system="{judge: You choose.}")
    message = refusal(tmp_path, "extends: [base.yaml, other.yaml]\n", other=other)
    assert message == (
        "mine.yaml:2: system.judge differs between the bases base 1.2.0 and other 0.1.0; write the one that is meant "
        "under system"
    )
    assert load(tmp_path, "extends: [base.yaml, other.yaml]\nsystem: {judge: X}\n", other=other).system.judge == "X"
    mine = load(tmp_path, "extends: [base.yaml, other.yaml]\n", other=small("other"))  # it says nothing of judging
    assert mine.system.judge == "You compare."


def test_a_principle_reached_twice_is_no_clash(tmp_path: Path) -> None:
    """Two bases on one base give its principles once, also where one of them is in another language."""
    left, right = "name: left\nextends: [base.yaml]\n", "name: right\nlanguage: ro\nextends: [base.yaml]\n"
    mine = load(tmp_path, "extends: [left.yaml, right.yaml, base.yaml]\n", left=left, right=right)
    assert mine.ids == ("kind", "brief")
    assert mine.bases == ("base 1.2.0", "left 0.1.0", "right 0.1.0")
    assert {one.base for one in mine.principles} == {"base 1.2.0"}


def test_a_changed_diamond_is_a_clash(tmp_path: Path) -> None:
    """One way halves the weights, the other does not."""
    left = "name: left\nextends: [{source: base.yaml, weight: 0.5}]\n"
    assert "differently (weight): " in refusal(tmp_path, "extends: [left.yaml, base.yaml]\n", left=left)


def test_languages_are_said_where_they_are_not_the_constitutions(tmp_path: Path) -> None:
    """An inherited principle keeps its language; a file that names none has that of its bases."""
    ro = small("ro", language="ro", text="Fii bun.")
    both = load(tmp_path, "extends: [base.yaml, ro.yaml]\n", ro=ro)
    assert both.language == "en"
    assert [one.language for one in both.principles] == ["", "", "ro"]
    assert load(tmp_path, "extends: [ro.yaml]\n", ro=ro).language == "ro"
    turned = load(tmp_path, "language: fr\nextends: [ro.yaml]\n", ro=ro)
    assert [one.language for one in turned.principles] == ["ro"]


def test_a_circle_is_printed(tmp_path: Path) -> None:
    """From the first file that comes back to itself, with the lines that lead there."""
    message = refusal(tmp_path, "extends: [one.yaml]\n", one="name: one\n\nextends:\n  - mine.yaml\n")
    assert message == (
        'mine.yaml:2: the base "one.yaml" cannot be used: one.yaml:4: the base "mine.yaml" cannot be used: it extends '
        "itself: mine.yaml -> one.yaml -> mine.yaml; take one of these steps out"
    )
    assert "mine.yaml -> mine.yaml" in refusal(tmp_path, "extends: [mine.yaml]\n")


def test_depth_and_number_are_bounded(tmp_path: Path) -> None:
    """A ladder of files ends with a message, and a file read by many ways is read once."""
    rungs = {f"r{n}": f"name: r{n}\nextends: [r{n + 1}.yaml]\n" for n in range(20)} | {"r20": small("r20")}
    assert "bases stand more than 10 deep on each other" in refusal(tmp_path, "extends: [r0.yaml]\n", **rungs)
    names = ", ".join(f"x{n}.yaml" for n in range(33))
    assert refusal(tmp_path, f"extends: [{names}]\n") == (
        'mine.yaml:2: "extends" lists 33 bases; at most 32 are read: write some as one'
    )


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ("harmless", '2: "extends" is the text "harmless"; expected a list of names and paths, such as'),
        ("", '2: "extends" is no value; expected a list'),
        ("[3]", 'extends: item 1 is the number 3; expected a name, a path, or a mapping with the key "source"'),
        ("[{}]", 'extends[1]: "source" is missing'),
        ("[{source: base.yaml, weigth: 2}]", 'extends[1]: unknown key "weigth"; did you mean "weight"? (keys here: so'),
        ("[{source: base.yaml, weight: 0}]", 'extends[1]: "weight" is the number 0; expected a number above 0'),
        ("[{source: base.yaml, version: 1.2}]", 'extends[1]: "version" is the number 1.2; expected text; put it in qu'),
        ("[{source: base.yaml, version: new}]", 'extends[1].version: "new" is no condition on a version'),
        ('[{source: base.yaml, version: ">=2"}]', 'version 1.2.0 of "base" is not in the range ">=2"'),
        ("[{source: base.yaml, only: kind}]", 'extends[1]: "only" is the text "kind"; expected a list'),
        ("[{source: base.yaml, only: []}]", 'extends[1]: "only" holds 0 items; give it at least 1'),
        (
            "[{source: base.yaml, only: [kin]}]",
            '"kin" is no id or category of the base (categories: manner, form); did',
        ),
        ("[{source: base.yaml, without: [x]}]", 'extends[1].without: "x" is no id or category of the base'),
        (
            "[{source: base.yaml, without: [kind, brief]}]",
            "what is taken over holds no principle, and the file has none",
        ),
        ("[base.yaml, base.yaml]", 'extends: "base.yaml" is listed twice'),
        ("[{source: base.yaml, weight: 1.0e-324}]", '"weight" is the number 0.0; expected a number above 0'),
        ("[{source: base.yaml, weight: 1.7e308}]", 'weight 1.7e+308 makes the weight of "brief" inf; expected above 0'),
        ("[bse.yaml]", "the base \"bse.yaml\" cannot be used: there is no constitution 'bse.yaml'"),
    ],
)
def test_faulty_entries_are_named(tmp_path: Path, extends: str, message: str) -> None:
    """Each says line, value, what was expected and what to do."""
    found = refusal(tmp_path, f"extends: {extends}\n")
    assert found.startswith("mine.yaml:2: ")
    assert message in found


def test_faults_of_a_base_keep_their_own_lines(tmp_path: Path) -> None:
    """They are told after the line that extends it."""
    message = refusal(tmp_path, "extends: [broken.yaml]\n", broken="name: x\nprinciples:\n  - {id: a}\n")
    assert message == (
        'mine.yaml:2: the base "broken.yaml" cannot be used: broken.yaml:3: principle "a": "text" is missing; state '
        "the principle in its text, and the requests follow from it"
    )


def test_faults_of_changes_are_named_by_line(tmp_path: Path) -> None:
    """An id that is not inherited, and a wrong value in a principle without a text."""
    text = "extends: [base.yaml]\nprinciples:\n  - id: kind\n    weight: heavy\n"
    assert refusal(tmp_path, text) == ('mine.yaml:5: principle "kind": "weight" is the text "heavy"; expected a number')
    assert refusal(tmp_path, "extends: [base.yaml]\nprinciples:\n  - {id: breif, weight: 3}\n") == (
        'mine.yaml:4: principle "breif" has no text, and no base gives one of that id; write its text, or take '
        'an id that is inherited; did you mean "brief"?'
    )
    assert '"text" has no value' in refusal(tmp_path, "extends: [base.yaml]\nprinciples: [{id: kind, text: }]\n")


def test_plain_text_from_elsewhere_is_no_base(tmp_path: Path) -> None:
    """It may be any file of this machine, whose lines a model would be asked about; beside the file it is one."""
    (tmp_path / "below").mkdir()
    (tmp_path / "secrets").write_text("a password\n", "utf-8")
    (tmp_path / "below/rules.txt").write_text("Be kind.\n", "utf-8")
    (tmp_path / "below/link.txt").symlink_to(tmp_path / "secrets")
    mine = tmp_path / "below/mine.yaml"
    for base in ("../secrets", str(tmp_path / "secrets"), "link.txt"):
        mine.write_text(f"name: mine\nextends: ['{base}']\nprinciples: [{{id: a, text: b}}]\n", "utf-8")
        with pytest.raises(
            ConstitutionError, match=r"mine\.yaml:2: .* is plain text outside of the folder of"
        ) as raised:
            load_constitution(mine)
        assert "a password" not in str(raised.value)
    mine.write_text("name: mine\nextends: [rules.txt]\nprinciples: [{id: a, text: b}]\n", "utf-8")
    assert [one.text for one in load_constitution(mine).principles] == ["Be kind.", "b"]
    assert [one.text for one in load_constitution(tmp_path / "secrets").principles] == ["a password"]


def test_what_is_written_is_flat_and_reads_back_equal(tmp_path: Path) -> None:
    """The bases are named, and nothing has to be there any more."""
    ro = small("ro", language="ro", text="Fii bun.")
    mine = load(tmp_path, "extends: [base.yaml, ro.yaml]\nprinciples: [{id: kind, weight: 3}]\n", ro=ro)
    write_constitution(mine, tmp_path / "flat.yaml")
    (tmp_path / "base.yaml").unlink()
    assert load_constitution(tmp_path / "flat.yaml") == mine
    assert "bases:\n  - base 1.2.0\n  - ro 0.1.0\n" in (tmp_path / "flat.yaml").read_text("utf-8")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """Wherever the process stands, and in JSON too."""
    (tmp_path / "below").mkdir()
    put(tmp_path, base=BASE)
    (tmp_path / "below" / "mine.json").write_text('{"name": "mine", "extends": ["../base.yaml"]}', "utf-8")
    assert load_constitution(tmp_path / "below" / "mine.json").ids == ("kind", "brief")


@pytest.mark.parametrize(
    ("version", "wanted", "holds"),
    [
        ("1.2.0", ">=1.2,<2", True),
        ("1.10.0", ">=1.2, <2", True),
        ("2.0.0", ">=1.2,<2", False),
        ("1.2.3", "==1.2", True),
        ("1.2.3", "1.2.3", True),
        ("1.2.3", "!=1.2", False),
        ("1.3.0", "!=1.2", True),
        ("1.2.1", ">1.2.0", True),
        ("1.2.0", "<=1.1.9", False),
        ("2.0.0-rc.1", ">=1,<2", False),
        ("2.0.0-rc.1", ">=2.0.0-beta", True),
        ("2.0.0-rc.2", "==2.0.0-rc.1", False),
        ("2.0.0", ">2.0.0-rc.1", True),
        ("2.0.0-rc.10", ">2.0.0-rc.9", True),
    ],
)
def test_ranges_of_versions(version: str, wanted: str, *, holds: bool) -> None:
    """Numbers compare as numbers, and what comes before a release is only meant where it is named."""
    assert in_range(version, wanted) is holds


def test_versions_are_ordered_and_stepped() -> None:
    """As semver.org orders them; before 1.0.0 a major change steps the second number."""
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-rc.2", "1.0.0-rc.11", "1.0.0", "1.0.1"]
    assert sorted(ordered, key=parse_version) == ordered
    assert parse_version("1.0.0+one") == parse_version("1.0.0+two")
    assert [next_version("1.4.2", part) for part in ("major", "minor", "patch")] == ["2.0.0", "1.5.0", "1.4.3"]
    assert next_version("0.3.1", "major") == "0.4.0"
    with pytest.raises(ValueError, match=r'"1\.0" is no semantic version'):
        parse_version("1.0")
