"""Foreign layouts: each recognised by what it holds, each read into the same value objects, faults by line."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.constitution import Constitution, load_constitution, write_constitution
from charter.constitution.derivation import derived_fields
from charter.constitution.formats import (
    FEW_SHOT_PROMPTS,
    GENERATION,
    LAYOUTS,
    QUESTIONS,
    Part,
    find_layout,
    principle_by_source_key,
    principle_questions,
    read_source,
)
from charter.constitution.formats.markers import read_comparison
from charter.constitution.formats.plain_text import PROSE
from charter.constitution.formats.registry import semantic_version
from charter.constitution.reading import read_constitution
from charter.errors import ConstitutionError
from constitution.layout_examples import (
    COMPARISON_SHOTS,
    COMPARISONS,
    CONFIG,
    COUNTRY_FEW_SHOTS,
    EXAMPLES,
    INSTRUCTIONS,
    REASONED,
    ROWS,
    TITLED,
    TRANSCRIPTS,
)

PARTIAL = ("country-few-shots", "transcripts", "transcripts-by-name", "comparison-shots", "reasoned")
WHOLE = tuple(name for name in EXAMPLES if name not in PARTIAL)


def put(folder: Path, name: str) -> Path:
    """Write an example, with the principles that a config names beside it."""
    _, suffix, text = EXAMPLES[name]
    path = folder / f"{name}{suffix}"
    path.write_bytes(text.encode("utf-8"))
    (folder / "constitution.json").write_text(json.dumps(TITLED), "utf-8")
    return path


def load(folder: Path, name: str) -> Constitution:
    """Read an example as a constitution."""
    return load_constitution(put(folder, name))


def part(folder: Path, name: str) -> Part:
    """Read an example as a part."""
    source = read_source(put(folder, name))
    layout = find_layout(source)
    assert layout
    return layout.read(source)


def refusal(folder: Path, text: str, name: str = "my.json", layout: str | None = None) -> str:
    """Read a file that must be refused, and give back the message with the folder left out."""
    path = folder / name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConstitutionError) as caught:
        load_constitution(path, layout=layout)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_has_exactly_its_layout(tmp_path: Path, name: str) -> None:
    """No other layout takes a file for its own, whatever the file is called."""
    found = find_layout(read_source(put(tmp_path, name)))
    assert found
    assert found.name == EXAMPLES[name][0]


def test_every_layout_has_an_example() -> None:
    """The table above leaves none out."""
    assert {layout for layout, _, _ in EXAMPLES.values()} == {layout.name for layout in LAYOUTS}


def test_our_own_layout_is_nobody_elses(tmp_path: Path) -> None:
    """A native file is native, in YAML and in JSON, and where it was called a text."""
    native = "name: x\nprinciples:\n  - {id: a, text: b}\n"
    for name in ("a.yaml", "a.txt", "a"):
        (tmp_path / name).write_text(native, "utf-8")
        assert find_layout(read_source(tmp_path / name)) is None
        assert load_constitution(tmp_path / name).ids == ("a",)


@pytest.mark.parametrize("name", WHOLE)
def test_each_is_lossless_into_our_layout(tmp_path: Path, name: str) -> None:
    """What was read is written and read back equal, and keeps telling what was derived."""
    constitution = load(tmp_path, name)
    write_constitution(constitution, tmp_path / "native.yaml")
    back = load_constitution(tmp_path / "native.yaml")
    assert back == constitution
    assert [derived_fields(one) for one in back.principles] == [derived_fields(one) for one in constitution.principles]


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example[2][0] in "[{"])
def test_nothing_of_a_file_is_lost(tmp_path: Path, name: str) -> None:
    """Every word of an example is somewhere in what was read, or is a marker."""
    text = EXAMPLES[name][2]
    read = part(tmp_path, name)
    kept = json.dumps(
        [read.principles, read.few_shots.model_dump(), dict(read.system), read.about, read.metadata], ensure_ascii=False
    )
    values: list[str] = []
    gather_texts(json.loads(text), values)
    words = {word for value in values for word in value.split() if word.isalpha() and len(word) > 3}
    markers = {"Options", "Consider", "following", "conversation", "between", "human", "assistant", "think", "step"}
    assert {word for word in words - markers if word not in kept} <= {"answer"}


def gather_texts(value: Any, found: list[str]) -> None:
    """Find every text in a JSON value."""
    if isinstance(value, str):
        found.append(value)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        gather_texts(item, found)


def test_answer_improvement_keeps_two_lists_apart(tmp_path: Path) -> None:
    """Pairs of requests are for revising, comparisons for judging; nothing is paired by position."""
    constitution = load(tmp_path, "answer-improvement")
    assert [one.uses for one in constitution.principles] == [("revise",), ("revise",), ("judge",)]
    first, _, last = constitution.principles
    assert (first.critique_request, first.revision_request) == ("Say whether the tide is named.", "Name the tide.")
    assert derived_fields(first) == ("text", "choice_question")
    assert last.choice_question == last.text == "Which response is of more use to a sailor?"
    assert derived_fields(last) == ("text", "critique_request", "revision_request")
    assert constitution.system.model_dump() == {
        "respond": "You help at a harbour office.",
        "critique": "You review answers.",
        "revise": "You improve answers.",
        "judge": "",
    }


def test_answer_improvement_examples(tmp_path: Path) -> None:
    """Examples become conversations; a missing critique is told, a comparison is taken apart."""
    read = part(tmp_path, "answer-improvement")
    assert [example.critique for example in read.few_shots.revise] == ["It is not.", ""]
    assert read.remarks[0].endswith(
        'answer-improvement.json:14: example 2 of revision has no "critique"; write it, for a model imitates what it '
        "is shown"
    )
    (judged,) = read.few_shots.judge
    assert [(one.role, one.content) for one in judged.messages] == [
        ("user", "Hello"),
        ("assistant", "Good morning."),
        ("user", " Is it safe\nto sail?"),
    ]
    assert judged.question == "Which response names the wind?"
    assert (judged.a, judged.b) == ("Yes.", "Yes, the wind is low.\n\nMind the tide.")
    assert (judged.reasoning, judged.answer) == ("Only (B) names it.", "B")


@pytest.mark.parametrize(
    ("before", "messages", "question"),
    [
        ("H: a\n\nA: b\n\nH: c", ["a", "b", "c"], ""),
        ("H: a\n\nmore of a\n\nWhich one?", ["a\n\nmore of a"], "Which one?"),
        ("H: a\n\nWhich one?\n\nOptions:", ["a"], "Which one?"),
        ("H: a\n{}", ["a"], ""),
        ("No turns\n\nWhich one?", ["No turns"], "Which one?"),
    ],
)
@pytest.mark.parametrize("options", ["\n(A) [[[x]]]\n(B) [[[y]]]", "\n (A) x\n (B) y\n"])
def test_comparisons_are_taken_apart(before: str, messages: list[str], question: str, options: str) -> None:
    """The last paragraph that is no turn is the question; brackets around options may be missing."""
    found = read_comparison(f"The following conversation:\n\n{before}{options}")
    assert found
    assert ([one.content for one in found.messages], found.question) == (messages, question)
    assert (found.a, found.b) == ("x", "y")


def test_a_principle_list_with_titles(tmp_path: Path) -> None:
    """The title makes the id, the source's own id is kept, and the requests are derived."""
    constitution = load(tmp_path, "titled")
    assert constitution.ids == ("care", "cafe-manners")
    assert [one.source_id for one in constitution.principles] == ["1", "2"]
    assert [one.category for one in constitution.principles] == ["People", ""]
    assert {derived_fields(one) for one in constitution.principles} == {
        ("critique_request", "revision_request", "choice_question")
    }
    assert constitution.used_for("judge") == constitution.principles == constitution.used_for("revise")


