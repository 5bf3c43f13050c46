"""Preference data checked by itself: rules that read nothing, repeats, contradictions, coverage, labels, warnings."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from charter.errors import PromptError
from charter.evaluation.preference_data import (
    PreferenceData,
    assess_preferences,
    data_of_labels,
    data_of_pairs,
    find_repeats,
    flags_of_rows,
    guess_labels,
    measure_coverage,
    measure_labels,
    measure_lengths,
    measure_styles,
)
from charter.evaluation.preference_data.coverage import UNNAMED
from charter.evaluation.preference_data.guessing import MIN_GROUPS
from charter.evaluation.preference_data.repeats import (
    CONTRADICTORY,
    EXACT,
    NEAR,
    NEAR_SIDES,
    SAME_SIDES,
)
from charter.given import load_pairs
from charter.records import Preference, Side, Unlabelled, Verdict, make_prompt
from charter.statistics import holm

_NUMBERS = itertools.count()
LONG = "the harbour keeps its lamps lit through the night so that every boat which is late finds the way home again"
OTHER = (
    "first weigh four cups of flour, then rub in cold butter until it looks like crumbs, add milk by spoonfuls, fold "
    "this dough twice without kneading, cut rounds, brush them with egg and bake quickly in a very hot oven till gold"
)


def preference(prompt: str, chosen: str, rejected: str, p_chosen: float = 1.0, **more: Any) -> Preference:
    """Make a preference with an id of its own."""
    number = f"row-{next(_NUMBERS)}"
    return Preference(
        id=number,
        prompt=make_prompt(prompt, "red_team"),
        chosen=chosen,
        rejected=rejected,
        p_chosen=p_chosen,
        verdicts=more.pop("verdicts", ()),
        source=more.pop("source", "on_policy"),
        pair=number,
        chosen_side=more.pop("chosen_side", "a"),
        p_judge=p_chosen,
        position_bias=0.0,
        **more,
    )


def data(*rows: Preference) -> PreferenceData:
    """Take preferences for those of a run."""
    return data_of_labels(rows, "run")


def verdicts(principle: str, p_a: float) -> tuple[Verdict, Verdict]:
    """Make a principle's verdicts in both orders."""
    more = {"logprob_first": -1.0, "logprob_second": -1.0, "option_mass": 1.0, "p_a": p_a}
    return Verdict(principle=principle, order="ab", **more), Verdict(principle=principle, order="ba", **more)


def test_lengths_by_hand() -> None:
    """Of four pairs two are longer and one is as long: longer is right in 2.5 of 4, shorter in 1.5."""
    found = data(
        preference("w", "long answer here", "short"),
        preference("x", "long answer there", "a b c d"),
        preference("y", "no", "yes"),
        preference("z", "four", "five"),
    )
    characters, words = measure_lengths(found)
    assert (characters.unit, words.unit) == ("characters", "words")
    assert (characters.chosen_longer.value, characters.chosen_shorter.value) == (0.5, 0.25)
    assert (characters.longer_is_better.value, characters.shorter_is_better.value) == (0.625, 0.375)
    assert words.chosen_longer.value == 0.25
    assert characters.longer_is_better.n == 4


def test_pairs_of_one_prompt_hang_together() -> None:
    """Forty pairs of five prompts are bounded wider than forty of forty."""
    told = [("a long one", "short") if number % 3 else ("short", "a long one") for number in range(40)]
    many = data(*(preference(f"question {n}", *sides) for n, sides in enumerate(told)))
    few = data(*(preference(f"question {n // 8}", *sides) for n, sides in enumerate(sorted(told))))
    wide, narrow = (measure_lengths(one)[0].longer_is_better for one in (few, many))
    assert (wide.n_groups, narrow.n_groups) == (5, None)
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low


def test_styles_are_compared_pair_by_pair() -> None:
    """A mark that stands on the chosen side alone is told first, with how often it decides; one on both is none."""
    rows = [preference(f"question {n}", f"I am sorry. It is {n}.", f"It is {n}. **Yes**!") for n in range(12)]
    rows += [preference(f"other {n}", f"It is {n}!", f"It is {n + 1}!") for n in range(4)]
    found = {one.name: one for one in measure_styles(data(*rows))}
    apology = found["apology"]
    assert (apology.chosen.value, apology.rejected.value, apology.n_apart) == (0.75, 0.0, 12)
    assert apology.with_it is not None
    assert apology.with_it.value == 1.0
    assert apology.difference.p_value == pytest.approx(12 * 2 * 0.5**12)  # the least of twelve marks
    assert found["markdown"].difference.difference == -0.75
    assert found["exclamation mark"].n_apart == 12
    assert found["code"].with_it is None
    assert next(iter(found)) in {"apology", "first person", "markdown", "exclamation mark"}


