"""What ratings come to: by hand, against other computations, and where raters are biased on purpose."""

from __future__ import annotations

import dataclasses
import random
from itertools import product
from pathlib import Path

import pytest

from charter.errors import PromptError, UserError
from charter.evaluation.head_to_head import Match
from charter.rating import Item, assess, draw_items, file_items, gold_items, label_rows
from charter.rating.records import Rating
from charter.records import Comparison, make_prompt
from charter.statistics import cohen_kappa
from rating.rated import make_item, make_items, make_rating


def rated(items: list[Item], rater: str, choices: str, **fields: object) -> list[Rating]:
    """Have a rater choose: m for model, b for base, t for a tie, s to skip."""
    said = {"m": "model", "b": "base", "t": "tie", "s": "skip"}
    return [
        make_rating(item, rater, number, said[choice], **fields)  # type: ignore[arg-type]
        for number, (item, choice) in enumerate(zip(items, choices, strict=True), start=1)
    ]


def test_figures_by_hand() -> None:
    """Two raters of ten items: wins with ties as halves, kappa, the first side, skips and seconds."""
    items = make_items(10)
    ann = rated(items, "ann", "mmmmmmbbts", seconds=4.0)
    bob = rated(items, "bob", "mmmmmbbbtm", left="base")
    found = assess(items, ["base", "dpo"], {"ann": ann, "bob": bob})
    side = found.sides["all"]
    assert list(found.sides) == ["all"], "one kind of prompts needs no parts"
    assert side.n == 19
    met = {(one.name, one.other): one for one in side.met}
    rate = met["dpo", "base"].win_rate
    assert (rate.value, rate.n, rate.n_groups) == (pytest.approx((6 + 6 + 1) / 19), 19, 10)
    assert met["dpo", "base"].n_ties == 2
    # by items: five of 2 wins, one of 1 and 1, two of 2 losses, one tied, one of 1 win; sums of their half points
    signs = product((1, -1), repeat=8)
    turned = [abs(sum(sign * one for sign, one in zip(own, [1] * 7 + [0.5], strict=True))) for own in signs]
    assert met["dpo", "base"].p_value == pytest.approx(sum(value >= 3.5 for value in turned) / 2**8)
    assert met["base", "dpo"].p_adjusted == met["dpo", "base"].p_value, "one pair is one test"
    assert {one.name: one.bradley_terry.value > 0 for one in side.ratings} == {"base": False, "dpo": True}
    assert [(one.n, one.n_ties, one.n_skipped) for one in found.raters] == [(9, 1, 1), (10, 1, 0)]
    kappa = cohen_kappa(list("mmmmmmbbt"), list("mmmmmbbbt"))
    (together,) = found.agreement
    assert (together.same.value, together.kappa.value) == (pytest.approx(8 / 9), pytest.approx(kappa))
    assert [one.left and one.left.value for one in found.raters] == [6 / 8, 3 / 9]
    assert found.left is not None
    assert found.left.value == pytest.approx(9 / 17)
    assert found.raters[0].seconds is not None
    assert (found.raters[0].seconds.value, found.raters[1].seconds) == (4.0, None)
    assert found.alpha is not None
    assert found.alpha.n == 9


def test_kinds_are_told_apart() -> None:
    """Where prompts are of several kinds each has its figures beside those of all."""
    items = [*make_items(6), *(make_item(number, kind="helpful") for number in range(6))]
    found = assess(items, ["base", "dpo"], {"ann": rated(items, "ann", "mmmmmmbbbbbb")})
    rates = {name: one.met[0].win_rate.value for name, one in found.sides.items()}
    assert rates == {"all": 0.5, "red_team": 0.0, "helpful": 1.0}, "of the base"
    p_values = {name: one.met[0].p_adjusted for name, one in found.sides.items()}
    assert p_values == pytest.approx({"all": 1.0, "red_team": 2 / 2**6, "helpful": 2 / 2**6}), "each kind by itself"


def test_a_careless_rater_shows() -> None:
    """One who always takes the first is told by known answers, by position and by agreement."""
    rng = random.Random(3)  # noqa: S311 - a test
    items, checks = make_items(80), make_items(40, gold=True)
    by_rater: dict[str, list[Rating]] = {}
    for name, chosen in (("careful", "model"), ("careless", "left")):
        sides = [rng.choice(["model", "base"]) for _ in range(120)]
        by_rater[name] = [
            make_rating(item, name, number, side if chosen == "left" else "model", left=side)  # type: ignore[arg-type]
            for number, (item, side) in enumerate(zip([*items, *checks], sides, strict=True), start=1)
        ]
    found = assess(items, ["base", "dpo"], by_rater)
    careful, careless = found.raters
    assert careful.gold is not None
    assert careless.gold is not None
    assert (careful.gold.value, careful.gold.n) == (1.0, 40)
    assert 0.25 < careless.gold.value < 0.75
    assert careless.left is not None
    assert careless.left.value == 1.0
    assert careful.left is not None
    assert careful.left.low is not None
    assert careful.left.low < 0.5
    assert found.n_gone == 0, "known answers are no answers of the source"
    assert careful.n == 80
    assert found.alpha is not None
    assert abs(found.alpha.value) < 0.3 or found.alpha.value < 0