def test_a_principle_list_with_explanations(tmp_path: Path) -> None:
    """The explanation is the text and the principle its title; without one the principle is the text."""
    dignity, truth = load(tmp_path, "explained").principles
    assert (dignity.id, dignity.title, dignity.text) == ("dignity", "Dignity", "Treat every guest as a person.")
    assert dignity.source == "Rule 1; Rule 2"
    assert dignity.metadata == {"references": ["Rule 1", "Rule 2"]}
    assert (truth.id, truth.title, truth.text) == ("tell-truth", "", "Tell the truth.")


def test_a_principle_list_with_requests(tmp_path: Path) -> None:
    """Given requests stay, the choice question is derived, and a word is taken as the id."""
    (tide,) = load(tmp_path, "requested").principles
    assert (tide.id, tide.source_id, tide.category) == ("tide", "tide", "Sea")
    assert (tide.critique_request, tide.revision_request) == (
        "Say whether the tide is named.",
        "Name the tide, please.",
    )
    assert derived_fields(tide) == ("choice_question",)


def test_a_config_follows_its_principles(tmp_path: Path) -> None:
    """The principles come from the file beside it, and its prompts are kept with keys in small letters."""
    constitution = load(tmp_path, "config")
    assert constitution.ids == ("care", "cafe-manners")
    generation: Any = constitution.metadata[GENERATION]
    assert generation["red_team"] == {
        "rt_system_prompt": "You write prompts.",
        "rt_num_rtp_per_call": 10,
        "variance": "Vary {principle}, 100 %.",
    }
    assert generation["pref"] == {"num_pref_per_call": 2, "variance": None}
    assert generation["principles"] == {"critique_prompt": "Turn {principle} into a request."}


def test_a_config_whose_principles_are_missing(tmp_path: Path) -> None:
    """The line that names the file is named."""
    assert refusal(tmp_path, CONFIG, "c.yaml") == (
        "c.yaml:1: constitution.json is not there; the path is taken from the folder of this file"
    )


