from __future__ import annotations

import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from charter.engines.base import ChoiceRequest
from charter.engines.scripted import ScriptedEngine
from charter.feedback import label
from charter.feedback.settling import Decision, Disagreement, Settling, decide, with_prior
from charter.records import Pair, Preference, PromptKind, Side, make_prompt
from charter.rows import Mapped
from method_examples import CONSTITUTION, PLAIN, WithoutTemplate

ONE, TWO = "the first answer", "the second answer"
PROBABILITIES = st.floats(0.0, 1.0)
PRIORS = st.floats(0.001, 0.999)


def _pair(kind: PromptKind = "red_team", **fields: Any) -> Pair:
    fields = {"id": "pair-1", "a": ONE, "b": TWO, "source": "on_policy", **fields}
    return Pair(prompt=make_prompt("How?", kind), **fields)


def _favouring(p: float) -> ScriptedEngine:
    """Judge by content alone: ``ONE`` is better with probability ``p``, exactly, wherever it stands."""

    def preference(request: ChoiceRequest) -> tuple[float, float]:
        first = request.messages is not None and f"\n(A) {ONE}\n" in request.messages[-1].content
        return (p, 1.0 - p) if first else (1.0 - p, p)

    return ScriptedEngine(preference=preference, script=f"favouring {p}")


def _label(pair: Pair, engine: ScriptedEngine, **options: Any) -> Mapped[Preference]:
    return label([pair], PLAIN, engine, k_principles=1, **options)


def _labelled(pair: Pair, p: float, **options: Any) -> Preference:
    return _label(pair, _favouring(p), **options).done[0]


@pytest.mark.parametrize(("p", "side"), [(0.875, "a"), (0.125, "b"), (0.5, "a")])
def test_the_judge_chooses(p: float, side: Side) -> None:
    """Chosen is what the judge prefers, with its probability; a tie keeps the first response."""
    preference = _labelled(_pair(), p)
    assert preference.chosen_side == side
    assert (preference.chosen, preference.rejected) == ((ONE, TWO) if side == "a" else (TWO, ONE))
    assert preference.p_chosen == preference.p_judge == pytest.approx(max(p, 1 - p))
    assert preference.agrees is None
    assert preference.position_bias == pytest.approx(0.0, abs=1e-12)
    assert (preference.pair, preference.source) == ("pair-1", "on_policy")
    assert len(preference.verdicts) == 2


def test_labels_are_made_in_any_order_asked_for() -> None:
    """Read by number or one after the other, some of them or backwards, they are the same."""
    pairs = [_pair(id=f"pair-{number}", b=f"{TWO} {number}") for number in range(5)]
    labels = label(pairs, PLAIN, _favouring(0.9), k_principles=1).done
    every = [f"pair-{number}" for number in range(5)]
    for part in (slice(None), slice(None, None, -1), slice(1, 4), slice(4, None, -2), slice(3, 3)):
        assert [one.pair for one in labels[part]] == every[part]
        assert labels[part] == list(labels)[part]
    assert [one.pair for one in labels[::-1][1:3]] == ["pair-3", "pair-2"]


@given(texts=st.tuples(st.text(max_size=9), st.text(max_size=9)), spread=st.floats(0, 40), k=st.integers(1, 5))
def test_swapping_the_sides_chooses_the_same_text(texts: tuple[str, str], spread: float, k: int) -> None:
    """Which response is called a changes neither the choice nor its probability, save that a tie keeps a.

    Nor whether there is a label: a response may hold the marks of the question's own layout.
    """
    a, b = texts
    engine = ScriptedEngine(option_spread=spread)
    ones = label([_pair(a=a, b=b)], CONSTITUTION, engine, k_principles=k)
    others = label([_pair(a=b, b=a)], CONSTITUTION, engine, k_principles=k)
    assert ones.filtered == others.filtered
    assume(ones.done)
    one, other = ones.done[0], others.done[0]
    assert one.p_chosen == pytest.approx(other.p_chosen, abs=1e-15)
    assert 0.5 <= one.p_chosen <= 1.0
    if one.p_chosen > 0.5 + 1e-12:
        assert (one.chosen, one.rejected) == (other.chosen, other.rejected)
        assert {one.chosen_side, other.chosen_side} == {"a", "b"}


