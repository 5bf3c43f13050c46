"""Scores of harm: a judge's mean grade, a regressor fitted to graded replies, what it is worth, and how it is kept."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.stats import spearmanr

from charter.engines.base import ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.engines.transformers.states import StateReader, TalkTokens
from charter.errors import EngineError, ModelError, PromptError
from charter.evaluation.descriptions import make_reader
from charter.evaluation.harm import (
    DESCRIPTIONS,
    GRADES,
    GradedReply,
    HarmScore,
    Regressor,
    Reply,
    assess_scores,
    fit_regressor,
    judge_harm,
    judge_harm_one,
    keep_regressor,
    load_graded,
    load_regressor,
    replies_of_graded,
    require_same_model,
    score_harm,
)
from charter.evaluation.harm.scores import agreement_with_grades, nearest_grade, read_grades
from charter.evaluation.word_bags import bags_of_words
from charter.feedback.judge import Judge
from charter.journal.store import Journal
from charter.rows import RowMapper, map_rows
from method_examples import run, user

GRADED = load_graded()
N_STATES = 8


def reply(response: str = "Hit him.", name: str = "a", group: str = "g") -> Reply:
    """Make a reply."""
    return Reply(name, (user("My brother took my bike."),), response, group)


def judge(weigh: Callable[[str], float], *, for_letter: tuple[float, ...] = (0.0,) * 5, mass: float = 1.0) -> Judge:
    """Judge by the grade behind a letter, with a favour for some letters."""
    grades = {description: grade for grade, description in DESCRIPTIONS.items()}

    def preference(request: ChoiceRequest) -> list[float]:
        assert request.messages is not None
        text = request.messages[-1].content.rpartition("\n\nOptions:\n")[2]
        weights = [weigh(grades[one]) for one in sorted(grades, key=text.index)]
        weights = [one + favour for one, favour in zip(weights, for_letter, strict=True)]
        return [mass * one / sum(weights) for one in weights]

    return make_reader(ScriptedEngine(preference=preference, script="grades"))


@pytest.mark.parametrize("grade", GRADES)
def test_a_judge_that_knows_the_grade_says_it(grade: int) -> None:
    """Nearly all of the probability on one grade is a score near to it."""
    found = run(judge_harm_one(reply(), judge(lambda one: 1000.0 if int(one) == grade else 1.0)))
    assert found.score == pytest.approx(grade, abs=0.02)
    assert len(found.orders) == 5
    assert found.p[grade] == max(found.p)


def test_a_liking_for_a_letter_decides_nothing() -> None:
    """Every grade stands behind every letter once: a judge that reads nothing says the middle."""
    for letter in range(5):
        favours = tuple(9.0 * (place == letter) for place in range(5))
        found = run(judge_harm_one(reply(), judge(lambda _: 1.0, for_letter=favours)))
        assert found.score == pytest.approx(2.0)


def test_the_score_is_the_mean_grade() -> None:
    """Probabilities of a tenth, two tenths, ... give the mean by them."""
    found = run(judge_harm_one(reply(), judge(lambda one: 1.0 + int(one))))
    assert found.score == pytest.approx(sum(n * (n + 1) for n in range(5)) / 15)


def test_what_a_judge_cannot_read_has_no_score() -> None:
    """Letters without mass, options in the conversation, an empty reply: counted, and never the middle."""
    weak = run(judge_harm_one(reply(), judge(lambda _: 1.0, mass=0.3)))
    assert (weak.score, weak.invalid, len(weak.orders)) == (None, "option mass below the minimum", 5)
    options = run(judge_harm_one(reply("Take one.\n\nOptions:\n(A) this"), judge(lambda _: 1.0)))
    assert (options.score, options.invalid) == (None, "the conversation holds marks of the judge's layout")
    assert run(judge_harm_one(reply(" \n"), judge(lambda _: 1.0))).invalid == "the reply is empty"


def test_scores_of_a_judge_are_not_asked_twice(tmp_path: Path) -> None:
    """What a journal holds is taken up."""
    asked: list[str] = []

    def weigh(grade: str) -> float:
        asked.append(grade)
        return 1.0 + int(grade)

    with Journal(tmp_path / "j") as journal:
        mapper = cast("RowMapper", partial(map_rows, journal=journal))
        found = [judge_harm([reply()], judge(weigh), stage="x", mapper=mapper).done for _ in range(2)]
        assert tuple(found[0]) == tuple(found[1])
    assert len(asked) == 25


def test_figures_by_hand() -> None:
    """The mean, the nearest grades and the quartiles; a row without a score is in none of them."""
    replies = [reply(name=name, group=name[0]) for name in ("a1", "a2", "b1", "b2", "c")]
    scores = [HarmScore(id=name, score=value) for name, value in (("a1", 0.0), ("a2", 1.0), ("b1", 2.5), ("b2", 4.0))]
    found = assess_scores(replies, [*scores, HarmScore(id="c", score=None, invalid="no")], {"a2": 2.0, "b2": 4.0})
    assert found is not None
    assert (found.mean.value, found.mean.n, found.mean.n_groups) == (1.875, 4, 2)
    assert [share.count for share in found.grades.values()] == [1, 1, 0, 1, 1]
    assert found.quartiles == (0.0, 0.75, 1.75, 2.875, 4.0)
    assert found.with_grades is not None
    assert (found.with_grades.error.value, found.with_grades.bias.value) == (0.5, -0.5)
    assert found.with_grades.rank_correlation.value == 1.0
    assert assess_scores(replies, [HarmScore(id="c", score=None, invalid="no")]) is None


def test_halves_go_up() -> None:
    """A score between two grades is nearest to the worse."""
    assert [nearest_grade(one) for one in (0.0, 0.49, 0.5, 1.5, 2.5, 3.99, 4.0)] == [0, 0, 1, 2, 3, 4, 4]


def test_agreement_is_scipys_and_clustered() -> None:
    """Spearman's correlation is scipy's; rows that repeat in groups widen the interval."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 5, 60).astype(float)
    given = true + rng.normal(size=60)
    alone = agreement_with_grades(list(given), list(true), [str(n) for n in range(60)])
    assert alone.rank_correlation.value == pytest.approx(spearmanr(given, true).statistic)
    fourfold = agreement_with_grades([*given] * 4, [*true] * 4, [str(n) for n in range(60)] * 4)
    assert fourfold.error.n_groups == 60
    assert fourfold.error.low == pytest.approx(alone.error.low, abs=0.03)


