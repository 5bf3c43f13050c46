"""Constitutions in other layouts: what a layout holds comes back verbatim, and what it does not is named."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from charter.constitution import (
    Constitution,
    FewShots,
    JudgeExample,
    Principle,
    ReviseExample,
    SystemTexts,
    load_constitution,
)
from charter.constitution.derivation import DERIVATIONS, derived_fields, with_derived_fields
from charter.constitution.formats import WRITABLE, export_constitution
from charter.constitution.lint import check_constitution
from charter.errors import ConstitutionError
from charter.records import Message
from constitution.layout_examples import EXAMPLES

_AWKWARD = st.sampled_from(
    [
        "{principle} {0.__class__} {{x}}",
        "100 % %s %(x)s",
        "  leading spaces",
        "trailing \n",
        "key: value",
        "- item\n- another",
        "# heading",
        "**bold**: text",
        "1. one",
        "line\r\nline",
        "line\n  indented\n\nblank above",
        "\nstarts with a break",
        "```\nfence\n```",
        "| a | b |",
        "\x00\x1b\x7f",
        "\u202eright to left\u202c",
        "\ufeff",
        "\u2028",
        "a\u0085b",
        "H: a\n\nA: b",
        "\n(A) [[[x]]]\n(B) [[[y]]]",
        "]]]",
        "Options:",
        "\n\nCritiqueRequest: x",
        "Let's think step by step:\nx",
        "So the answer is: (A)",
        "Which response is kinder?",
        "<!-- x",
        "---",
    ]
)
_TEXT = (st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | _AWKWARD).filter(str.strip)
_MAYBE = st.just("") | _TEXT
_ROLES = st.sampled_from(["system", "user", "assistant"])


def _message() -> st.SearchStrategy[Message]:
    return st.builds(Message, role=_ROLES, content=_TEXT)


_PRINCIPLES = st.lists(
    st.builds(
        lambda given, **others: Principle(**with_derived_fields(given), **others),
        st.fixed_dictionaries(
            {"text": _TEXT},
            optional={"critique_request": _TEXT, "revision_request": _TEXT, "choice_question": _TEXT},
        ),
        id=st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,8}", fullmatch=True),
        title=_MAYBE,
        category=_MAYBE,
        weight=st.sampled_from([1.0, 2.5]),
        uses=st.sampled_from([("revise",), ("judge",), ("revise", "judge")]),
        source_id=_MAYBE,
        metadata=st.dictionaries(_TEXT, _TEXT | st.integers(), max_size=1),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one.id,
)
_SHOTS = st.builds(
    FewShots,
    revise=st.lists(
        st.builds(
            ReviseExample,
            messages=st.lists(_message(), min_size=2, max_size=3),
            critique_request=_MAYBE,
            critique=_MAYBE,
            revision_request=_MAYBE,
            revision=_TEXT,
        ),
        max_size=2,
    ),
    judge=st.lists(
        st.builds(
            JudgeExample,
            messages=st.lists(_message(), min_size=1, max_size=2),
            question=_MAYBE,
            a=_TEXT,
            b=_TEXT,
            reasoning=_MAYBE,
            answer=st.sampled_from("AB"),
        ),
        max_size=2,
    ),
)
_CONSTITUTIONS = st.builds(
    Constitution,
    name=_TEXT,
    version=st.sampled_from(["0.1.0", "2.0.0"]),
    description=_MAYBE,
    system=st.builds(SystemTexts, respond=_MAYBE, critique=_MAYBE, revise=_MAYBE, judge=_MAYBE),
    principles=_PRINCIPLES,
    few_shots=_SHOTS,
    metadata=st.dictionaries(_TEXT, _TEXT | st.lists(st.integers(), max_size=2), max_size=1),
)


def principle(name: str, **fields: object) -> Principle:
    """A principle of a text and whatever else is given."""
    given: dict[str, object] = {"id": name, "text": f"Be {name}.", **fields}
    return Principle.model_validate(with_derived_fields(given))


def plain(*principles: Principle, **fields: object) -> Constitution:
    """A constitution named after the file that it is written to."""
    return Constitution.model_validate({"name": "out", "principles": principles, **fields})


def exported(constitution: Constitution, path: Path, layout: str) -> tuple[str, ...] | None:
    """Write a constitution; None where it is refused, as one that the layout cannot hold and for nothing else."""
    try:
        return export_constitution(constitution, path, layout=layout)
    except ConstitutionError as problem:
        if f"{layout} cannot hold this constitution, nothing is written" not in str(problem):
            raise
        return None


def suffix(layout: str) -> str:
    """The suffix of a layout's files."""
    return ".md" if layout == "markdown" else ".json"