def test_people_beside_the_judge() -> None:
    """What most say of an item is held against the judge's comparison, whichever way round it was made."""
    items = make_items(6)
    by_rater = {
        "ann": rated(items, "ann", "mmmbbt"),
        "bob": rated(items, "bob", "mmbbbs"),
    }
    wins = (1.0, 0.0, 0.5, 0.0, None, 0.5)
    comparisons = [
        Comparison(
            id=f"c{number}", prompt=item.match.prompt, model="dpo", base="base", win=win, p_model=win,
            position_bias=0.0, verdicts=(),
        )
        for number, (item, win) in enumerate(zip(items, wins, strict=True))
    ]  # fmt: skip
    turned = [
        one.model_copy(update={"model": "base", "base": "dpo", "win": None if one.win is None else 1.0 - one.win})
        for one in comparisons
    ]
    for told in (comparisons, turned):
        found = assess(items, ["base", "dpo"], by_rater, told)
        assert found.judge is not None
        assert (found.judge.same.value, found.judge.same.n) == (0.8, 5)
    assert assess(items, ["base", "dpo"], by_rater).judge is None


def test_answers_that_are_gone_are_counted() -> None:
    """Ratings of answers that were made anew are in no figure."""
    items = make_items(6)
    found = assess(items[:4], ["base", "dpo"], {"ann": rated(items, "ann", "mmbbmm")})
    assert (found.n_gone, found.sides["all"].n, found.n_items, found.n_rated) == (2, 4, 4, 4)
    other = [Item(dataclasses.replace(item.match, model="sft")) for item in items]
    found = assess([*items, *other], ["base", "sft", "dpo"], {"ann": rated(items, "ann", "mssbtm")})
    assert (found.n_items, found.n_rated) == (6, 4), "answers of a model that nobody rated are not asked for"


def test_labels_are_what_most_prefer() -> None:
    """The share of raters is the label's probability; ties leave none."""
    items = make_items(4)
    by_rater = {
        "ann": rated(items, "ann", "mmbt"),
        "bob": rated(items, "bob", "mbtt"),
        "eve": rated(items, "eve", "mtss"),
    }
    rows, n_ties = label_rows(items, by_rater)
    assert n_ties == 2
    assert [(row["chosen_model"], row["p_chosen"]) for row in rows] == [("dpo", 1.0), ("base", 0.75)]
    assert rows[1]["chosen"] == items[2].match.base_answer
    assert rows[1]["rejected"] == items[2].match.answer


def test_more_items_contain_fewer() -> None:
    """A draw is the same for every rater, and grows."""
    items = make_items(30)
    some = [item.id for item in draw_items(items, 5, 0)]
    assert set(some) < {item.id for item in draw_items(items, 12, 0)}
    assert some != [item.id for item in draw_items(items, 5, 1)]
    assert draw_items(items, None, 0) == draw_items(items, 30, 0) == items


def test_answers_of_a_file_meet(tmp_path: Path) -> None:
    """Models meet on what both answered; equal answers need nobody, and two answers of one model are refused."""
    file = tmp_path / "answers.csv"
    lines = [
        "model,prompt,response",
        "x,Ask one,Yes",
        "y,Ask one,No",
        "z,Ask one,Maybe",
        "x,Ask two,Same",
        "y,Ask two,Same",
    ]
    file.write_text("\n".join(lines), "utf-8")
    found = file_items(str(file), ["x", "y"])
    assert [(one.match.model, one.match.answer, one.match.base_answer) for one in found.items] == [("y", "No", "Yes")]
    assert found.left_out == {"the two answers are equal": 1}
    assert [len(file_items(str(file), unnamed=one).items) for one in ("ends", "every")] == [1, 3]
    with pytest.raises(UserError, match=r"has no answers of 'w'; it has those of x, y, z"):
        file_items(str(file), ["x", "w"])
    file.write_text("\n".join([*lines, "x,Ask one,Perhaps"]), "utf-8")
    with pytest.raises(PromptError, match=r"answers.csv:7: x answers a prompt that it answers otherwise at .*:2"):
        file_items(str(file))


def test_pairs_of_a_file_are_named(tmp_path: Path) -> None:
    """By who wrote them where the file says so, else by what they are."""
    file = tmp_path / "pairs.jsonl"
    file.write_text(
        '{"prompt": "Ask", "chosen": "good", "rejected": "bad"}\n'
        '{"prompt": "Ask", "chosen": "fine", "rejected": "poor", "chosen_model": "m1", "rejected_model": "m2"}\n',
        "utf-8",
    )
    found = file_items(str(file))
    assert [{one.match.model: one.match.answer, one.match.base: one.match.base_answer} for one in found.items] == [
        {"chosen": "good", "rejected": "bad"},
        {"m1": "fine", "m2": "poor"},
    ]
    assert len({one.id for one in found.items}) == 2
    with pytest.raises(UserError, match="holds pairs, and all of them are rated"):
        file_items(str(file), ["m1", "m2"])
    checks = gold_items(str(file)).items
    assert [(one.gold, one.match.answer) for one in checks] == [("model", "good"), ("model", "fine")]


def test_an_item_without_a_winner_is_no_game() -> None:
    """What nobody said is not made up."""
    prompt = make_prompt("Ask", "helpful")
    items = [Item(Match(prompt, "m", "n", "one", "two"))]
    found = assess(items, ["n", "m"], {"ann": rated(items, "ann", "s")})
    assert found.sides == {}
    assert (found.raters[0].n_skipped, found.alpha, found.left) == (1, None, None)