@pytest.mark.parametrize("value", ["5", -1, "harmful", True, float("inf"), [1]])
def test_other_grades_are_named_with_their_line(value: object) -> None:
    """A number from 0 to 4, or nothing."""
    assert read_grades([(None, "x:1"), (" ", "x:2"), ("3", "x:3"), (2.5, "x:4")], "harm") == (
        [None, None, "3", "2.5"], "grades",
    )  # fmt: skip
    with pytest.raises(PromptError, match=r"x:2: 'harm' is .*; expected a grade from 0 \(harmless\) to 4"):
        read_grades([(1, "x:1"), (value, "x:2")], "harm")


def test_bags_mark_words_of_several_texts() -> None:
    """In any case, of at least two texts; a word that one text alone has is none."""
    assert bags_of_words(["Don't hit", "don't HIT him", "hit"]).tolist() == [[1, 1], [1, 1], [0, 1]]


def stand_in(tell: float, *, identity: str = "one") -> StateReader:
    """Make a reader whose states hold the grade ``tell`` times, beside noise that each text determines."""
    grade_of = {row.response: row.harm for row in GRADED}

    def tokenise(_: object, response: str) -> TalkTokens:
        if response == "too long":
            raise EngineError("the model reads less")
        return TalkTokens((zlib.crc32(response.encode()), grade_of.get(response, 0)), 1)

    def read(talks: list[TalkTokens], **_: object) -> NDArray[np.float64]:
        noise = np.array([np.random.default_rng(talk.ids[0]).normal(size=N_STATES) for talk in talks])
        noise[:, 0] += tell * np.array([talk.ids[1] for talk in talks])
        return noise

    shown = SimpleNamespace(name="stand-in", identity=identity, n_layers=7, tokenise=tokenise, read=read)
    return cast("StateReader", shown)


@pytest.fixture(scope="module")
def regressor() -> Regressor:
    """A regressor on states that tell the grade."""
    return fit_regressor(GRADED, stand_in(2.0))


def test_a_regressor_finds_what_states_tell(regressor: Regressor) -> None:
    """Where a state holds the grade, scores follow it on prompts unseen, and it is better than words."""
    found = regressor
    assert (found.layer, found.pooling, found.quality.n, found.quality.n_prompts) == (4, "mean", 225, 45)
    assert found.quality.states.rank_correlation.value > 0.85
    assert found.quality.states.rank_correlation.n_groups == 45
    assert found.quality.less_than_words.difference < -0.4
    assert found.quality.is_better
    scores = score_harm(replies_of_graded(GRADED), found, stand_in(2.0))
    assert [one.id for one in scores] == [row.id for row in GRADED]
    assert spearmanr([one.score for one in scores], [row.harm for row in GRADED]).statistic > 0.85


def test_a_regressor_on_noise_is_not_better() -> None:
    """Where states tell nothing, it says so: no correlation, and no less error than a constant has."""
    quality = fit_regressor(GRADED, stand_in(0.0)).quality
    assert abs(quality.states.rank_correlation.value) < 0.2
    assert quality.constant.value == pytest.approx(1.2)
    assert quality.words.rank_correlation.value > 0.4
    assert abs(quality.length.rank_correlation.value) < 0.2
    assert not quality.is_better


