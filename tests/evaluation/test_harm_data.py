"""The rows about harm that come with Charter: what they cover, and that neither length, letters nor words tell."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from importlib import resources
from itertools import chain

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import spearmanr

from charter.evaluation.harm import (
    BUILT_IN_QUESTIONS,
    KINDS,
    HarmConversation,
    load_conversations,
    load_graded,
    load_questions,
)
from charter.evaluation.multiple_choice import baselines
from charter.prompts.near_duplicates import find_near_duplicates

CONVERSATIONS = load_conversations()
GRADED = load_graded()
# What a classifier of words would look for first.
REFUSALS = re.compile(r"(I'm sorry|I am sorry|Sorry|I can(no|')t|I won't|I'd rather not|As an AI|I'm unable)")

each_kind = pytest.mark.parametrize("kind", KINDS)


def of_kind(kind: str) -> list[HarmConversation]:
    """Give the conversations of a kind."""
    return [row for row in CONVERSATIONS if row.kind == kind]


def words_of(text: str) -> set[str]:
    """Gather the different words of a text."""
    return set(re.findall(r"[a-z']+", text.lower()))


def test_every_kind_has_its_rows() -> None:
    """Twenty-five conversations a kind, and five prompts a kind with a reply of every grade."""
    assert Counter(row.kind for row in CONVERSATIONS) == dict.fromkeys(KINDS, 25)
    assert Counter((row.kind, row.harm) for row in GRADED) == {(kind, harm): 5 for kind in KINDS for harm in range(5)}
    grades: dict[str, list[int]] = {}
    for row in GRADED:
        grades.setdefault(row.prompt, []).append(row.harm)
    assert len(grades) == 45
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in grades.values())


@each_kind
def test_mean_lengths_are_equal_within_a_kind(kind: str) -> None:
    """Mean lengths differ by 5 % at most."""
    rows = of_kind(kind)
    assert sum(len(row.harmless) for row in rows) == pytest.approx(sum(len(row.harmful) for row in rows), rel=0.05)


def test_the_longer_reply_is_as_often_the_one_as_the_other() -> None:
    """Over all rows the harmless reply is the longer in 45 to 55 % of them, and means differ by 5 % at most."""
    longer = sum(len(row.harmless) > len(row.harmful) for row in CONVERSATIONS)
    assert 0.45 <= longer / len(CONVERSATIONS) <= 0.55
    lengths = [(len(row.harmful), len(row.harmless)) for row in CONVERSATIONS]
    harmful, harmless = map(sum, zip(*lengths, strict=True))
    assert harmless == pytest.approx(harmful, rel=0.05)


def test_length_tells_no_grade() -> None:
    """The rank correlation of a reply's length and its grade is below 0.1."""
    found = spearmanr([len(row.response) for row in GRADED], [row.harm for row in GRADED])
    assert abs(found.statistic) < 0.1


def test_exclamation_marks_tell_no_grade() -> None:
    """No grade is much louder than the others."""
    loud = Counter(row.harm for row in GRADED if "!" in row.response)
    assert max(loud.values()) <= 12


def test_no_request_resembles_another() -> None:
    """Each asks something of its own, and nothing that ships for training or as a probe."""
    asked = [*(row.request for row in CONVERSATIONS), *dict.fromkeys(row.prompt for row in GRADED)]
    there = list(shipped_prompts())
    assert len(there) > 800
    assert not find_near_duplicates(asked, against=there, threshold=0.4).dropped


def shipped_prompts() -> chain[str]:
    """Give the prompts that ship for other ends."""
    folders = (resources.files("charter.prompts") / "data", resources.files("charter.evaluation") / "probes")
    files = chain.from_iterable(folder.iterdir() for folder in folders)
    lines = chain.from_iterable(file.read_text("utf-8").splitlines() for file in files if file.name.endswith(".jsonl"))
    return chain(json.loads(line)["prompt"] for line in lines)


def test_no_reply_resembles_another() -> None:
    """A reply is no other one with a word changed."""
    replies = [reply for row in CONVERSATIONS for reply in (row.harmful, row.harmless)]
    assert not find_near_duplicates(replies, threshold=0.5).dropped
    assert not find_near_duplicates([row.response for row in GRADED], threshold=0.7).dropped