@given(p=PROBABILITIES, intended=st.sampled_from([None, "a", "b"]))
def test_a_prior_of_one_half_leaves_the_judge_alone(p: float, intended: Side | None) -> None:
    """A prior that says nothing changes nothing, to the last bit; neither does a prior without an intention."""
    assert with_prior(p, intended, 0.5) == p
    assert with_prior(p, None, 0.9) == p


@given(p=st.floats(0.001, 0.999), prior=PRIORS, intended=st.sampled_from(["a", "b"]))
def test_a_prior_joins_in_log_odds(p: float, prior: float, intended: Side) -> None:
    """Prior and judge are independent evidence: their log-odds add."""

    def logit(probability: float) -> float:
        return math.log(probability / (1 - probability))

    sign = 1 if intended == "a" else -1
    assert logit(with_prior(p, intended, prior)) == pytest.approx(logit(p) + sign * logit(prior), abs=1e-6)


@given(p=PROBABILITIES, prior=PRIORS)
def test_a_prior_is_the_same_from_either_side(p: float, prior: float) -> None:
    """Calling the sides by each other's names gives one minus the probability."""
    assert with_prior(p, "a", prior) == pytest.approx(1 - with_prior(1 - p, "b", prior), abs=1e-9)


@pytest.mark.parametrize("intended", ["a", "b"])
def test_a_prior_that_the_judge_outweighs_exactly_leaves_a_tie(intended: Side) -> None:
    """As sure of the one side as the source is of the other: rounding chooses neither, and a tie keeps a."""
    for percent in range(1, 100):
        prior = percent / 100
        p_a = 1 - prior if intended == "a" else prior
        settling = Settling({"given": prior})
        assert decide(p_a, intended, "given", settling) == Decision(0.5, "a", 1.0)


@given(p=PROBABILITIES, prior=PRIORS, intended=st.sampled_from(["a", "b"]))
def test_a_joined_probability_is_one(p: float, prior: float, intended: Side) -> None:
    """Whatever the judge and the prior, what comes of them is a probability, on the prior's side of the judge's."""
    joined = with_prior(p, intended, prior)
    assert 0.0 <= joined <= 1.0
    toward_a = (prior > 0.5) == (intended == "a")
    assert joined >= p - 1e-9 if toward_a or prior == 0.5 else joined <= p + 1e-9


# judge's P(a), intended side, what a disagreement does -> chosen side, p_chosen, agrees; None where it is dropped
DISAGREEMENTS: list[tuple[float, Side, Disagreement, tuple[Side, float, bool | None] | None]] = [
    (0.75, "a", "swap", ("a", 0.75, True)),
    (0.75, "b", "swap", ("a", 0.75, False)),
    (0.25, "a", "swap", ("b", 0.75, False)),
    (0.5, "b", "swap", ("a", 0.5, None)),
    (0.75, "a", "drop", ("a", 0.75, True)),
    (0.75, "b", "drop", None),
    (0.25, "a", "drop", None),
    (0.5, "a", "drop", ("a", 0.5, None)),
    (0.5, "b", "drop", ("a", 0.5, None)),
    (0.75, "a", "keep", ("a", 0.75, True)),
    (0.75, "b", "keep", ("b", 0.5, False)),
    (0.25, "a", "keep", ("a", 0.5, False)),
    (0.25, "b", "keep", ("b", 0.75, True)),
    (0.5, "b", "keep", ("b", 0.5, None)),
]