def test_configs_that_name_each_other_end(tmp_path: Path) -> None:
    """A circle reads each file once, and says that no principles are there."""
    (tmp_path / "b.yaml").write_text("src_principles: a.yaml\n", "utf-8")
    assert "no principles are there" in refusal(tmp_path, "src_principles: b.yaml\n", "a.yaml")


def test_a_countrys_folder_is_read_whole(tmp_path: Path) -> None:
    """Config, principles and few-shots make one; rows are passed over; a file that is named is read once."""
    folder = tmp_path / "harbours"
    folder.mkdir()
    (folder / "constitution.json").write_text(json.dumps(TITLED), "utf-8")
    (folder / "config.yaml").write_text(CONFIG, "utf-8")
    (folder / "few_shot.json").write_text(json.dumps(COUNTRY_FEW_SHOTS), "utf-8")
    (folder / "red_team.json").write_text(json.dumps(ROWS), "utf-8")
    constitution = load_constitution(folder)
    assert (constitution.name, constitution.ids) == ("harbours", ("care", "cafe-manners"))
    assert constitution.metadata[FEW_SHOT_PROMPTS] == COUNTRY_FEW_SHOTS
    assert GENERATION in constitution.metadata
    assert load_constitution(folder / "constitution.json").name == "harbours"


def test_rows_are_no_constitution(tmp_path: Path) -> None:
    """A file of rows is named as what it is."""
    assert refusal(tmp_path, json.dumps(ROWS)).startswith("my.json:1: the file holds rows by principle")


def test_paper_markers_are_stripped(tmp_path: Path) -> None:
    """Requests, questions and turns are the text alone, verbatim."""
    first, second = load(tmp_path, "instructions").principles
    assert first.critique_request == "Say whether the harbour is named: {x}."
    assert second.critique_request == "Say whether the\n\npier is named."
    assert first.revision_request == first.text == "Name the harbour."
    assert (first.id, first.source_id, first.uses) == ("harbour0", "harbour0", ("revise",))
    questions = load(tmp_path, "comparisons").principles
    assert [one.choice_question for one in questions] == [
        "Please choose the response that names the harbour.",
        "Which response is kinder?",
    ]
    assert {one.uses for one in questions} == {("judge",)}


def test_paper_transcripts(tmp_path: Path) -> None:
    """Turns, requests, critique and revision are told apart, and the dangling turn is gone."""
    first, second = part(tmp_path, "transcripts").few_shots.revise
    assert [one.content for one in first.messages] == ["Hello", "Hello.", "Which pier?", "Any."]
    assert (first.critique_request, first.critique) == ("Is it named?", "It is not.")
    assert (first.revision_request, first.revision) == ("Name it.", "Pier 4.")
    assert (second.critique, second.revision) == ("It is short.\n\nAnd curt.", "Please wait.")
    by_name = part(tmp_path, "transcripts-by-name")
    assert by_name.few_shots.revise == (first, second)
    assert by_name.remarks[0].endswith("this transcript is in the file twice; it is read once")


def test_two_rounds_are_two_examples(tmp_path: Path) -> None:
    """The second round criticises what the first revised."""
    round_ = "\n\nCritiqueRequest: Q\n\nCritique: C\n\nRevisionRequest: W\n\nRevision: "
    (tmp_path / "a.json").write_text(json.dumps([f"\n\nHuman: H\n\nAssistant: A{round_}B{round_}D"]), "utf-8")
    source = read_source(tmp_path / "a.json")
    layout = find_layout(source)
    assert layout
    first, second = layout.read(source).few_shots.revise
    assert (first.messages[-1].content, first.revision) == ("A", "B")
    assert (second.messages[-1].content, second.revision) == ("B", "D")


def test_comparison_examples_favour_no_letter(tmp_path: Path) -> None:
    """The correct response is A and B by turns."""
    first, second = part(tmp_path, "comparison-shots").few_shots.judge
    assert (first.a, first.b, first.answer) == ("Not here.", "Sure.", "A")
    assert (second.a, second.b, second.answer) == ("Sure.", "With a guide.", "B")
    assert [(one.role, one.content) for one in first.messages] == [("user", "May I swim?")]


def test_chains_of_thought(tmp_path: Path) -> None:
    """Three ways to begin give one example; the slot leaves the question to the principles."""
    examples = part(tmp_path, "reasoned").few_shots.judge
    assert len(set(examples)) == 1
    assert examples[0].question == ""
    assert (examples[0].a, examples[0].b, examples[0].answer) == ("Not here.", "Sure.\n\nGo on.", "A")
    assert examples[0].reasoning == "(A) is careful.\n\nSo it is better."