def test_words_that_give_the_label_are_found_on_prompts_not_seen() -> None:
    """One word on the chosen side gives all labels; words by chance give about half."""
    telling = data(*(preference(f"q {n}", f"indeed number {n}", f"number {n} perhaps") for n in range(60)))
    found = guess_labels(telling)
    assert found is not None
    assert found.words.accuracy.value == 1.0
    assert found.words.p_value < 1e-6
    words = ["north", "south", "east", "west"]
    noise = data(
        *(preference(f"q {n}", f"go {words[(7 * n) % 4]}", f"go {words[(n * n + n // 3) % 4]}") for n in range(200))
    )
    guessed = guess_labels(noise)
    assert guessed is not None
    assert guessed.words.accuracy.low is not None
    assert guessed.words.accuracy.low < 0.6


def test_p_values_of_rules_are_adjusted_together() -> None:
    """Two units of length and two guesses stand beside one another: four tests, or two without guesses."""
    many = data(*(preference(f"Question {n}?", "a much longer answer " * 2, f"no {n}") for n in range(12)))
    guesses = guess_labels(many)
    assert guesses is not None
    raw = [*(one.p_value for one in measure_lengths(many)), guesses.words.p_value, guesses.length.p_value]
    found = assess_preferences(many)
    assert found.guesses is not None
    told = [*(one.p_value for one in found.lengths), found.guesses.words.p_value, found.guesses.length.p_value]
    assert told == pytest.approx(holm(raw))
    assert told[0] == pytest.approx(4 * raw[0])
    few = data(*many.rows[:4])
    assert [one.p_value for one in assess_preferences(few).lengths] == pytest.approx([2 * 2 * 0.5**4] * 2)


def test_few_prompts_are_not_guessed() -> None:
    """Folds of fewer prompts would be of one each."""
    rows = [preference(f"q {n % (MIN_GROUPS - 1)}", f"yes {n}", f"no {n}") for n in range(40)]
    assert guess_labels(data(*rows)) is None


def test_repeats_by_hand() -> None:
    """Each sort is counted and names the other row; writing does not count, nor does a prompt that alone is long."""
    first = preference("Why?", f"Because {LONG}.", "No idea at all.")
    rows = [
        first,
        preference("why", f"because {LONG}", "No idea, at all!"),
        preference("Why?", f"Because {LONG} soon.", "No idea at all."),
        preference("What then?", "The same.", "the same"),
        preference("And how?", OTHER, f"{OTHER}s"),
        preference(f"{LONG} {LONG} one?", "Yes.", "Never in my life."),
        preference(f"{LONG} {LONG} one?", "Water.", "Ten green bottles."),
    ]
    found = find_repeats(data(*rows))
    assert {name: share.count for name, share in found.shares.items()} == {
        EXACT: 1, NEAR: 1, SAME_SIDES: 1, NEAR_SIDES: 1, CONTRADICTORY: 0,
    }  # fmt: skip
    assert found.flagged[rows[1].id] == {EXACT: first.id}
    assert found.flagged[rows[2].id] == {NEAR: first.id}
    assert found.shares[EXACT].rate.value == pytest.approx(1 / 7)
    with pytest.raises(PromptError, match="threshold"):
        find_repeats(data(*rows), threshold=0.0)


def test_contradictions_are_cycles() -> None:
    """Opposite labels and a circle of three contradict; a chain, another prompt and equal sides do not."""
    opposite = [preference("one", "Yes.", "No."), preference("One?", "no", "yes")]
    circle = [preference("two", *sides) for sides in (("a", "b"), ("b", "c"), ("c", "a"))]
    chain = [preference("three", *sides) for sides in (("a", "b"), ("b", "c"), ("a", "c"))]
    others = [preference("four", "No.", "Yes."), preference("two", "c", "d"), preference("two", "a", "A")]
    found = find_repeats(data(*opposite, *circle, *chain, *others))
    flagged = {row for row, flags in found.flagged.items() if CONTRADICTORY in flags}
    assert flagged == {row.id for row in (*opposite, *circle)}
    assert found.flagged[opposite[0].id][CONTRADICTORY] == opposite[1].id
    assert found.flagged[circle[0].id][CONTRADICTORY] == ""


def test_a_long_chain_of_answers_is_walked() -> None:
    """A graph that is deeper than Python's stack is no error."""
    rows = [preference("one", f"n {n}", f"n {n + 1}") for n in range(1500)]
    assert find_repeats(data(*rows), threshold=1.0).shares[CONTRADICTORY].count == 0


