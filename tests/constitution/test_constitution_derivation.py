"""Requests derived from a principle's text."""

from __future__ import annotations

import pytest

from charter.constitution.derivation import DERIVATIONS, with_derived_requests


def test_derived_requests_read_as_written() -> None:
    """The three rules, word for word."""
    fields = with_derived_requests({"id": "x", "text": "Be kind"})
    assert fields["critique_request"] == (
        "Here is a principle for the assistant: Be kind. Say whether and where the assistant's last response departs "
        "from this principle, or say that it is fine."
    )
    assert fields["revision_request"] == (
        "Here is a principle for the assistant: Be kind. If the assistant's last response already follows this "
        "principle, keep it as it is, word for word. Otherwise rewrite it so that it does, and so that it is still as "
        "helpful as it can be."
    )
    assert fields["choice_question"] == (
        "Here is a principle for the assistant: Be kind. Which response follows this principle better?"
    )


@pytest.mark.parametrize("text", ["Be kind.", "Be kind!", "Kind?", "  Be kind.\n"])
def test_a_closed_sentence_gets_no_second_full_stop(text: str) -> None:
    """The text's own punctuation stays."""
    for derive in DERIVATIONS.values():
        assert f": {text.strip()} " in derive(text)


def test_text_is_data() -> None:
    """Braces and percent signs in a principle travel as they are."""
    assert "{0} %s {text}." in DERIVATIONS["choice_question"]("{0} %s {text}")


def test_given_requests_are_kept() -> None:
    """Only what is missing is derived, and nothing without a text."""
    fields = with_derived_requests({"text": "Be kind", "critique_request": "Mine"})
    assert fields["critique_request"] == "Mine"
    assert with_derived_requests({"id": "x"}) == {"id": "x"}
    assert with_derived_requests({"id": "x", "text": 3}) == {"id": "x", "text": 3}
