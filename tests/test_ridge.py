"""Ridge regression against least squares of the augmented system, and folds that keep groups whole."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from charter.statistics import fit_chosen, fit_ridge, grouped_folds, held_out_predictions

RNG = np.random.default_rng(7)
MORE_ROWS, MORE_COLUMNS = RNG.normal(size=(40, 6)) * 3 + 5, RNG.normal(size=(12, 50))


@pytest.mark.parametrize("features", [MORE_ROWS, MORE_COLUMNS], ids=["more rows", "more columns"])
@pytest.mark.parametrize("strength", [0.001, 1.0, 30.0])
def test_it_is_least_squares_of_the_augmented_system(features: np.ndarray, strength: float) -> None:
    """The penalty is as many further rows, each of which asks one weight to be 0."""
    targets = RNG.normal(size=len(features)) + features[:, 0]
    (line,) = fit_ridge(features, targets, [strength])
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    n_columns = features.shape[1]
    rows = np.vstack([standard, np.sqrt(strength * n_columns) * np.eye(n_columns)])
    wanted = np.concatenate([targets - targets.mean(), np.zeros(n_columns)])
    expected = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    np.testing.assert_allclose(line.weights, expected, atol=1e-9)
    np.testing.assert_allclose(line.predict(features), standard @ expected + targets.mean(), atol=1e-9)


def test_scale_and_place_of_columns_change_nothing() -> None:
    """Columns are standardised: another unit gives the same line."""
    targets = RNG.normal(size=len(MORE_ROWS))
    plain, moved = (fit_ridge(one, targets, [1.0])[0].predict(one) for one in (MORE_ROWS, MORE_ROWS * 1000 - 3))
    np.testing.assert_allclose(plain, moved, atol=1e-9)


def test_a_column_that_does_not_vary_counts_for_nothing() -> None:
    """Not in the fit, and not where it has another value later; without any column the mean is left."""
    targets = RNG.normal(size=len(MORE_ROWS))
    with_constant = np.column_stack([MORE_ROWS, np.full(len(MORE_ROWS), 4.0)])
    (line,), (without,) = fit_ridge(with_constant, targets, [1.0]), fit_ridge(MORE_ROWS, targets, [1.0])
    other = with_constant.copy()
    other[:, -1] = 1e6
    np.testing.assert_allclose(line.predict(other), without.predict(MORE_ROWS))
    (mean,) = fit_ridge(np.ones((40, 2)), targets, [1.0])
    np.testing.assert_allclose(mean.predict([[5.0, 1.0]]), targets.mean())


def test_folds_keep_groups_whole_and_are_even() -> None:
    """A group is in one fold, folds differ by one group at most, and another seed deals otherwise."""
    groups = [f"g{number % 23}" for number in range(92)]
    folds = grouped_folds(groups, seed=3)
    fold_of = dict(zip(groups, folds, strict=True))
    assert all(fold_of[group] == fold for group, fold in zip(groups, folds, strict=True))
    sizes = Counter(fold_of.values()).values()
    assert len(sizes) == 5
    assert max(sizes) - min(sizes) <= 1
    assert not np.array_equal(folds, grouped_folds(groups, seed=4))


def test_a_row_is_predicted_by_what_did_not_see_its_group() -> None:
    """What tells groups apart, and nothing else, fits the rows seen and predicts none that were not."""
    groups = [number // 5 for number in range(100)]
    marks = np.eye(20)[groups]
    targets = RNG.normal(size=20)[groups]
    seen = fit_ridge(marks, targets, [1e-6])[0].predict(marks)
    assert np.corrcoef(seen, targets)[0, 1] > 0.99
    assert np.corrcoef(held_out_predictions(marks, targets, groups), targets)[0, 1] < 0.2


def test_the_strength_follows_the_noise() -> None:
    """Of a line through clean columns little is asked, of noise alone much."""
    features, groups = RNG.normal(size=(200, 5)), list(range(200))
    clean = fit_chosen(features, features @ np.arange(5.0), groups)
    noise = fit_chosen(features, RNG.normal(size=200), groups)
    assert clean.strength < 1 < noise.strength


@pytest.mark.parametrize(
    ("features", "targets", "message"),
    [
        ([1.0, 2.0], [1.0, 2.0], "expected finite numbers"),
        ([[1.0], [float("nan")]], [1.0, 2.0], "expected finite numbers"),
        ([[1.0], [2.0]], [1.0], "2 rows of features and 1 targets"),
    ],
)
def test_what_is_no_table_is_refused(features: list[object], targets: list[float], message: str) -> None:
    """Other shapes, numbers that are none, and rows that are not paired."""
    with pytest.raises(ValueError, match=message):
        fit_ridge(features, targets)  # type: ignore[arg-type]


def test_too_few_groups_are_refused() -> None:
    """A fold has a group at least."""
    with pytest.raises(ValueError, match="3 groups for 5 folds"):
        grouped_folds([1, 1, 2, 3])