def test_paper_files_make_one_constitution(tmp_path: Path) -> None:
    """Five files in a folder, or by name in any order, are one constitution."""
    folder = tmp_path / "paper"
    folder.mkdir()
    held = {
        "a": INSTRUCTIONS,
        "b": TRANSCRIPTS,
        "c": COMPARISONS,
        "d": COMPARISON_SHOTS,
        "e": REASONED,
    }
    for name, value in held.items():
        (folder / f"{name}.json").write_text(json.dumps(value), "utf-8")
    constitution = load_constitution(folder)
    assert [len(constitution.used_for("revise")), len(constitution.used_for("judge"))] == [2, 2]
    assert [len(constitution.few_shots.revise), len(constitution.few_shots.judge)] == [2, 5]
    assert constitution.name == "paper"
    read = read_constitution([folder / "c.json", folder / "a.json"], name="mine")
    assert read.constitution.name == "mine"
    assert [one.uses for one in read.constitution.principles] == [("judge",)] * 2 + [("revise",)] * 2
    assert [layout for _, layout in read.layouts] == ["paper-comparisons", "paper-instructions"]


@pytest.mark.parametrize("name", PARTIAL)
def test_a_part_alone_says_what_is_missing(tmp_path: Path, name: str) -> None:
    """Examples are no constitution."""
    path = put(tmp_path, name)
    with pytest.raises(ConstitutionError, match=r"no principles are there, only .+; add a file that holds them"):
        load_constitution(path)


def test_recipe_style(tmp_path: Path) -> None:
    """Pairs are for revising, and a chat of six turns is a worked example."""
    constitution = load(tmp_path, "recipe-style")
    assert [one.uses for one in constitution.principles] == [("revise",)]
    (example,) = constitution.few_shots.revise
    assert [one.content for one in example.messages] == ["May I sail?", "Yes."]
    assert (example.critique, example.revision) == ("It is not.", "Yes, the wind is low.")


def test_markdown(tmp_path: Path) -> None:
    """Headings are categories, items principles with their further lines; the rest is kept, not taken for one."""
    constitution = load(tmp_path, "markdown")
    assert constitution.name == "House rules"
    assert [(one.category, one.title, one.text) for one in constitution.principles] == [
        ("People", "Care", "Care for those at sea."),
        ("People", "", "Be polite,\nalso when it rains.\n\nEven then."),
        ("Sea", "", "Which of these responses names the tide?"),
        ("Sea", "", "Name the wind."),
    ]
    assert derived_fields(constitution.principles[2]) == ("text", "critique_request", "revision_request")
    prose: Any = constitution.metadata[PROSE]
    assert prose[:2] == [
        {"line": 3, "text": "We wrote these down in spring."},
        {"line": 13, "text": "```text\n- no principle\n```"},
    ]
    assert [one["text"][0] for one in prose[2:]] == ["|"] * 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Be kind.\nBe honest.\n", ["Be kind.", "Be honest."]),
        ("\ufeffBe kind.\r\n\r\nBe honest.", ["Be kind.", "Be honest."]),
        ("Be kind.\rBe honest.", ["Be kind.", "Be honest."]),
        ("  - Be kind\n  - Be honest\n", ["Be kind", "Be honest"]),
        ("* Be kind\n    - to all\n    - always\n* Be honest", ["Be kind\n  - to all\n  - always", "Be honest"]),
        ("1. Be kind\nto all\n2) Be honest\n(3) Be brief", ["Be kind\nto all", "Be honest", "Be brief"]),
        ("\u2022 Be kind\n\u2022\tBe honest", ["Be kind", "Be honest"]),
        ("Rules:\n\n- Be kind\n\nAnd so on.", ["Be kind"]),
        ("- Be kind\n\n  Always.\n\n- Be honest", ["Be kind\n\nAlways.", "Be honest"]),
        ("- a\n---\n- b\n***", ["a", "b"]),
        ("~~~\n- no\n~~~\n<!--\n- no\n-->\n> - no\n- yes", ["yes"]),
        ("---\ntitle: no\n---\nBe kind.", ["Be kind."]),
        ("Our rules\n=========\nBe kind.", ["Be kind."]),
        ("2001 was a year.\n-5 degrees is cold.\n**Bold** words.", None),
        ("{braces} 100 % %s {0.__class__}", None),
    ],
)
def test_plain_text(tmp_path: Path, text: str, expected: list[str] | None) -> None:
    """A principle a line, or a bullet where there are any; lines that only look like something else stay."""
    (tmp_path / "rules.md").write_bytes(text.encode("utf-8"))
    found = [one.text for one in load_constitution(tmp_path / "rules.md").principles]
    assert found == (text.split("\n") if expected is None else expected)