def test_what_pairs_are_about_and_what_labels_say() -> None:
    """Prompts, sources, bins of p_chosen, ties, intentions and votes by principle."""
    side: Side = "b"
    found = data(
        preference("x", "a", "b", 0.95, verdicts=verdicts("kind", 0.9) + verdicts("true", 0.2), agrees=True),
        preference("x", "c", "d", 0.5, verdicts=verdicts("kind", 0.5), source="contrast"),
        preference("y", "e", "f", 0.6, verdicts=verdicts("kind", 0.4), chosen_side=side, agrees=False),
        preference("z", "g", "h", 0.599),
    )
    coverage, labels = measure_coverage(found), measure_labels(found)
    assert (coverage.n, coverage.n_prompts, coverage.most_pairs) == (4, 3, 2)
    assert {name: share.count for name, share in coverage.parts["pair source"].items()} == {
        "on_policy": 3, "contrast": 1,
    }  # fmt: skip
    assert "category" not in coverage.parts
    assert [share.count for share in labels.bins.values()] == [2, 1, 0, 0, 1]
    assert labels.ties.count == 1
    assert not labels.are_hard
    assert labels.intended is not None
    assert labels.intended.value == 0.5
    assert {name: one.n for name, one in labels.principles.items()} == {"kind": 3, "true": 1}
    assert labels.principles["kind"].share.value == 0.75
    assert labels.principles["kind"].sides is not None
    assert labels.principles["kind"].sides.value == 1.0
    assert labels.principles["true"].sides is not None
    assert labels.principles["true"].sides.value == 0.0


def test_warnings_say_what_would_spoil_a_training() -> None:
    """Length, style, words, duplicates, contradictions, ties and few prompts are told; clean pairs are not accused."""
    rows = [preference(f"q {n}", f"I am sorry, but {LONG} {n}.", f"No {n}.") for n in range(40)]
    rows += [preference("q 1", f"I am sorry, but {LONG} 1.", "No 1.")]
    rows += [preference("q 2", "No 2.", f"I am sorry, but {LONG} 2.", 0.5)]
    told = "\n".join(assess_preferences(data(*rows)).warnings)
    for said in (
        "the answer with more characters is the chosen one in 97.6 %",
        "the mark 'apology', in 42 of 42 pairs, it is the chosen one in 98 %",
        "which words an answer has gives the label",
        "1 pairs (2.4 %) are exact duplicates",
        "nearly repeat an earlier one",
        "contradict another pair of their prompt",
        "the pairs are about 40 prompts",
    ):
        assert said in told, told
    told = "\n".join(assess_preferences(data(*_clean())).warnings)
    assert told == ""


def _clean() -> list[Preference]:
    words = ["north", "south", "east", "west", "over", "under"]
    return [
        preference(
            f"{words[n % 6]} {words[n // 6 % 6]} {words[n // 36]} of what?",
            f"{words[(5 * n + n // 4) % 6]} {'of ' * (n % 5)}it {n * 7}",
            f"{words[(n * n + n // 3) % 6]} {'of ' * ((3 * n + 1) % 5)}it {n * 11}",
        )
        for n in range(200)
    ]


def test_a_file_is_read_with_its_places_and_what_it_leaves_out(tmp_path: Path) -> None:
    """Copies and equal sides that reading drops are counted with those that are kept, and rows know their line."""
    rows = [{"prompt": f"Question {n}?", "chosen": f"Yes {n}.", "rejected": "No."} for n in range(6)]
    rows += [rows[0], {"prompt": "Question 7?", "chosen": "No.", "rejected": "No."}, {**rows[1], "chosen": "yes 1"}]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    found = data_of_pairs(load_pairs(path))
    assert (found.layout, len(found.rows)) == ("chosen and rejected", 7)
    shares = find_repeats(found).shares
    assert (shares[EXACT].count, shares[EXACT].rate.n) == (2, 8)
    assert (shares[SAME_SIDES].count, shares[SAME_SIDES].rate.n) == (1, 8)
    ((number, flags),) = flags_of_rows(found, find_repeats(found))
    assert found.places[found.rows[number].id].endswith("pairs.jsonl:9")
    assert found.places[flags[EXACT]].endswith("pairs.jsonl:2")
    assert measure_labels(found).are_hard
    assert UNNAMED not in measure_coverage(found).parts["kind"]


def test_pairs_without_a_label_are_counted() -> None:
    """A run's pairs that got no label are left out by why; none with one is an error."""
    row = preference("x", "a", "b")
    without = Unlabelled(
        id="u", prompt=row.prompt, a="a", b="b", source="on_policy", reason="tie", verdicts=(), p_a=0.5
    )
    assert data_of_labels([row, without], "run").left_out == {"tie": 1}
    with pytest.raises(PromptError, match=r"run: no pair says which answer is better \(1: tie\)"):
        data_of_labels([without], "run")
