"""What of preferences would spoil a training, in words: what was found, what it teaches, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from charter.evaluation.preference_data.confounds import LengthRule, StyleConfound
from charter.evaluation.preference_data.coverage import Coverage, LabelFigures
from charter.evaluation.preference_data.guessing import Guesses
from charter.evaluation.preference_data.repeats import CONTRADICTORY, EXACT, NEAR, NEAR_SIDES, SAME_SIDES, Repeats
from charter.evaluation.shares import Share
from charter.statistics import Interval

#: A rule that gives the label this often, at the lower end of its interval, is what a training may learn in its place.
LENGTH_DECIDES = 0.65
STYLE_DECIDES = 0.75
WORDS_DECIDE = 0.75
_APART = 0.1  # of the pairs, in which one answer alone has a mark: of fewer a training learns little
_SIGNIFICANT = 0.05
_MANY = 0.05  # of the pairs
_SOME = 0.01
_MANY_TIES = 0.2
_FEW_GROUPS = 100
_AGAINST = 0.5


def warn_of_length(rules: list[LengthRule]) -> Iterator[str]:
    """Say where length alone gives the labels; the stronger of its units is told."""
    told = []
    for rule in rules:
        for which, found in (("longer", rule.longer_is_better), ("shorter", rule.shorter_is_better)):
            if _low(found) >= LENGTH_DECIDES:
                told.append((found, which, rule))
    if told:
        found, which, rule = max(told, key=lambda one: one[0].value)
        writes = "write more" if which == "longer" else "write less"
        yield (
            f"the answer with {'more' if which == 'longer' else 'fewer'} {rule.unit} is the chosen one in "
            f"{_shown(found)} (median ratio {rule.median_ratio:.2f}): a model learns to {writes}, whatever the "
            "principles say; balance the pairs (pairs.balance_lengths) or bring others"
        )


def warn_of_styles(styles: list[StyleConfound], n: int) -> Iterator[str]:
    """Say which marks of style nearly always stand on one side."""
    for one in styles:
        if one.with_it is None or one.n_apart < _APART * n or one.difference.p_value >= _SIGNIFICANT:
            continue
        for side, low in (("chosen", _low(one.with_it)), ("rejected", 1.0 - _high(one.with_it))):
            if low >= STYLE_DECIDES:
                share = one.with_it.value if side == "chosen" else 1.0 - one.with_it.value
                yield (
                    f"where one answer alone has the mark '{one.name}', in {one.n_apart:,} of {n:,} pairs, it is the "
                    f"{side} one in {100 * share:.0f} %: this style decides, and a model learns to "
                    f"{'take it on' if side == 'chosen' else 'drop it'}; even it out, or bring other pairs"
                )


def warn_of_guesses(guesses: Guesses | None) -> Iterator[str]:
    """Say where a model that understands nothing gives the labels."""
    if guesses is not None and _low(guesses.words.accuracy) >= WORDS_DECIDE:
        yield (
            f"which words an answer has gives the label of pairs that were not seen in {_shown(guesses.words.accuracy)}"
            ": little has to be understood for these labels; look whether both sides come from one source"
        )


def warn_of_repeats(repeats: Repeats) -> Iterator[str]:
    """Say how much is there twice, says nothing, or contradicts itself."""
    shares = repeats.shares
    if _rate(shares[EXACT]) >= _SOME:
        yield f"{_counted(shares[EXACT])} are exact duplicates: they count double; leave them out"
    if _rate(shares[NEAR]) >= _MANY:
        yield f"{_counted(shares[NEAR])} nearly repeat an earlier one: there is less to learn from than it seems"
    alike = shares[SAME_SIDES].count + shares[NEAR_SIDES].count
    if alike and _rate(shares[SAME_SIDES]) + _rate(shares[NEAR_SIDES]) >= _SOME:
        yield f"{alike:,} pairs have equal or nearly equal sides: their labels are noise; leave them out"
    if shares[CONTRADICTORY].count:
        yield (
            f"{_counted(shares[CONTRADICTORY])} contradict another pair of their prompt: no model can keep to both; "
            "settle which holds"
        )


def warn_of_labels(labels: LabelFigures, coverage: Coverage) -> Iterator[str]:
    """Say where labels say little, or pairs are few."""
    if _rate(labels.ties) >= _MANY_TIES:
        yield f"{_counted(labels.ties)} are ties: the judge cannot tell their sides apart"
    if labels.intended is not None and _high(labels.intended) < _AGAINST:
        yield (
            f"the judge prefers the intended side in {_shown(labels.intended)} only: it is against what the pairs were "
            "made for; audit it (charter audit)"
        )
    if coverage.n_groups < _FEW_GROUPS:
        yield (
            f"the pairs are about {coverage.n_groups:,} prompts that do not hang together: expect little beyond them, "
            "and wide intervals here"
        )


def _low(found: Interval) -> float:
    return found.value if found.low is None else found.low


def _high(found: Interval) -> float:
    return found.value if found.high is None else found.high


def _rate(share: Share) -> float:
    return share.rate.value


def _counted(share: Share) -> str:
    return f"{share.count:,} pairs ({100 * share.rate.value:.1f} %)"


def _shown(found: Interval) -> str:
    bounds = "" if found.low is None or found.high is None else f", {100 * found.low:.1f} to {100 * found.high:.1f}"
    return f"{100 * found.value:.1f} % of {found.n:,} pairs{f' ({bounds[2:]})' if bounds else ''}"
