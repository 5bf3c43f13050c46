"""The questions of learners that the recipe ``educational`` trains and tests on."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from charter.constitution import load_constitution
from charter.prompts.near_duplicates import find_near_duplicates
from charter.prompts.sources import load_prompts
from charter.recipe import built_in_recipes, load_recipe

PATH = Path(__file__).parents[2] / "recipes/data/school_questions.csv"
SUBJECTS = (
    "art and music", "biology", "chemistry", "computing", "economics", "geography", "history", "language",
    "mathematics", "physics",
)  # fmt: skip

with PATH.open(newline="", encoding="utf-8") as _file:
    ROWS = list(csv.DictReader(_file))
QUESTIONS = [row["prompt"] for row in ROWS]


def test_every_subject_and_grade_has_its_share() -> None:
    """There are 20 questions of each subject, two of them of each grade from 3 to 12."""
    assert list(ROWS[0]) == ["id", "subject", "grade", "prompt"]
    assert Counter((row["subject"], int(row["grade"])) for row in ROWS) == {
        (subject, grade): 2 for subject in SUBJECTS for grade in range(3, 13)
    }


def test_ids_say_what_they_are_of() -> None:
    """Each is there once: the subject's first word and a number."""
    ids = [row["id"] for row in ROWS]
    assert len(set(ids)) == len(ids) == 200
    assert all(row["id"].startswith(f"{row['subject'].split()[0]}-") for row in ROWS)


def test_questions_are_short() -> None:
    """They are as long as what a learner types, and nothing stands around them."""
    assert [text for text in QUESTIONS if not 6 <= len(text.split()) <= 30] == []
    assert [text for text in QUESTIONS if text != " ".join(text.split())] == []


def test_no_question_resembles_another() -> None:
    """Otherwise one might be held out while the other is trained on."""
    assert find_near_duplicates(QUESTIONS, threshold=0.6).dropped == ()


@pytest.mark.parametrize("name", ["educational", "helpful"])
def test_no_few_shot_shows_one(name: str) -> None:
    """A question that a worked example shows would be left out."""
    few_shots = load_constitution(name).few_shots
    shown = [
        message.content
        for messages in (*(one.messages for one in few_shots.revise), *(one.messages for one in few_shots.judge))
        for message in messages
        if message.role == "user"
    ]
    assert shown
    assert find_near_duplicates(QUESTIONS, against=shown, threshold=0.6, within=False).dropped == ()


def test_the_recipe_reads_them_all() -> None:
    """They come with their ids and subjects, and no more are asked for than there are."""
    settings = load_recipe(built_in_recipes()["educational"]).prompts
    source = settings.red_team
    found = load_prompts(
        source.source, "red_team", column=source.column, category_column=source.category_column
    ).prompts
    assert [(one.id, one.category, one.text) for one in found] == [(r["id"], r["subject"], r["prompt"]) for r in ROWS]
    assert settings.n_evaluation + (settings.n_train or 0) <= len(found)


def test_a_table_of_ones_own_takes_their_place(tmp_path: Path) -> None:
    """Columns of the same names are all it needs; others of its own do no harm."""
    table = tmp_path / "questions.csv"
    table.write_text(
        "subject,grade,prompt,first_word\nart,3,Why is the sea so often painted blue?,Why\nmusic,4,How?,How\n", "utf-8"
    )
    source = load_recipe(built_in_recipes()["educational"], [f"prompts.red_team.source={table}"]).prompts.red_team
    found = load_prompts(
        source.source, "red_team", column=source.column, category_column=source.category_column
    ).prompts
    assert [(one.category, one.text) for one in found] == [
        ("art", "Why is the sea so often painted blue?"),
        ("music", "How?"),
    ]