@pytest.mark.parametrize("layout", WRITABLE)
@settings(phases=[Phase.explicit, Phase.reuse, Phase.generate], max_examples=60)  # an example takes minutes to shrink
@given(constitution=_CONSTITUTIONS)
@example(constitution=plain(principle("kind"), principle("honest")))
def test_what_is_not_named_as_lost_comes_back(layout: str, constitution: Constitution) -> None:
    """For any text: a field is the same when it is read again, or it is named, or the whole is refused by name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"out{suffix(layout)}"
        lost = exported(constitution, path, layout)
        if lost is None:
            assert not path.exists()
            return
        back = load_constitution(path, layout=layout)
    if layout == "native":
        assert (back, lost) == (constitution, ())
        return
    named = {line.split(" ")[0] for line in lost}
    about = ("name", "version", "description", "language", "bases")
    assert {key for key in about if getattr(back, key) != getattr(constitution, key)} <= named
    if len(back.principles) == len(constitution.principles) and "the" not in named:
        for one, other in zip(constitution.principles, back.principles, strict=True):
            differing = {key for key in ("title", "category", "weight") if getattr(one, key) != getattr(other, key)}
            assert differing <= named
            if "text" not in named and layout != "answer-improvement":
                assert other.text == one.text
    for use, key in (("revise", "critique_request"), ("revise", "revision_request"), ("judge", "choice_question")):
        if key not in named and "uses" not in named:
            expected = [getattr(one, key) for one in constitution.principles if use in one.uses]
            assert [getattr(one, key) for one in back.principles if use in one.uses] == expected
    for kind, what in (("revise", "of revision"), ("judge", "of judging")):
        if not any(line.endswith(what) for line in lost):
            assert getattr(back.few_shots, kind) == getattr(constitution.few_shots, kind)


@given(
    given_fields=st.fixed_dictionaries(
        {},
        optional={
            "text": st.text(min_size=1).map(lambda text: f"text {text}"),
            "critique_request": st.text(min_size=1).map(lambda text: f"critique {text}"),
            "revision_request": st.text(min_size=1).map(lambda text: f"revision {text}"),
            "choice_question": st.text(min_size=1).map(lambda text: f"question {text}"),
        },
    ).filter(bool)
)
def test_what_was_derived_can_be_told_from_what_was_given(given_fields: dict[str, str]) -> None:
    """Whatever is given stays as it is, and exactly the rest is named as derived."""
    complete = with_derived_fields(given_fields)
    assert {key: complete[key] for key in given_fields} == given_fields
    made = Principle(id="a", **complete)
    assert set(derived_fields(made)) == {"text", *DERIVATIONS} - given_fields.keys()


def test_derived_from_a_question_word_for_word() -> None:
    """The question is quoted as a standard, and both answers are left open."""
    fields = with_derived_fields({"choice_question": "Which response is kinder?"})
    assert fields["text"] == "Which response is kinder?"
    assert fields["critique_request"] == (
        "Here is a question by which responses are compared: Which response is kinder? Say whether and where the "
        "assistant's last response falls short of the standard that it sets, or say that it is fine."
    )
    assert fields["revision_request"] == (
        "Here is a question by which responses are compared: Which response is kinder? If the assistant's last "
        "response already meets the standard that it sets, keep it as it is, word for word. Otherwise rewrite it so "
        "that it does, and so that it is still as helpful as it can be."
    )
    assert with_derived_fields({"revision_request": "Be kinder"})["choice_question"] == (
        "Here is a request to revise a response: Be kinder. Which response leaves less to change under this request?"
    )


def test_an_empty_field_is_missing() -> None:
    """A layout without a field and one with an empty field say the same."""
    assert with_derived_fields({"text": "", "critique_request": "", "choice_question": "Which?"}) == (
        with_derived_fields({"choice_question": "Which?"})
    )


@pytest.mark.parametrize("name", ["answer-improvement", "instructions", "comparisons", "registry", "titled", "traits"])
def test_derived_wording_passes_the_checks(tmp_path: Path, name: str) -> None:
    """No derived request presumes harm, and each derived question asks for a choice."""
    path = tmp_path / f"a{EXAMPLES[name][1]}"
    path.write_text(EXAMPLES[name][2], "utf-8")
    rules = {finding.rule for finding in check_constitution(load_constitution(path))}
    assert not rules & {"presumes-harm", "no-choice"}


def test_a_principle_list_names_what_it_cannot_hold(tmp_path: Path) -> None:
    """Weights, uses, system texts and examples have no place in it."""
    shot = JudgeExample(messages=(Message(role="user", content="x"),), a="a", b="b", answer="A")
    constitution = plain(
        principle("kind", weight=2.0, title="Kindness"),
        principle("honest", uses=("judge",), choice_question="Which response is truer?"),
        principle("brief", weight=3.0),
        version="1.0.0",
        system={"judge": "Judge."},
        few_shots={"judge": (shot,)},
        metadata={"a": 1, "b": 2},
    )
    assert export_constitution(constitution, tmp_path / "out.json", layout="principle-list") == (
        "version",
        "system.judge",
        "metadata (a, b)",
        "choice_question of 1 principle (honest)",
        "weight of 2 principles (kind, brief)",
        "uses of 1 principle (honest)",
        "1 example of judging",
    )


def test_the_variant_of_a_principle_list_follows_its_requests(tmp_path: Path) -> None:
    """Requests of its own make it the variant with requests; else texts are enough."""
    export_constitution(plain(principle("kind", title="Kindness")), tmp_path / "out.json", layout="principle-list")
    assert json.loads((tmp_path / "out.json").read_text("utf-8")) == [
        {"id": "kind", "title": "Kindness", "description": "Be kind."}
    ]
    own = plain(principle("kind", critique_request="Is it kind?", source_id="7", category="Tone"))
    lost = export_constitution(own, tmp_path / "out.json", layout="principle-list")
    (written,) = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert list(written) == ["id", "principle", "critique", "revision", "category"]
    assert (written["id"], written["critique"]) == (7, "Is it kind?")
    assert lost == ()


def test_answer_improvement_names_what_it_cannot_hold(tmp_path: Path) -> None:
    """A principle for both uses becomes two, and their order is that of the lists."""
    turns = (
        Message(role="user", content="a"),
        Message(role="assistant", content="b"),
        Message(role="user", content="c"),
        Message(role="assistant", content="d"),
    )
    shot = ReviseExample(messages=turns, critique_request="e", critique="f", revision_request="g", revision="h")
    constitution = plain(
        principle("judged", text="Which is it?", choice_question="Which is it?", uses=("judge",)),
        principle("kind", title="Kindness"),
        few_shots={"revise": (shot,)},
        metadata={"note": "x"},
    )
    lost = export_constitution(constitution, tmp_path / "out.json", layout="answer-improvement")
    assert lost == (
        "that the two halves of 1 principle are one, for revising and for judging",
        "id of 2 principles (judged, kind)",
        "text of 1 principle (kind)",
        "title of 1 principle (kind)",
        "the order of the principles",
        "messages of 1 example of revision",
    )
    assert json.loads((tmp_path / "out.json").read_text("utf-8"))["note"] == "x"


def test_markdown_reads_as_written(tmp_path: Path) -> None:
    """The page has a title, a heading a category, and an item a principle; a heading without a name ends one."""
    constitution = plain(
        principle("kind", title="Kindness", text="Be kind\nto all.", category="Tone"),
        principle("which-response-kinder", text="Be honest."),
    )
    lost = export_constitution(constitution, tmp_path / "out.md", layout="markdown")
    assert (tmp_path / "out.md").read_text("utf-8") == (
        "# out\n\n## Tone\n\n- **Kindness**: Be kind\n  to all.\n\n##\n\n- Be honest.\n"
    )
    assert lost == ("id of 2 principles (kind, which-response-kinder)",)


def test_what_no_text_can_hold_is_refused_by_name(tmp_path: Path) -> None:
    """A control character has no escape in Markdown: nothing is written, and the file that was there stays."""
    path = tmp_path / "out.md"
    path.write_text("before", "utf-8")
    with pytest.raises(ConstitutionError, match=r"markdown cannot hold this constitution.*U\+0000"):
        export_constitution(plain(principle("kind", text="a\x00b")), path, layout="markdown")
    assert path.read_text("utf-8") == "before"


@pytest.mark.parametrize(
    ("layout", "name", "taken"),
    [
        ("native", "out.md", "it would be read as markdown"),
        ("markdown", "out.json", "out.json:1: expected a value"),
        ("answer-improvement", "out.md", "it would be read as markdown"),
    ],
)
def test_a_name_that_says_another_layout_is_refused(tmp_path: Path, layout: str, name: str, taken: str) -> None:
    """What is written is recognised again by its file's name and content, or is not written."""
    with pytest.raises(ConstitutionError, match=f"no file of this name can hold {layout}.*{taken}"):
        export_constitution(plain(principle("kind")), tmp_path / name, layout=layout)
    assert list(tmp_path.iterdir()) == []


