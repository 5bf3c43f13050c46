"""How the labels of two runs differ, pair by pair, and why: read off recorded verdicts. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from charter.feedback.influence import votes_on
from charter.feedback.settling import Settling, judged_of, settle
from charter.feedback.votes import Voter, p_first_of, voter_of, votes_of, weights_of
from charter.records import Preference, Unlabelled, Verdict
from charter.statistics import Interval, mean_interval, rate_interval

#: Why a label is another one: other principles were asked, or other judges; a verdict can be read in one run and not in
#: the other; a judge said otherwise under the same; what it said was read in another way (calibrator, clamp); votes
#: counted otherwise beside each other; the pair's intention was weighed in another way (prior, what a disagreement
#: does); a tie was taken for another side; it counts otherwise in training (least margin, and what is done below it).
Reason = Literal["principles", "judges", "invalid", "verdicts", "reading", "weights", "intention", "tie", "margin"]
REASONS: tuple[Reason, ...] = get_args(Reason)
#: Why a pair has a label in one run alone, where the other has no such pair.
NOT_THERE = "no pair of the other run"
Labelled = Preference | Unlabelled

_ALIKE = 1e-6  # of two probabilities
_EVEN = 0.5


@dataclass(frozen=True)
class Changed:
    """One pair in both runs: P(a is better) before and after, and why it is not the same.

    ``crossed`` are the principles whose own votes changed sides.
    """

    before: Preference
    after: Preference
    reasons: tuple[Reason, ...]
    crossed: tuple[str, ...]

    @property
    def p_before(self) -> float:
        """P(a is better), before."""
        return p_a(self.before)

    @property
    def p_after(self) -> float:
        """P(a is better), after."""
        return p_a(self.after)

    @property
    def flipped(self) -> bool:
        """Whether another side is chosen."""
        return self.before.chosen_side != self.after.chosen_side


@dataclass(frozen=True)
class LabelDifference:
    """What two runs' labels have in common, and what not.

    ``only_before`` and ``only_after`` are pairs with a label in one run alone, each with why the other has none.
    """

    changed: tuple[Changed, ...]
    only_before: Mapping[str, str]
    only_after: Mapping[str, str]

    @cached_property
    def flips(self) -> tuple[Changed, ...]:
        """The pairs whose chosen side is another one, the surest flips first."""
        flipped = [one for one in self.changed if one.flipped]
        return tuple(sorted(flipped, key=lambda one: (-abs(one.p_after - one.p_before), one.before.pair)))

    @property
    def flip_rate(self) -> Interval | None:
        """The share of common pairs that flipped, by prompt; None without common pairs."""
        prompts = [one.before.prompt.id for one in self.changed]
        return rate_interval([float(one.flipped) for one in self.changed], groups=prompts) if prompts else None

    @property
    def shift(self) -> Interval | None:
        """How far P(a) moved, on average."""
        prompts = [one.before.prompt.id for one in self.changed]
        moved = [abs(one.p_after - one.p_before) for one in self.changed]
        return mean_interval(moved, groups=prompts, limits=(0.0, 1.0)) if prompts else None

    @property
    def by_reason(self) -> Mapping[Reason, int]:
        """How many flips each reason had a part in."""
        counts = Counter(reason for one in self.flips for reason in one.reasons)
        return {reason: counts[reason] for reason in REASONS if counts[reason]}

    @property
    def by_principle(self) -> Mapping[str, int]:
        """In how many flips a principle's own vote changed sides, the commonest first."""
        counts = Counter(name for one in self.flips for name in one.crossed)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def compare_labels(
    before: Sequence[Labelled], after: Sequence[Labelled], *, settlings: tuple[Settling, Settling] | None = None
) -> LabelDifference:
    """Compare the labels of two runs; a pair is the same where its id is, and both its texts.

    Args:
        before: of the one run, with its pairs without a label where that is to be told of.
        after: of the other.
        settlings: how each run made labels of what was judged. Without them it is told from the probabilities alone
            whether an intention was weighed in another way, and so not where the judge's have changed too.
    """
    old, new = ({_key(one): one for one in several} for several in (before, after))
    labels = [{key: one for key, one in several.items() if isinstance(one, Preference)} for several in (old, new)]
    return LabelDifference(
        changed=tuple(_changed(one, labels[1][key], settlings) for key, one in labels[0].items() if key in labels[1]),
        only_before={one.pair: _why_none(new.get(key)) for key, one in labels[0].items() if key not in labels[1]},
        only_after={one.pair: _why_none(old.get(key)) for key, one in labels[1].items() if key not in labels[0]},
    )


