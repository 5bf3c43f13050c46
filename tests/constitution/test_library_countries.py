"""The built-in constitutions of countries: what they promise, counted."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from charter.constitution import (
    Constitution,
    JudgeExample,
    Principle,
    ReviseExample,
    load_constitution,
)
from pages import code_in, sections, table_rows

COUNTRIES = tuple(load_constitution(name) for name in ("south_africa", "romania"))
SUBJECTS = {
    "south_africa": {
        "human-dignity",
        "equal-treatment",
        "everyone-who-lives-here",
        "truthful-history",
        "truth-and-repair",
        "redress",
        "languages",
        "faiths-and-none",
        "many-ways",
        "open-debate",
        "free-vote",
        "clean-hands",
        "ubuntu",
        "indaba",
        "children-first",
        "land-and-water",
    },
    "romania": {
        "one-rule-for-all",
        "deeds-not-origins",
        "every-child",
        "access",
        "documented-past",
        "whole-history",
        "before-and-after-1989",
        "mother-tongues",
        "own-names",
        "faith-by-choice",
        "feast-days",
        "frank-words",
        "no-envelopes",
        "voters-choice",
        "welcome",
        "craft",
        "forests-and-waters",
    },
}
SOURCES = {
    "south_africa": "Constitution of the Republic of South Africa, 1996, ",
    "romania": "Constitution of Romania (1991, revised 2003), ",
}
PLACE = re.compile(r"preamble|sections? \d|articles? \d")
OPENINGS = {"south_africa": "Better not, because ", "romania": "Let's not, because "}
SPEAKS_OF_A_PEOPLE_AS_ONE = re.compile(
    r"\b(?:South Africans?|Romanians?|Africans|Hungarians|Roma|Muslims|Christians)\b[^.]{0,20}"
    r"\b(?:are|believe|value|love|always|never|tend)\b"
)

each_country = pytest.mark.parametrize("country", COUNTRIES, ids=lambda country: country.name)
each_principle = pytest.mark.parametrize(
    ("country", "principle"),
    [(country, principle) for country in COUNTRIES for principle in country.principles],
    ids=lambda value: value.name if isinstance(value, Constitution) else value.id,
)
each_revise = pytest.mark.parametrize(
    ("country", "shot"),
    [(country, shot) for country in COUNTRIES for shot in country.few_shots.revise],
    ids=lambda value: value.name if isinstance(value, Constitution) else value.messages[0].content,
)
each_judge = pytest.mark.parametrize(
    ("country", "shot"),
    [(country, shot) for country in COUNTRIES for shot in country.few_shots.judge],
    ids=lambda value: value.name if isinstance(value, Constitution) else value.messages[0].content,
)


def n_words(*texts: str) -> int:
    """Count words."""
    return sum(len(text.split()) for text in texts)


@each_country
def test_subjects_are_covered(country: Constitution) -> None:
    """Sixteen principles or more in four to six categories, of two or more each."""
    assert len(country.principles) >= 16
    assert set(country.ids) >= SUBJECTS[country.name]
    categories = [principle.category for principle in country.principles]
    assert 4 <= len(set(categories)) <= 6
    assert min(categories.count(category) for category in categories) >= 2


def test_countries_can_be_extended_together() -> None:
    """No id is in both, so that one constitution can build on the two."""
    south_africa, romania = COUNTRIES
    assert not set(south_africa.ids) & set(romania.ids)
    texts = [principle.text for country in COUNTRIES for principle in country.principles]
    assert len(set(texts)) == len(texts)


@each_principle
def test_principles_are_complete(country: Constitution, principle: Principle) -> None:
    """Title and text say what the assistant does, in one or two sentences, and the requests are its own."""
    assert principle.title, country.name
    assert principle.text.startswith("The assistant ")
    assert n_words(principle.text) <= 45
    assert "Here is a principle" not in principle.critique_request


@each_country
def test_sources_are_named(country: Constitution) -> None:
    """Each principle has a source: most the constitution's text with the place in it, the others a tradition."""
    sources = [principle.source for principle in country.principles]
    assert all(sources)
    public = [source for source in sources if SOURCES[country.name] in source]
    assert all(PLACE.match(source.partition(SOURCES[country.name])[2]) for source in public)
    assert len(public) >= 15
    assert len(set(sources)) == len(sources)


@each_principle
def test_nobody_is_said_to_be_alike(country: Constitution, principle: Principle) -> None:
    """A principle says what the assistant does, and not what a people is or believes."""
    for field in ("title", "text", "critique_request", "revision_request", "choice_question"):
        assert not SPEAKS_OF_A_PEOPLE_AS_ONE.search(getattr(principle, field)), country.name


@each_principle
def test_critique_requests_are_neutral(country: Constitution, principle: Principle) -> None:
    """Nothing is taken for granted, and fine is a possible answer."""
    assert principle.critique_request.startswith("Say whether and where "), country.name
    assert principle.critique_request.endswith(", or say that it is fine.")
    assert n_words(principle.critique_request) <= 32


@each_principle
def test_revision_requests_keep_what_was_fine(country: Constitution, principle: Principle) -> None:
    """The first thing they say is when to change nothing."""
    start = "If the response is already fine, keep it as it is. Otherwise rewrite it: "
    assert principle.revision_request.startswith(start), country.name
    assert n_words(principle.revision_request) <= 45