@pytest.mark.parametrize(("p", "intended", "policy", "expected"), DISAGREEMENTS)
def test_what_a_disagreement_does(
    p: float, intended: Side, policy: Disagreement, expected: tuple[Side, float, bool | None] | None
) -> None:
    """Swap takes the judge's side, drop leaves the pair out, keep holds to the intention at even odds."""
    mapped = _label(_pair(intended=intended), _favouring(p), on_disagreement=policy)
    if expected is None:
        assert list(mapped.filtered.values()) == ["judge disagrees with the source"]
        assert not mapped.done
        return
    side, p_chosen, agrees = expected
    preference = mapped.done[0]
    assert (preference.chosen_side, preference.agrees) == (side, agrees)
    assert preference.p_chosen == pytest.approx(p_chosen)
    assert preference.intended == intended


@pytest.mark.parametrize("policy", ["swap", "drop", "keep"])
@pytest.mark.parametrize("p", [0.125, 0.5, 0.875])
def test_without_an_intention_there_is_no_disagreement(policy: Disagreement, p: float) -> None:
    """A pair that means no side to be better goes by the judge alone."""
    preference = _labelled(_pair(), p, on_disagreement=policy)
    assert preference.p_chosen == pytest.approx(max(p, 1 - p))
    assert preference.agrees is None


@pytest.mark.parametrize(("p", "whole"), [(0.9, (False, True)), (0.1, (True, False))])
def test_an_open_side_stays_open_as_chosen_or_rejected(p: float, whole: tuple[bool, bool]) -> None:
    """Side a was left open: the preference knows which of its responses that is."""
    preference = _labelled(_pair().model_copy(update={"whole_a": False}), p)
    assert (preference.whole_chosen, preference.whole_rejected) == whole


def test_a_strong_prior_outweighs_a_weak_judge() -> None:
    """The prior decides where the judge is nearly undecided; agreement is still told from the judge alone."""
    pair = _pair(source="guided_vs_plain", intended="b")
    preference = _labelled(pair, 0.6, prior={"guided_vs_plain": 0.9})
    odds = (0.4 / 0.6) * 9
    assert preference.chosen_side == "b"
    assert preference.p_chosen == pytest.approx(odds / (1 + odds))
    assert preference.p_judge == pytest.approx(0.4)
    assert preference.agrees is False
    assert _labelled(pair, 0.6, prior={"revision_vs_initial": 0.9}).chosen_side == "a"


@given(p=st.floats(1e-9, 1 - 1e-9), prior=PRIORS, intended=st.sampled_from([None, "a", "b"]), policy=st.data())
def test_the_chosen_side_is_never_the_less_likely(p: float, prior: float, intended: Side | None, policy: Any) -> None:
    """Whatever the judge, the prior and the policy, ``p_chosen`` is at least one half."""
    on_disagreement = policy.draw(st.sampled_from(["swap", "keep"]))
    preference = _labelled(_pair(intended=intended), p, on_disagreement=on_disagreement, prior={"on_policy": prior})
    assert 0.5 <= preference.p_chosen <= 1.0
    if on_disagreement == "keep" and intended is not None:
        assert preference.chosen_side == intended


def test_no_valid_verdict_filters_the_pair() -> None:
    """A pair that the judge cannot read is left out with the reason; it is not a tie."""
    mapped = _label(_pair(), ScriptedEngine(option_mass=0.2))
    assert mapped.filtered == {"pair-1": "no valid verdict"}
    assert mapped.done == ()


@pytest.mark.parametrize("chains", [0, 2])
def test_a_base_model_judges_in_plain_text(chains: int) -> None:
    """A model without a chat template labels pairs as any other, both orders and chains of thought included."""
    mapped = label([_pair()], CONSTITUTION, WithoutTemplate(), chains=chains, max_chain_tokens=6)
    assert not mapped.failed
    assert len(mapped.done[0].verdicts) == 4
    assert all(len(verdict.chains) == chains for verdict in mapped.done[0].verdicts)


@pytest.mark.model
def test_a_model_without_a_template_judges(tiny_model: Path, tmp_path: Path) -> None:
    """Weights whose tokenizer has no chat template give every verdict: the letters are one token in plain text too."""
    from charter.engines.transformers import TransformersEngine

    folder = tmp_path / "base"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("chat_template*"))
    engine = TransformersEngine(str(folder), device="cpu")
    try:
        assert "chat" not in engine.capabilities
        mapped = label([_pair()], CONSTITUTION, engine, min_option_mass=0.0, chains=1, max_chain_tokens=4)
    finally:
        engine.close()
    assert not mapped.failed
    assert [verdict.invalid for verdict in mapped.done[0].verdicts] == [None] * 4