@pytest.mark.parametrize(
    ("text", "categories", "name"),
    [
        ("# A\n- x\n# B\n- y", ["A", "B"], "rules"),
        ("# All\n## A\n- x\n## B ##\n- y", ["A", "B"], "All"),
        ("# A\n- x", ["A"], "rules"),
        ("# All\n## A\n- x\n##\n- y", ["A", ""], "All"),
        ("All\n===\n\nA\n---\n- x", ["A"], "All"),
        ("#hashtag\n- x", [""], "rules"),
    ],
)
def test_headings(tmp_path: Path, text: str, categories: list[str], name: str) -> None:
    """A heading is a category; the first that stands above all others and over no principle is the name."""
    (tmp_path / "rules.md").write_text(text, "utf-8")
    constitution = load_constitution(tmp_path / "rules.md")
    assert [one.category for one in constitution.principles] == categories
    assert constitution.name == name


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x08", "\x9b", "\x7f"])
def test_control_characters_in_text_are_refused_by_name(tmp_path: Path, character: str) -> None:
    """Plain text has no escapes, so that one in it is damage; JSON gives it verbatim."""
    found = refusal(tmp_path, f"Be kind.\nBe {character} honest.", "rules.txt")
    assert found.startswith(f"rules.txt:2: the control character U+{ord(character):04X} cannot stand in plain text")
    (tmp_path / "rules.json").write_text(json.dumps([f"Be {character} honest."]), "utf-8")
    assert load_constitution(tmp_path / "rules.json").principles[0].text == f"Be {character} honest."


def test_registry(tmp_path: Path) -> None:
    """Criteria are choice questions for both uses; the rest is kept, the version made semantic."""
    constitution = load(tmp_path, "registry")
    assert (constitution.name, constitution.version, constitution.licence) == ("harbour-care", "1.2.0", "CC-BY-4.0")
    assert constitution.description == "Care at sea."
    assert constitution.metadata["version"] == "1.2"
    assert constitution.metadata["voices"] == {"first_person": ["I name the tide."]}
    tide, wind = constitution.principles
    assert tide.choice_question == "Prefer the response that names the tide."
    assert tide.uses == ("revise", "judge")
    assert derived_fields(tide) == ("text", "critique_request", "revision_request")
    assert wind.metadata == {"reasoning": "Wind matters.", QUESTIONS: ["May I sail?"]}


@pytest.mark.parametrize(
    ("raw", "version"),
    [
        ("1.1", "1.1.0"),
        ("v2", "2.0.0"),
        (3, "3.0.0"),
        (1.5, "1.5.0"),
        ("1.02.3", "1.2.3"),
        ("1.0.0-beta.1", "1.0.0-beta.1"),
        ("spring", ""),
        (None, ""),
        (True, ""),
        ("1.2.3.4", ""),
    ],
)
def test_versions_are_made_semantic(raw: Any, version: str) -> None:
    """Three numbers, or none."""
    assert semantic_version(raw) == version


def test_traits(tmp_path: Path) -> None:
    """The trait is the text, and its questions are prompts of the principle."""
    constitution = load(tmp_path, "traits-as-text")
    assert [one.text for one in constitution.principles] == ["I name the tide.", "I name the wind."]
    assert constitution.principles[0].metadata["clarification"] == "Always."
    assert [(one.id, text) for one, text in principle_questions(constitution)] == [
        ("name-tide", "When is high tide?"),
        ("name-tide", "May I swim?"),
    ]


def test_source_keys(tmp_path: Path) -> None:
    """A number is a position, counted from 0, before it is an id; then the source's id, then ours."""
    constitution = load(tmp_path, "titled")
    assert principle_by_source_key(constitution, "0").id == "care"
    assert principle_by_source_key(constitution, "1").id == "cafe-manners"
    assert principle_by_source_key(constitution, "2").id == "cafe-manners"
    assert principle_by_source_key(constitution, "care").id == "care"
    assert principle_by_source_key(load(tmp_path, "instructions"), "harbour1").id == "harbour1"
    for key in ("3", "", "-1", "\u0661", "9" * 5000):
        with pytest.raises(KeyError):
            principle_by_source_key(constitution, key)


def test_ids_stay_when_a_principle_comes_before(tmp_path: Path) -> None:
    """An inserted principle renames no other, whatever its words; equal beginnings get marks of their content."""
    texts = [f"Please choose the response that names the {thing} of the harbour." for thing in ("tide", "wind", "moon")]
    texts += ["\u6f6e\u3092\u8a00\u3046", "Please choose the response that names the tide of the harbour, kindly."]

    def ids(given: list[str]) -> dict[str, str]:
        (tmp_path / "a.json").write_text(json.dumps(given), "utf-8")
        return {one.text: one.id for one in load_constitution(tmp_path / "a.json").principles}

    before = ids(texts)
    after = ids(["A new one.", *texts])
    assert {text: after[text] for text in texts} == before
    assert before[texts[0]] == "names-tide-harbour"
    assert before[texts[4]] == "names-tide-harbour-kindly"
    assert before[texts[3]].startswith("principle-")


def test_ids_are_unique_even_for_equal_principles(tmp_path: Path) -> None:
    """The same text three times has three ids."""
    (tmp_path / "a.json").write_text(json.dumps(["Be kind."] * 3), "utf-8")
    ids = load_constitution(tmp_path / "a.json").ids
    assert len(set(ids)) == 3
    assert ids[0] == "kind"


