"""The probes that come with Charter: every principle is pressed on, and neither length nor words tell the answers."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from importlib import resources
from itertools import chain

import pytest

from charter.constitution import Constitution, list_constitutions, load_constitution
from charter.evaluation.probe_loading import load_probes
from charter.prompts.grouping import normalise_text
from charter.prompts.near_duplicates import find_near_duplicates

EACH_PRINCIPLE_HAS = {"south_africa": 3, "romania": 3, "educational": 2, "wellbeing": 1, "honest": 1}
# A tutor's answer is one short question, so that its probes are short.
ANSWER_WORDS = {"educational": (9, 35)}
REFUSALS = re.compile(
    r"(I'm sorry, but|I am sorry, but|Sorry, but|I can(no|')t|I won't|As an AI|I'm unable)", re.IGNORECASE
)
# What the revisions of the few-shot examples open with: a model that only copies it must gain nothing by that.
FEW_SHOT_OPENINGS = ("Better not", "Let's not", "What do you think happens")


@dataclass(frozen=True)
class Probe:
    """A row of a file, as it is written there."""

    id: str
    principle: str
    prompt: str
    aligned: str
    misaligned: str


def read(name: str) -> tuple[Probe, ...]:
    """Read a file that ships, row by row."""
    text = (resources.files("charter.evaluation") / "probes" / f"{name}.jsonl").read_text("utf-8")
    return tuple(Probe(**json.loads(line)) for line in text.splitlines())


PROBES = {name: read(name) for name in EACH_PRINCIPLE_HAS}
ROWS = tuple(chain.from_iterable(PROBES.values()))

each = pytest.mark.parametrize("name", EACH_PRINCIPLE_HAS)


def n_words(text: str) -> int:
    """Count words."""
    return len(text.split())


def words_of(text: str) -> set[str]:
    """Gather the different words of a text."""
    return set(re.findall(r"[\w']+", text.lower()))


def first_word(text: str) -> list[str]:
    """Give the word that a text opens with."""
    return re.findall(r"[\w']+", text.lower())[:1]


def few_shot_turns(constitution: Constitution) -> list[str]:
    """Gather what the users of a constitution's examples say."""
    shots = constitution.few_shots
    shown = (*(one.messages for one in shots.revise), *(one.messages for one in shots.judge))
    return [turn.content for turns in shown for turn in turns if turn.role == "user"]


def test_all_files_are_looked_at() -> None:
    """No file ships without the tests here."""
    there = {one.name for one in (resources.files("charter.evaluation") / "probes").iterdir()}
    assert there == {f"{name}.jsonl" for name in EACH_PRINCIPLE_HAS}


@each
def test_every_principle_is_pressed_on(name: str) -> None:
    """Each principle has as many probes as was promised, and no probe is of another constitution's principle."""
    standard = load_constitution(name)
    assert Counter(row.principle for row in PROBES[name]) == dict.fromkeys(standard.ids, EACH_PRINCIPLE_HAS[name])


def test_ids_are_unique_and_name_the_principle() -> None:
    """An id says which principle it is of, and is given once over all the files."""
    assert max(Counter(row.id for row in ROWS).values()) == 1
    assert all(re.fullmatch(rf"[a-z]{{2}}-{row.principle}-[1-9]", row.id) for row in ROWS)


@each
def test_they_load_whole(name: str) -> None:
    """Every row becomes a pair that knows its principle, its own id and its better side."""
    loaded = load_probes(name)
    assert not loaded.left_out
    pairs = {pair.prompt.source_id: pair for pair in loaded.probes.pairs}
    assert len(pairs) == len(PROBES[name])
    for row in PROBES[name]:
        pair = pairs[row.id]
        kept, departed = (pair.a, pair.b) if pair.intended == "a" else (pair.b, pair.a)
        assert (pair.prompt.principle, pair.prompt.text) == (row.principle, row.prompt)
        assert (kept, departed) == (row.aligned, row.misaligned)


@each
def test_answers_are_of_one_length(name: str) -> None:
    """Neither is more than 15 % shorter in characters, and all have an everyday length."""
    fewest, most = ANSWER_WORDS.get(name, (25, 60))
    for row in PROBES[name]:
        lengths = sorted((len(row.aligned), len(row.misaligned)))
        assert lengths[0] >= 0.85 * lengths[1], row.id
        assert all(fewest <= n_words(answer) <= most for answer in (row.aligned, row.misaligned)), row.id
        assert 10 <= n_words(row.prompt) <= 60, row.id


@each
def test_length_tells_nothing_over_a_file(name: str) -> None:
    """Mean lengths are equal within 2 %, and the longer answer is as often the one as the other."""
    aligned = [len(row.aligned) for row in PROBES[name]]
    misaligned = [len(row.misaligned) for row in PROBES[name]]
    assert sum(aligned) == pytest.approx(sum(misaligned), rel=0.02)
    longer = sum(one > other for one, other in zip(aligned, misaligned, strict=True))
    shorter = sum(one < other for one, other in zip(aligned, misaligned, strict=True))
    assert 0.4 <= longer / (longer + shorter) <= 0.6
    assert 0.4 <= longer / len(aligned) <= 0.6


@each
def test_words_tell_little(name: str) -> None:
    """No word, and no first word, is in many more answers of one side than of the other."""
    rows = PROBES[name]
    # Whoever asks says "what" more often: the tutor's answers are told from others by their form as well.
    allowed = 0.5 if name == "educational" else 0.25
    if len(rows) < 30:
        allowed += 0.15  # a word or two weigh more among few
    for words, share in ((words_of, allowed), (first_word, 0.6 * allowed)):
        aligned = Counter(chain.from_iterable(words(row.aligned) for row in rows))
        misaligned = Counter(chain.from_iterable(words(row.misaligned) for row in rows))
        for word in aligned | misaligned:
            assert abs(aligned[word] - misaligned[word]) <= share * len(rows), word


def test_both_answers_engage() -> None:
    """Neither side is a refusal, and neither opens as the few-shot examples do."""
    for row in ROWS:
        for answer in (row.aligned, row.misaligned):
            assert not REFUSALS.match(answer), row.id
            assert not answer.startswith(FEW_SHOT_OPENINGS), row.id
        assert normalise_text(row.aligned) != normalise_text(row.misaligned), row.id


def test_no_prompt_resembles_another() -> None:
    """Each asks something of its own, over all the files."""
    found = find_near_duplicates([row.prompt for row in ROWS], threshold=0.6)
    assert not found.dropped


def test_no_prompt_resembles_a_few_shot_example() -> None:
    """A model that has seen the examples has not seen the probes."""
    turns = [turn for name in list_constitutions() for turn in few_shot_turns(load_constitution(name))]
    assert len(turns) > 50
    found = find_near_duplicates([row.prompt for row in ROWS], against=turns, threshold=0.5, within=False)
    assert not found.dropped
    assert not {normalise_text(row.prompt) for row in ROWS} & set(map(normalise_text, turns))


def test_the_tutor_asks_where_it_keeps_to_its_principles() -> None:
    """Outside the principles of care, an aligned answer is at most two sentences, and ends with its one question."""
    for row in PROBES["educational"]:
        if row.principle in {"danger", "distress"}:
            assert "?" not in row.aligned
            continue
        assert row.aligned.count("?") == 1
        assert row.aligned.endswith("?")
        assert len(re.findall(r"[.!?](?:\s|$)", row.aligned)) <= 2
