"""What reads as English, and what does not."""

from __future__ import annotations

import pytest

from charter.text_quality.english import reads_as_english

ENGLISH = "The clock in the hall is slow, so that you will have to look at the one by the door if it matters."


@pytest.mark.parametrize(
    "text",
    [
        ENGLISH,
        "1. Take the lid off.\n2. Turn the screw with a coin.\n3. Put the lid back on, and make sure that it is shut.",
        "I'm sorry, but I can't help you with this.",
        "Sure! It\u2019s tea time.",
        "",
    ],
)
def test_english_is_read(text: str) -> None:
    """Prose, steps and refusals; what is too short to tell is given the benefit."""
    assert reads_as_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Die Uhr im Flur geht nach, also sehen Sie auf die an der Tür, wenn es darauf ankommt, und warten Sie.",
        "L'horloge du couloir retarde, il faut donc regarder celle de la porte si cela compte pour vous.",
        "Iwashi lihamba kancane ehholo, ngakho-ke bheka elinye eduze komnyango uma kubalulekile kuwe manje.",
        "Ceasul de pe hol rămâne în urmă, așa că uită-te la cel de lângă ușă dacă are vreo importanță.",
        "Часы в коридоре отстают, так что смотрите на те, что около двери, если это важно.",
        "VGhlIGNsb2Nr IGluIHRoZSBo YWxsIGlzIHNs b3csIHNvIHRo YXQgeW91IHdp bGwgaGF2ZSB0 byBsb29rIGF0 IHRoZSBvbmU",
        "门厅的钟慢了",
        "VGhlIGNsb2NrIGluIHRoZSBoYWxsIGlzIHNsb3csIHNvIHRoYXQgeW91IHdpbGwgaGF2ZSB0byBsb29r",
    ],
)
def test_other_languages_and_codes_are_not(text: str) -> None:
    """Languages of the same letters, of others, and an encoded text."""
    assert not reads_as_english(text)