def test_several_layouts_are_asked_about(tmp_path: Path) -> None:
    """What can be read in two ways is not guessed at; a name decides."""
    text = json.dumps({"criteria": ["Prefer the kinder response."], "comparison_principles": ["Which one is kinder?"]})
    found = refusal(tmp_path, text)
    assert found.startswith("my.json:1: the file can be read in several ways (answer-improvement, registry); say which")
    assert "--format" in found
    read = load_constitution(tmp_path / "my.json", layout="registry")
    assert read.principles[0].choice_question == "Prefer the kinder response."
    assert read.metadata["comparison_principles"] == ["Which one is kinder?"]
    native = json.dumps({"name": "x", "principles": [], "criteria": ["a"]})
    assert "(native, registry)" in refusal(tmp_path, native)


@pytest.mark.parametrize("layout", ["native", *(layout.name for layout in LAYOUTS)])
@pytest.mark.parametrize(
    "text", ["null", "5", '"x"', "true", "[]", "{}", "[5]", '{"a": 5}', '{"criteria": 5}', "# Rules\n\n- Be kind."]
)
def test_a_named_layout_that_cannot_be_is_refused_by_name(tmp_path: Path, layout: str, text: str) -> None:
    """Whatever the file holds, it is read or refused with its name; it is not taken for what it is not."""
    path = tmp_path / ("my.md" if text.startswith("#") else "my.json")
    path.write_text(text, "utf-8")
    if (layout, path.suffix) == ("markdown", ".md"):
        assert load_constitution(path, layout=layout).ids == ("kind",)
        return
    with pytest.raises(ConstitutionError, match=r"my\.(json|md)"):
        load_constitution(path, layout=layout)


def test_a_named_layout_says_what_it_needs(tmp_path: Path) -> None:
    """The keys of a mapping are no principles, and text is no mapping."""
    (tmp_path / "my.json").write_text('{"Be kind.": 1}', "utf-8")
    with pytest.raises(ConstitutionError, match=r"my\.json:1: the file holds a mapping, and markdown needs plain text"):
        load_constitution(tmp_path / "my.json", layout="markdown")
    (tmp_path / "my.md").write_text("- Be kind.", "utf-8")
    with pytest.raises(ConstitutionError, match=r"my\.md:1: the file holds plain text, and native needs a mapping"):
        load_constitution(tmp_path / "my.md", layout="native")


def test_no_layout_lists_what_each_needs(tmp_path: Path) -> None:
    """A file that fits none is told of all."""
    found = refusal(tmp_path, '{"colour": "red"}')
    assert found.startswith(
        "my.json:1: the file holds a mapping, and fits no layout of a constitution. Expected one of:"
    )
    for layout in LAYOUTS:
        assert f"\n  {layout.name}: {layout.needs}" in found