def test_refusals_do_not_tell() -> None:
    """Few harmless replies open with an apology or a refusal, and some harmful ones do."""
    harmless = sum(REFUSALS.match(row.harmless) is not None for row in CONVERSATIONS)
    harmful = sum(REFUSALS.match(row.harmful) is not None for row in CONVERSATIONS)
    assert harmless <= 0.05 * len(CONVERSATIONS)
    assert harmful >= 5
    openings = Counter(" ".join(row.harmless.split()[:2]).lower() for row in CONVERSATIONS)
    assert max(openings.values()) <= 8


def test_replies_are_of_one_paragraph_and_an_everyday_length() -> None:
    """None has a list, a line break or a number with a unit to follow."""
    for row in CONVERSATIONS:
        for reply in (row.harmful, row.harmless):
            assert "\n" not in reply, row.id
            assert 20 <= len(reply.split()) <= 60, row.id
        assert not re.search(r"\d+\s*(g|mg|ml|kg|grams?|millilitres?)\b", row.harmful), row.id
    for graded in GRADED:
        assert not re.search(r"\d+\s*(g|mg|ml|kg|grams?|millilitres?)\b", graded.response), graded.id


@pytest.mark.parametrize("name", BUILT_IN_QUESTIONS)
def test_no_letter_and_no_length_gives_an_answer_away(name: str) -> None:
    """Without reading nobody does much better than chance."""
    found = baselines(load_questions(name))
    chance = float(found.pop("chance"))
    assert all(abs(float(share) - chance) <= 0.06 for share in found.values()), found
    letters = Counter(row.corrects[0] for row in load_questions(name))
    assert max(letters.values()) <= (1.6 if name == "harm-kinds" else 1.1) * sum(letters.values()) / len(letters)


def test_words_tell_less_than_four_in_five() -> None:
    """A logistic regression on bags of words, in five folds by request, is right for fewer than 80 % of replies."""
    right = words_alone()
    assert 0.5 < np.mean(right) < 0.75
    assert len(right) == 2 * len(CONVERSATIONS)


@cache
def words_alone() -> tuple[bool, ...]:
    """Say which replies a logistic regression (L2 of 1) tells by their words, learnt from the other four fifths."""
    order = np.random.default_rng(0).permutation(len(CONVERSATIONS))
    right: dict[int, tuple[bool, bool]] = {}
    for fold in range(5):
        asked = order[fold::5]
        learnt = [CONVERSATIONS[n] for n in order if n not in asked]
        seen = Counter(chain.from_iterable(words_of(reply) for row in learnt for reply in (row.harmful, row.harmless)))
        vocabulary = sorted(word for word, n in seen.items() if n > 1)
        weights = fitted(bags(learnt, vocabulary), np.tile([1.0, -1.0], len(learnt)))
        scores = bags([CONVERSATIONS[n] for n in asked], vocabulary) @ weights[:-1] + weights[-1]
        for n, harmful, harmless in zip(asked, scores[0::2], scores[1::2], strict=True):
            right[int(n)] = (bool(harmful > 0), bool(harmless <= 0))
    return tuple(chain.from_iterable(right[n] for n in sorted(right)))


def bags(rows: list[HarmConversation], vocabulary: list[str]) -> np.ndarray:
    """Mark which words each reply has, the harmful one of each row before the harmless one."""
    found = [words_of(reply) for row in rows for reply in (row.harmful, row.harmless)]
    return np.array([[float(word in words) for word in vocabulary] for words in found])


def fitted(words: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Fit the words' weights and the intercept."""

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (words @ weights[:-1] + weights[-1])
        pull = -signs / (1 + np.exp(margins))
        value = np.logaddexp(0, -margins).sum() + (weights[:-1] ** 2).sum() / 2
        return float(value), np.append(words.T @ pull + weights[:-1], pull.sum())

    return np.asarray(minimize(loss, np.zeros(words.shape[1] + 1), jac=True, method="L-BFGS-B").x)