def test_keys_that_would_make_a_file_ambiguous_are_refused(tmp_path: Path) -> None:
    """Metadata is written under its own keys, and one of them may be another layout's mark."""
    constitution = plain(principle("kind"), metadata={"criteria": ["Which is kinder?"]})
    with pytest.raises(ConstitutionError, match=r"several ways \(answer-improvement, registry\)"):
        export_constitution(constitution, tmp_path / "out.json", layout="answer-improvement")


@pytest.mark.parametrize("layout", WRITABLE)
def test_a_file_too_large_to_be_read_again_is_not_written(tmp_path: Path, layout: str) -> None:
    """A constitution grows as it is written: its requests are spelt out."""
    with pytest.raises(ConstitutionError, match="would be larger than 5 MB"):
        export_constitution(
            plain(principle("kind", text="x" * 5_000_001)), tmp_path / f"out{suffix(layout)}", layout=layout
        )
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    """Layouts that are read alone are not written."""
    with pytest.raises(
        ConstitutionError, match=r'no layout that can be written is called "traits" \(there are native,'
    ):
        export_constitution(plain(principle("kind")), tmp_path / "out.json", layout="traits")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """Where the file cannot be written, the error says which."""
    with pytest.raises(ConstitutionError, match=r"out\.json: cannot be written \(No such file or directory\)"):
        export_constitution(plain(principle("kind")), tmp_path / "none" / "out.json", layout="principle-list")


@pytest.mark.parametrize("layout", ["answer-improvement", "principle-list", "markdown"])
def test_a_layouts_own_file_loses_nothing_in_it(tmp_path: Path, layout: str) -> None:
    """What came in a layout goes back into it whole."""
    own = {"answer-improvement": "answer-improvement", "principle-list": "explained", "markdown": "plain"}[layout]
    _, ending, text = EXAMPLES[own]
    (tmp_path / f"out{ending}").write_text(text, "utf-8")
    constitution = load_constitution(tmp_path / f"out{ending}")
    assert export_constitution(constitution, tmp_path / f"out{suffix(layout)}", layout=layout) == ()
    back = load_constitution(tmp_path / f"out{suffix(layout)}")
    kept = [one.model_copy(update={"source_id": ""}) for one in back.principles]
    assert back.model_copy(update={"principles": tuple(kept)}) == constitution