def _why_none(other: Labelled | None) -> str:
    return other.reason if isinstance(other, Unlabelled) else NOT_THERE


def p_a(one: Preference) -> float:
    """Give a preference's P(a is better)."""
    return one.p_chosen if one.chosen_side == "a" else 1.0 - one.p_chosen


def _key(one: Labelled) -> tuple[str, str, str]:
    judged = judged_of(one)
    return judged.id, judged.a, judged.b


def _changed(before: Preference, after: Preference, settlings: tuple[Settling, Settling] | None) -> Changed:
    old, new = ({vote.principle: vote.p_a for vote in votes_on(one)} for one in (before, after))
    crossed = tuple(name for name in old if name in new and (old[name] - _EVEN) * (new[name] - _EVEN) < 0)
    reasons = (*_reasons_of_votes(before, after), *_reasons_of_settling(before, after, settlings))
    return Changed(before, after, reasons, crossed)


def _reasons_of_votes(before: Preference, after: Preference) -> Iterator[Reason]:
    asked = [{voter_of(verdict) for verdict in one.verdicts} for one in (before, after)]
    if {one.principle for one in asked[0]} != {one.principle for one in asked[1]}:
        yield "principles"
    if {one.judge for one in asked[0]} != {one.judge for one in asked[1]}:
        yield "judges"
    old, new = (_by_place(one.verdicts) for one in (before, after))
    both = [(old[place], new[place]) for place in old if place in new]
    if any((first.invalid is None) != (second.invalid is None) for first, second in both):
        yield "invalid"
    read = [(first, second) for first, second in both if first.invalid is None and second.invalid is None]
    if any(not _same(p_first_of(first), p_first_of(second)) for first, second in read):
        yield "verdicts"
    if any(_same(p_first_of(first), p_first_of(second)) and not _same(first.p_a, second.p_a) for first, second in read):
        yield "reading"
    voters = [votes_of(one.verdicts).keys() for one in (before, after)]
    if voters[0] == voters[1] and any(
        not _same(*shares) for shares in zip(*map(_shares, (before, after)), strict=True)
    ):
        yield "weights"


def _reasons_of_settling(
    before: Preference, after: Preference, settlings: tuple[Settling, Settling] | None
) -> Iterator[Reason]:
    """Say what was made in another way of what was judged."""
    if settlings is None:
        judged = [one.p_judge if one.chosen_side == "a" else 1.0 - one.p_judge for one in (before, after)]
        is_same = _same(*judged)
        others: list[tuple[Preference, Labelled]] = [(before, after)] if is_same else []
    else:  # what each would be if it had been settled as the other was
        others = [(before, settle(judged_of(before), settlings[1])), (after, settle(judged_of(after), settlings[0]))]
    labelled = [(one, other) for one, other in others if isinstance(other, Preference)]
    if any(not _same(p_a(one), p_a(other)) for one, other in labelled):
        yield "intention"
    if any(_same(p_a(one), p_a(other)) and one.chosen_side != other.chosen_side for one, other in labelled):
        yield "tie"
    if any(_same(p_a(one), p_a(other)) and not _same(one.weight, other.weight) for one, other in labelled):
        yield "margin"


def _by_place(verdicts: Sequence[Verdict]) -> dict[tuple[Voter, str], Verdict]:
    return {(voter_of(one), one.order): one for one in verdicts}


def _shares(one: Preference) -> list[float]:
    """Give the share of all weight that each vote had, in the order of the voters' names."""
    weights = weights_of(one.verdicts)
    counted = [weights[voter] for voter in sorted(votes_of(one.verdicts))]
    return [weight / math.fsum(counted) for weight in counted]


def _same(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return abs(first - second) <= _ALIKE
