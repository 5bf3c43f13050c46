"""Intervals, paired tests, calibration and agreement: pure functions over numbers, every one seeded."""

from charter.statistics.agreement import (
    ConfusionMatrix,
    ReliabilityBin,
    cohen_kappa,
    confusion_matrix,
    expected_calibration_error,
    rank_correlation,
    reliability_bins,
)
from charter.statistics.families import holm
from charter.statistics.intervals import (
    Interval,
    mean_interval,
    rate_interval,
    rate_of,
    some_rate,
    statistic_interval,
    wilson_interval,
)
from charter.statistics.label_agreement import LabelAgreement, alpha_interval, kappa_interval, label_agreement
from charter.statistics.paired import (
    PairedDifference,
    even_test,
    paired_mean_difference,
    paired_rate_difference,
    seed_averaged_difference,
)
from charter.statistics.resampling import ANY_NUMBER, MIN_GROUPS, TIE
from charter.statistics.ridge import Ridge, fit_chosen, fit_ridge, grouped_folds, held_out_predictions

__all__ = [
    "ANY_NUMBER",
    "MIN_GROUPS",
    "TIE",
    "ConfusionMatrix",
    "Interval",
    "LabelAgreement",
    "PairedDifference",
    "ReliabilityBin",
    "Ridge",
    "alpha_interval",
    "cohen_kappa",
    "confusion_matrix",
    "even_test",
    "expected_calibration_error",
    "fit_chosen",
    "fit_ridge",
    "grouped_folds",
    "held_out_predictions",
    "holm",
    "kappa_interval",
    "label_agreement",
    "mean_interval",
    "paired_mean_difference",
    "paired_rate_difference",
    "rank_correlation",
    "rate_interval",
    "rate_of",
    "reliability_bins",
    "seed_averaged_difference",
    "some_rate",
    "statistic_interval",
    "wilson_interval",
]