def test_replies_that_cannot_be_read_have_no_score(regressor: Regressor) -> None:
    """Scores stay in place, within 0 and 4, and each row without one has its reason."""
    far = replace(regressor, line=replace(regressor.line, bias=99.0))
    rows = [reply("a", "1"), reply(" ", "2"), reply("too long", "3"), reply("b", "4")]
    found = score_harm(rows, far, stand_in(2.0))
    assert [(one.id, one.score, one.invalid) for one in found] == [
        ("1", 4.0, ""), ("2", None, "the reply is empty"), ("3", None, "the model reads less"), ("4", 4.0, ""),
    ]  # fmt: skip
    assert score_harm(rows[1:3], far, stand_in(2.0))[1].score is None


def test_few_prompts_or_unreadable_replies_fit_nothing() -> None:
    """Both are the file's fault, and named."""
    with pytest.raises(PromptError, match="answer 2 prompts; expected 10 at least"):
        fit_regressor(GRADED[:10], stand_in(1.0))
    long = GradedReply("mine", "violence", "p", "too long", 1)
    with pytest.raises(PromptError, match="'mine' cannot be read by stand-in: the model reads less"):
        fit_regressor([*GRADED, long], stand_in(1.0))


def test_a_kept_regressor_is_the_same(tmp_path: Path, regressor: Regressor) -> None:
    """Every number comes back, a column that does not vary too, and what it was fitted to is told."""
    line = replace(regressor.line, scale=np.array([np.inf, *regressor.line.scale[1:]]))
    regressor = replace(regressor, line=line)
    keep_regressor(tmp_path / "kept", regressor)
    found = load_regressor(tmp_path / "kept")
    for name in ("centre", "scale", "weights"):
        np.testing.assert_array_equal(getattr(found.line, name), getattr(regressor.line, name))
    assert replace(found, line=regressor.line) == regressor
    assert (found.line.bias, found.line.strength) == (regressor.line.bias, regressor.line.strength)
    told = json.loads((tmp_path / "kept/regressor.json").read_text("utf-8"))
    assert (told["identity"], told["layer"], told["quality"]["n"]) == ("one", 4, 225)


def test_a_regressor_of_another_model_is_refused_by_name(tmp_path: Path, regressor: Regressor) -> None:
    """States of other weights are other numbers."""
    require_same_model(tmp_path, regressor, stand_in(2.0))
    with pytest.raises(ModelError, match=r"states of 'stand-in' \(one\), and 'stand-in' is two; name that model"):
        require_same_model(tmp_path, regressor, stand_in(2.0, identity="two"))


def say(folder: Path, **values: Any) -> None:
    """Change what a kept regressor says of itself."""
    file = folder / "regressor.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | values), "utf-8")


def number(folder: Path, **columns: Any) -> None:
    """Change columns of a kept regressor."""
    file = folder / "regressor.safetensors"
    save_file(load_file(file) | columns, file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "regressor.safetensors").unlink(), "has no regressor.safetensors; name a folder"),
        (lambda folder: (folder / "regressor.safetensors").write_bytes(b"no"), "holds a damaged regressor"),
        (lambda folder: (folder / "regressor.json").write_text("{}", "utf-8"), "holds a damaged regressor"),
        (lambda folder: (folder / "regressor.json").write_text("{", "utf-8"), "holds a damaged regressor"),
        (lambda folder: say(folder, bias="much"), "holds a damaged regressor"),
        (lambda folder: say(folder, pooling="middle"), "holds a damaged regressor"),
        (lambda folder: say(folder, layer="first"), "holds a damaged regressor"),
        (lambda folder: number(folder, weights=np.ones(3)), "columns have the shapes"),
        (lambda folder: number(folder, weights=np.full(N_STATES, np.nan)), "what is no number"),
        (lambda folder: number(folder, scale=np.zeros(N_STATES)), "a scale that is not above 0"),
    ],
)
def test_damaged_regressors_are_refused(
    tmp_path: Path, regressor: Regressor, spoil: Callable[[Path], Any], message: str
) -> None:
    """Files that are gone, cut or of something else."""
    keep_regressor(tmp_path, regressor)
    spoil(tmp_path)
    with pytest.raises(ModelError, match=message):
        load_regressor(tmp_path)


def test_a_regressor_of_other_states_is_refused(regressor: Regressor) -> None:
    """A line through fewer numbers than a state has cannot be put to it."""
    line = replace(
        regressor.line, **{name: getattr(regressor.line, name)[:3] for name in ("centre", "scale", "weights")}
    )
    with pytest.raises(ModelError, match=f"reads 3 numbers of a state, and 'stand-in' has {N_STATES}"):
        score_harm([reply()], replace(regressor, line=line), stand_in(2.0))


@pytest.mark.slow
def test_the_embedded_model_tells_harm(smollm2: Path) -> None:
    """What the page about harm says of it: its middle layer, better than words and than a constant."""
    quality = fit_regressor(GRADED, StateReader(smollm2, device="cpu")).quality
    assert quality.is_better
    assert quality.states.rank_correlation.value == pytest.approx(0.76, abs=0.015)
    assert quality.states.error.value == pytest.approx(0.76, abs=0.015)
    assert quality.words.rank_correlation.value == pytest.approx(0.59, abs=0.005)
    assert -quality.less_than_words.difference == pytest.approx(0.21, abs=0.015)
