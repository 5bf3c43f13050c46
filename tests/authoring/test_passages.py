from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.authoring.passages import find_quotation, split_passages

DOCUMENT = (
    "First one. It is short.\r\n\r\nSecond one\ngoes over lines.\n \n\n  Third one is long; very long. It ends here.\n"
)


@given(st.text(st.sampled_from("ab. \n\t\r;\u00e9")), st.integers(1, 40))
def test_passages_are_the_document_to_the_letter(document: str, most: int) -> None:
    """Each passage stands where it says, in order, none is too long, and no word is lost."""
    passages = split_passages(document, max_characters=most)
    end = 0
    for one in passages:
        assert document[one.start : one.start + len(one.text)] == one.text
        assert one.start >= end
        assert 0 < len(one.text) <= most
        end = one.start + len(one.text)
    assert "".join("".join(one.text for one in passages).split()) == "".join(document.split())


def test_paragraphs_stay_whole_where_they_fit() -> None:
    """Passages end between paragraphs; a paragraph that is too long ends between sentences."""
    assert [one.text for one in split_passages(DOCUMENT, max_characters=30)] == [
        "First one. It is short.",
        "Second one\ngoes over lines.",
        "Third one is long; very long.",
        "It ends here.",
    ]
    assert len(split_passages(DOCUMENT, max_characters=1000)) == 1


@pytest.mark.parametrize(
    "quotation",
    ["Second one goes over lines.", '"Second one  goes over lines."', "...Second one\tgoes over lines.\u2026"],
)
def test_a_quotation_is_found_whatever_its_white_space(quotation: str) -> None:
    """What is given back are the document's own characters."""
    found = find_quotation(quotation, DOCUMENT)
    assert found is not None
    assert found.text == "Second one\ngoes over lines."[: len(found.text)]
    assert DOCUMENT[found.start :].startswith(found.text)


@pytest.mark.parametrize("quotation", ["Second one comes first.", "", "  ...  ", ".*", "First one. Second one"])
def test_what_the_document_does_not_say_is_not_found(quotation: str) -> None:
    """Neither paraphrase nor pattern nor nothing is a quotation."""
    assert find_quotation(quotation, DOCUMENT) is None


def test_a_quotation_is_looked_for_near_its_passage_first() -> None:
    """Words that occur twice are those of the passage that was read."""
    text = "The same words. x\n\nThe same words. y"
    second = split_passages(text, max_characters=18)[1]
    found = find_quotation("The same words.", text, near=second)
    assert found is not None
    assert found.start == second.start


def test_a_passage_has_room() -> None:
    """At least one character must fit."""
    with pytest.raises(ValueError, match="expected at least 1"):
        split_passages("x", max_characters=0)