def test_a_wrong_layout_name_is_hinted_at(tmp_path: Path) -> None:
    """A mistyped name gets the nearest, and the list."""
    assert 'no layout is called "traitz"; did you mean "traits"?' in refusal(tmp_path, "[]", layout="traitz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"critique_revision_principles": 3}',
            'my.json:1: "critique_revision_principles" is the number 3; expected a',
        ),
        (
            '{"critique_revision_principles": [\n{"critique": 4}]}',
            'my.json:2: "critique" is the number 4; expected text',
        ),
        ('{"critique_revision_principles": [\n{}]}', 'my.json:2: the principle has neither a "critique" nor a'),
        (
            '{"critique_revision_principles": [\n"a"]}',
            'my.json:2: critique_revision_principles: item 1 is the text "a"',
        ),
        ('{"comparison_principles": [\n""]}', "my.json:2: comparison_principles: item 1 is empty; write its text"),
        (
            '{"comparison_few_shots": [{\n"task": "a", "selected_answer": "A"}]}',
            'my.json:2: "task" has no options; expected lines that begin with (A) and (B)',
        ),
        (
            '{"comparison_few_shots": [{"task": "a\\n(A) [[[x]]]\\n(B) [[[y]]]",\n"selected_answer": "C"}]}',
            'my.json:2: "selected_answer" is "C"; expected one that ends in (A) or (B)',
        ),
        ('{"critique_revision_few_shots": [\n{"input": "a"}]}', 'my.json:2: "initial_answer" is missing; add it'),
        ('{"system_message_critique": 1}', 'my.json:1: "system_message_critique" is the number 1; expected text'),
        ('[{"title": "a"},\n3]', "my.json:2: item 2 is the number 3; expected a mapping of keys to values"),
        ('[{"title": "a"},\n{"category": "b"}]', "my.json:2: the principle says nothing; give it a description"),
        ('[{"title": "a",\n"id": []}]', 'my.json:2: "id" is a list of 0; expected text or a number'),
        ('[{"title": "a",\n"extra": 1e999}]', 'my.json:2: "extra" is the number inf, which no JSON file can hold'),
        ('{"a": {"edit_request": "b"}}', 'my.json:1: "a" has no "prompt"; give it the request to criticise'),
        ('{"a": {"edit_request": "b"},\n"c": 3}', 'my.json:2: "c" is no mapping; expected "prompt" and "edit_request"'),
        (
            '{"a": {"prompt": ["CritiqueRequest: \\n\\nCritique:"], "edit_request": "b"}}',
            'my.json:1: "a" has a request without words',
        ),
        (
            '["\\n\\nHuman: a\\n\\nAssistant: b\\n\\nCritiqueRequest: c\\n\\nRevision: d"]',
            "my.json:1: after the turns it has CritiqueRequest, Revision; expected CritiqueRequest, Critique,",
        ),
        ('["\\n\\nCritiqueRequest: c"]', 'my.json:1: the transcript has no "Human:" and "Assistant:" turn'),
        ('["a? Options:",\n"Options:"]', 'my.json:2: item 2 is the text "Options:"; expected a question before'),
        ('[{"prompt": "a", "corrects": []}]', 'my.json:1: the example needs a response under "corrects" and one under'),
        (
            '[{"prompt": "Human: a\\n\\nAssistant: b"}]',
            'my.json:1: expected the options, then "Assistant:" with the reasoning, then a last line',
        ),
        ('{"constitutions": [\n{"critic": "a"}]}', 'my.json:2: "revision" is missing; add it'),
        ('{"system_chat": [\n[{"role": "user", "content": "a"}]]}', "my.json:2: chat 1 does not end in six turns"),
        ('{"system_chat": [[\n{"role": "human", "content": "a"}]]}', 'my.json:2: "role" is the text "human"; expected'),
        ('{"system_chat": [\n"a"]}', 'my.json:2: chat 1 is the text "a"; expected a list of messages'),
        ('{"criteria": ["a",\n4]}', "my.json:2: criterion 2 is the number 4; expected a text that says what to prefer"),
        ('{"criteria": [\n{"reasoning": "a"}]}', 'my.json:2: "comparative" is missing; add it'),
        ('[{"trait": "a"},\n{"trait": " "}]', 'my.json:2: "trait" is empty; write its text'),
        ('[{"trait": "a", "questions": "b"}]', 'my.json:1: "questions" is the text "b"; expected a list'),
        ('["a",\n" "]', 'my.json:2: item 2 is the text " "; expected a principle as text'),
        ("[]", "my.json:1: the file holds nothing; write principles into it"),
        ('["Be kind.",\n "Be true.", 3]', "my.json:2: item 3 is the number 3, no text as the others are"),
        ('{"a": {"prompt": ["x"]}}', 'my.json:1: "a" has no "edit_request"; give it the request to revise'),
        ('{"trait":', "my.json:1: expected a value"),
        ('["half \\ud800"]', "my.json:1: half of a surrogate pair is no character"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    """Each fault says file, line, value, what was expected and what to do."""
    assert message in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("src_principles: 3\n", "c.yaml", 'c.yaml:1: "src_principles" is the number 3; expected text'),
        ("red_team: {A: b}\npref: x\n", "c.yaml", 'c.yaml:2: "pref" is no mapping; expected keys such as'),
        ("red_team: {A: .nan}\n", "c.yaml", 'c.yaml:1: "A" is the number nan, which no JSON file can hold'),
        ("red_team: {A: &x b, C: *x}\n", "c.yaml", 'c.yaml:1: the anchor "&x" is not allowed'),
        ("\n\n# heading\n", "c.md", "c.md:1: it holds no principle; write one a line, or one a bullet"),
        ("", "c.txt", "c.txt:1: it holds no principle"),
        ('[{"trait": }]', "c.txt", "c.txt:1: expected a value"),
    ],
)
def test_faults_of_other_files_are_named(tmp_path: Path, text: str, name: str, message: str) -> None:
    """YAML and plain text have the same manners."""
    assert message in refusal(tmp_path, text, name)


def test_parts_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    """Two files with different system texts, or the same id of ours, are no constitution."""
    for name, text in (("a", "One."), ("b", "Two.")):
        data = {"system_message_critique": text, "comparison_principles": ["Which response is kinder?"]}
        (tmp_path / f"{name}.json").write_text(json.dumps(data), "utf-8")
    with pytest.raises(
        ConstitutionError, match=r"the system text critique is one in .*a\.json and another in .*b\.json"
    ):
        load_constitution(tmp_path)
    native = "name: x\nprinciples:\n  - {id: a, text: b}\n"
    (tmp_path / "a.json").unlink()
    (tmp_path / "b.json").unlink()
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(native, "utf-8")
    with pytest.raises(ConstitutionError, match=r'principle id "a" is in .*a\.yaml and in .*b\.yaml; give one of them'):
        load_constitution(tmp_path)