@each_principle
def test_choice_questions_ask_which(country: Constitution, principle: Principle) -> None:
    """The last sentence asks for one of the two."""
    last = principle.choice_question.split(". ")[-1]
    assert last.startswith("Which response "), country.name
    assert last.endswith("?")


@each_country
def test_requests_differ(country: Constitution) -> None:
    """No two principles put the same request."""
    for field in ("text", "critique_request", "revision_request", "choice_question"):
        assert len({getattr(principle, field) for principle in country.principles}) == len(country.principles)


@each_country
def test_system_texts(country: Constitution) -> None:
    """All four are there, short and about the country; the two calls of a round share one."""
    system = country.system
    assert system.critique == system.revise
    for text in (system.respond, system.critique, system.judge):
        assert 0 < n_words(text) <= 70
        assert country.name.replace("_", " ").title() in text


@each_country
def test_criticism_of_those_in_power_is_helped_with(country: Constitution) -> None:
    """One principle and one example that was fine speak for it; nothing takes sides for a party."""
    free = {"south_africa": "open-debate", "romania": "frank-words"}[country.name]
    principle = country.principle(free)
    assert "helps in full" in principle.text
    kept = [shot for shot in country.few_shots.revise if not shot.changed]
    assert principle.critique_request in {shot.critique_request for shot in kept}
    assert not re.search(r"\b(?:ANC|DA|EFF|MK|IFP|PSD|PNL|USR|AUR|UDMR|RMDSZ)\b", country.model_dump_json())


@each_revise
def test_revise_examples_are_short_and_shaped(country: Constitution, shot: ReviseExample) -> None:
    """User asks, assistant answers; what is the example's own takes at most 90 words."""
    asked, answered = shot.messages
    assert (asked.role, answered.role) == ("user", "assistant"), country.name
    assert n_words(asked.content, answered.content, shot.critique, shot.revision) <= 90
    assert n_words(answered.content) <= 30
    assert n_words(shot.critique) <= 25
    assert n_words(shot.revision) <= 35


@each_revise
def test_revise_examples_use_the_principles_requests(country: Constitution, shot: ReviseExample) -> None:
    """An example shows the very wording that comes later."""
    requests = {(principle.critique_request, principle.revision_request) for principle in country.principles}
    assert (shot.critique_request, shot.revision_request) in requests


@each_revise
def test_revise_examples_agree_with_their_critique(country: Constitution, shot: ReviseExample) -> None:
    """What was fine is called fine and kept; what was not becomes an objection, a reason and a better way."""
    if not shot.changed:
        assert shot.critique.startswith("The response is fine.")
        return
    assert "fine" not in shot.critique
    assert shot.revision.startswith(OPENINGS[country.name])
    assert ". Instead, " in shot.revision


@each_revise
def test_critiques_speak_of_what_was_asked(country: Constitution, shot: ReviseExample) -> None:
    """A critique repeats the request's own words, which is what a small model learns to copy."""
    if not shot.changed:
        return
    asked = set(re.findall(r"[a-z]{4,}", shot.messages[0].content.lower()))
    assert len(asked & set(re.findall(r"[a-z]{4,}", shot.critique.lower()))) >= 2, country.name


@each_country
def test_revise_examples_are_balanced(country: Constitution) -> None:
    """Six change the response, each under another principle, and two keep it."""
    changed = [shot for shot in country.few_shots.revise if shot.changed]
    assert (len(changed), len(country.few_shots.revise)) == (6, 8)
    assert len({shot.critique_request for shot in country.few_shots.revise}) == 8


@each_judge
def test_judge_examples_are_short_and_reasoned(country: Constitution, shot: JudgeExample) -> None:
    """Each asks a principle's question and reasons in one sentence that names its answer."""
    assert [message.role for message in shot.messages] == ["user"]
    assert n_words(shot.messages[0].content, shot.a, shot.b, shot.reasoning) <= 90
    assert shot.question in {principle.choice_question for principle in country.principles}
    assert shot.reasoning.count(". ") == 0
    assert shot.reasoning.endswith((f"so {shot.answer} is better.", f"makes {shot.answer} better."))


@each_country
def test_judge_examples_are_balanced(country: Constitution) -> None:
    """As many A as B, and not by turns."""
    answers = [shot.answer for shot in country.few_shots.judge]
    assert sorted(answers) == ["A", "A", "B", "B"]
    assert any(first == second for first, second in pairwise(answers))
    assert len({shot.question for shot in country.few_shots.judge}) == len(answers)


@each_country
def test_page_lists_every_principle(country: Constitution) -> None:
    """The page of each country has each principle with its text and source, and what came of its review."""
    page = sections(f"constitutions/{country.name}.md")
    told = {code_in(cells[0])[0]: tuple(cells[1:]) for cells in table_rows(page["The principles"])}
    assert told == {principle.id: (principle.text, principle.source) for principle in country.principles}
    reviewed = [code_in(cells[0])[0] for cells in table_rows(page["Reviewed for stereotypes"]) if cells[0][0] == "`"]
    assert reviewed == list(country.ids)