def test_kinds_are_judged_by_their_own_constitution() -> None:
    """Red-team pairs go by the constitution, helpful ones and twins by the helpful one."""
    helpful = CONSTITUTION.model_copy(update={"principles": CONSTITUTION.principles[1:2]})
    kinds: list[PromptKind] = ["red_team", "benign_twin", "helpful"]
    rows = [_pair(kind, id=f"pair-{kind}") for kind in kinds]
    mapped = label(rows, PLAIN, ScriptedEngine(), helpful=helpful, k_principles=1)
    assert [one.verdicts[0].principle for one in mapped.done] == ["kind", "brief", "brief"]
    alone = label(rows, PLAIN, ScriptedEngine(), k_principles=1)
    assert [one.verdicts[0].principle for one in alone.done] == ["kind"] * 3


def test_principles_are_drawn_per_pair_by_weight_without_repeating() -> None:
    """Each pair draws its own k different principles by weight (1, 3, 2); more than there are takes all."""
    rows = [_pair(id=f"pair-{number}") for number in range(300)]
    drawn = [
        {verdict.principle for verdict in one.verdicts}
        for one in label(rows, CONSTITUTION, ScriptedEngine(), k_principles=2).done
    ]
    assert all(len(names) == 2 for names in drawn)
    counts = Counter(name for names in drawn for name in names)
    assert counts["brief"] == 300  # half of all weight: one of two draws, always
    assert abs(counts["kind"] - 100) < 41  # a third of what is left, 5 sigma
    everything = label(rows[:1], CONSTITUTION, ScriptedEngine(), k_principles=9).done[0]
    assert len(everything.verdicts) == 6


def test_a_single_principle_is_drawn_by_weight() -> None:
    """With one principle a pair, weights act on which it is."""
    rows = [_pair(id=f"pair-{number}") for number in range(600)]
    mapped = label(rows, CONSTITUTION, ScriptedEngine(), k_principles=1)
    counts = Counter(one.verdicts[0].principle for one in mapped.done)
    assert stats.chisquare([counts[name] for name in CONSTITUTION.ids], [100, 300, 200]).pvalue > 1e-4


def test_weights_average_the_principles_where_all_are_drawn() -> None:
    """A principle's weight is its share in the mean of the votes."""

    def preference(request: ChoiceRequest) -> tuple[float, float]:
        text = request.messages[-1].content if request.messages else ""
        p = {"kind": 0.9, "brief": 0.2, "honest": 0.5}[
            next(name for name in CONSTITUTION.ids if f"more {name}?" in text)
        ]
        return (p, 1 - p) if f"\n(A) {ONE}\n" in text else (1 - p, p)

    engine = ScriptedEngine(preference=preference, script="by principle")
    preferred = label([_pair()], CONSTITUTION, engine, k_principles=3, n_few_shots=0).done[0]
    p_a = (1 * 0.9 + 3 * 0.2 + 2 * 0.5) / 6
    assert preferred.chosen_side == "b"
    assert preferred.p_chosen == pytest.approx(1 - p_a)


def test_chains_and_clamp_reach_the_judge() -> None:
    """With chains of thought the soft label stays within the clamp."""
    preference = _labelled(_pair(), 0.99, chains=2, clamp=(0.2, 0.8), max_chain_tokens=5)
    assert preference.p_chosen == pytest.approx(0.8)
    assert all(len(verdict.chains) == 2 for verdict in preference.verdicts)


def test_labels_follow_from_the_seed() -> None:
    """The same seed gives the same labels; another draws other principles."""
    rows = [_pair(id=f"pair-{number}") for number in range(20)]
    first, again, other = (
        label(rows, CONSTITUTION, ScriptedEngine(), k_principles=1, seed=seed).done for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