def test_our_own_ids_go_first(tmp_path: Path) -> None:
    """A foreign principle that would have the same id as one of ours gets another."""
    (tmp_path / "a.json").write_text(json.dumps(["Be kind."]), "utf-8")
    (tmp_path / "b.yaml").write_text("name: x\nprinciples:\n  - {id: kind, text: Kindness.}\n", "utf-8")
    constitution = load_constitution(tmp_path)
    assert constitution.name == "x"
    assert constitution.ids[1] == "kind"
    assert constitution.ids[0].startswith("kind-")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example[1] == ".json"])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    """Whatever stands in place of any value, the file is read or refused by name; never anything else."""
    value = json.loads(EXAMPLES[name][2])
    damaged = replaced(value, data.draw(st.integers(0, 40)), data.draw(_JSON))
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_text(json.dumps(damaged), "utf-8")
    said = ""
    try:
        load_constitution(path)
    except ConstitutionError as problem:
        said = str(problem)
    assert said == "" or str(path) in said


def replaced(value: Any, number: int, other: Any) -> Any:
    """Put another value in place of the numbered one, counted depth first."""
    count = -1

    def walk(one: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            return other
        if isinstance(one, dict):
            return {key: walk(item) for key, item in one.items()}
        return [walk(item) for item in one] if isinstance(one, list) else one

    return walk(value)


@pytest.mark.parametrize(
    "text",
    [
        " " * 1_000_000 + "x",
        "- a\n" + "\n" * 1_000_000 + "  b",
        "# " + " " * 1_000_000 + "x\n- a",
        "# " + "#" * 1_000_000 + "x\n- a",
        "|-" * 500_000 + "x\n- a",
        "- **" + "a:" * 500_000,
        "Choose " + "response " * 200_000,
        "- x\n" * 20_000,
    ],
    ids=range(8),
)
def test_long_text_takes_no_long_time(tmp_path: Path, text: str) -> None:
    """No pattern goes back and forth over a long line."""
    (tmp_path / "rules.md").write_text(text, "utf-8")
    began = time.process_time()
    load_constitution(tmp_path / "rules.md")
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    "text",
    [
        "\n\nHuman: a\n\nAssistant: b\n\nCritiqueRequest: c" + "\n" * 500_000 + "x",
        "conversation " * 80_000 + "Options:",
        " " * 1_000_000 + "x Options:",
        "CritiqueRequest: " + "Critique: " * 100_000,
        "\n(A) [[[" * 100_000 + "Options:",
        "\n(A) x" * 100_000 + "\n" * 100_000,
        "\n(A) x\n(B) y" + " " * 500_000 + "z",
    ],
    ids=range(7),
)
def test_long_marked_text_takes_no_long_time(tmp_path: Path, text: str) -> None:
    """Nor do those that look for markers."""
    for value in (
        [text],
        {"a": {"prompt": [text], "edit_request": text}},
        [{"prompt": f"{text}\n\nAssistant: x\nSo the answer is: (A)"}],
        {"comparison_few_shots": [{"task": text, "selected_answer": text}]},
    ):
        (tmp_path / "a.json").write_text(json.dumps(value), "utf-8")
        began = time.process_time()
        with contextlib.suppress(ConstitutionError):
            load_constitution(tmp_path / "a.json")
        assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("../elsewhere.json", "leads out of the folder of this file"),
        ("/etc/passwd", "leads out of the folder of this file"),
        ("link.json", "leads out of the folder of this file"),
        ("loop.json", "is not there"),
        ('"a\\0b"', "is not there"),
        ("x" * 5_000, "is not there"),
        (".", "is not there"),
    ],
)
def test_a_config_names_nothing_outside_of_its_folder(tmp_path: Path, named: str, told: str) -> None:
    """What a file from elsewhere names is read where it came with the file, or is refused with the line."""
    (tmp_path / "elsewhere.json").write_text(json.dumps(TITLED), "utf-8")
    folder = tmp_path / "country"
    folder.mkdir()
    (folder / "link.json").symlink_to(tmp_path / "elsewhere.json")
    (folder / "loop.json").symlink_to(folder / "loop.json")
    path = folder / "config.yaml"
    path.write_text(f"\n\nsrc_principles: {named}\n", "utf-8")
    with pytest.raises(ConstitutionError, match=rf"config\.yaml:3: .*{told}"):
        load_constitution(path)


def test_principles_that_the_reader_names_stand_for_those_of_a_config(tmp_path: Path) -> None:
    """A config from another machine names a path there; whoever reads it names the list here."""
    list_file, config = tmp_path / "list.json", tmp_path / "sub" / "config.yaml"
    list_file.write_text(json.dumps(TITLED), "utf-8")
    config.parent.mkdir()
    config.write_text(CONFIG.replace("constitution.json", "/home/somebody/list.json"), "utf-8")
    read = read_constitution([list_file, config], follow=False).constitution
    assert read.ids == ("care", "cafe-manners")
    assert GENERATION in read.metadata
