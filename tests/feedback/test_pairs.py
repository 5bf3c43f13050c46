from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from charter.engines.base import CompletionRequest
from charter.engines.scripted import ScriptedEngine
from charter.feedback import pairs
from charter.feedback.pair_plans import plan_pairs
from charter.feedback.pairs import guidance_messages
from charter.records import Pair, PairSource, Prompt, PromptKind, Round, Trace, Verdict, make_prompt
from charter.rows import Mapped
from method_examples import CONSTITUTION, CONVERSATION, PLAIN, shown

Sources = Mapping[PromptKind, Mapping[PairSource, float]]


def _prompts(n: int, kind: PromptKind = "red_team") -> list[Prompt]:
    return [make_prompt(f"{kind} {number}", kind, id=f"{kind}-{number}") for number in range(n)]


def _trace(prompt: Prompt, *texts: str, sample: int = 0, flags: tuple[str, ...] = (), **fields: Any) -> Trace:
    initial, *revisions = texts
    rounds = tuple(
        Round(
            number=number, principle="kind", critique_request="", critique="", revision_request="", revision=text,
            flags=flags if number == len(revisions) else (),
        )
        for number, text in enumerate(revisions, start=1)
    )  # fmt: skip
    return Trace(
        id=f"trace-{prompt.id}-{sample}", prompt=prompt, sample=sample, initial=initial, rounds=rounds, **fields
    )


def _made(
    prompts: list[Prompt], source: PairSource, engine: ScriptedEngine | None = None, *, n: int | None = None,
    traces: tuple[Trace, ...] = (), **options: Any,
) -> Mapped[Pair]:  # fmt: skip
    kind = prompts[0].kind
    return pairs(
        prompts, traces, CONSTITUTION, engine or ScriptedEngine(), n=n or len(prompts), kinds={kind: 1.0},
        sources={kind: {source: 1.0}}, **options,
    )  # fmt: skip


def _is_guided(request: CompletionRequest) -> bool:
    return request.messages is not None and "Principles:" in request.messages[0].content


def _by_guidance(guided: str, plain: str) -> Callable[[CompletionRequest], str]:
    return lambda request: guided if _is_guided(request) else plain


def test_two_samples_make_a_pair_without_an_intention() -> None:
    """On-policy pairs are two draws of one model on one prompt; neither is meant to be better."""
    mapped = _made(_prompts(20), "on_policy")
    assert len(mapped.done) == 20
    for pair in mapped.done:
        assert pair.a != pair.b
        assert pair.intended is None
        assert {pair.origin_a, pair.origin_b} == {"sample 1", "sample 2"}
        assert pair.source == "on_policy"


def test_the_last_revision_is_meant_to_beat_the_initial_response() -> None:
    """A trace's pair is its last revision against its initial response."""
    prompts = _prompts(10)
    traces = tuple(_trace(prompt, f"first {prompt.id}", "middle", f"last {prompt.id}") for prompt in prompts)
    for pair in _made(prompts, "revision_vs_initial", traces=traces).done:
        sides = {pair.origin_a: pair.a, pair.origin_b: pair.b}
        assert sides == {"initial": f"first {pair.prompt.id}", "revision 2": f"last {pair.prompt.id}"}
        assert pair.intended == ("a" if pair.origin_a == "revision 2" else "b")


@pytest.mark.parametrize(("kind", "intended"), [("red_team", "guided"), ("benign_twin", "plain"), ("helpful", "plain")])
def test_guidance_is_meant_to_help_on_red_team_prompts_alone(kind: PromptKind, intended: str) -> None:
    """The guided side is intended where there is harm to avoid; elsewhere the constitution should change nothing."""
    engine = ScriptedEngine(_by_guidance("A guided answer.", "A plain answer."), script="guided")
    mapped = _made(_prompts(10, kind), "guided_vs_plain", engine)
    assert len(mapped.done) == 10
    for pair in mapped.done:
        sides = {pair.origin_a: pair.a, pair.origin_b: pair.b}
        assert sides == {"guided": "A guided answer.", "plain": "A plain answer."}
        assert (pair.origin_a if pair.intended == "a" else pair.origin_b) == intended


def test_the_guide_answers_guided_and_the_policy_plainly() -> None:
    """A guide of its own is asked with the constitution alone; the policy never sees it."""
    asked: dict[str, set[bool]] = {"policy": set(), "guide": set()}

    def reply(name: str) -> Callable[[CompletionRequest], str]:
        def answered(request: CompletionRequest) -> str:
            asked[name].add(_is_guided(request))
            return f"An answer of the {name}."

        return answered

    policy, guide = (ScriptedEngine(reply(name), script=name) for name in asked)
    _made(_prompts(3), "guided_vs_plain", policy, guide=guide)
    assert asked == {"policy": {False}, "guide": {True}}


@pytest.mark.parametrize("constitution", [CONSTITUTION, PLAIN], ids=["few-shots", "plain"])
def test_what_the_guided_model_is_shown(constitution: Any, snapshot: SnapshotAssertion) -> None:
    """The guided request, to the letter: a prompt's own system text gives way to the constitution."""
    requests = []

    def reply(request: CompletionRequest) -> str:
        requests.append(request)
        return f"Answer {len(requests)}."

    pairs(
        [CONVERSATION], [], constitution, ScriptedEngine(reply), n=1, kinds={"red_team": 1.0},
        sources={"red_team": {"guided_vs_plain": 1.0}},
    )  # fmt: skip
    guided = next(request for request in requests if _is_guided(request))
    assert shown(guided) == snapshot
    assert guided.n_shared == len(guidance_messages(constitution))


@pytest.mark.parametrize("source", ["on_policy", "revision_vs_initial", "guided_vs_plain"])
def test_sides_are_drawn_fairly(source: PairSource) -> None:
    """No source is tied to a position: each response is a about half of the time (200 fair coins: 5 sigma is 35)."""
    prompts = _prompts(200)
    traces = tuple(_trace(prompt, "one answer", "another answer") for prompt in prompts)
    mapped = _made(prompts, source, traces=traces)
    counts = Counter(pair.origin_a for pair in mapped.done)
    assert len(mapped.done) == 200
    assert len(counts) == 2
    assert all(abs(count - 100) < 35 for count in counts.values())


def test_pairs_follow_from_the_seed_and_the_row() -> None:
    """The same seed makes the same pairs, whatever rows are beside them; another seed draws other texts and sides."""
    first = _made(_prompts(10), "on_policy", seed=1).done
    among_others = {pair.id: pair for pair in _made(_prompts(30), "on_policy", seed=1).done}
    assert all(among_others[pair.id] == pair for pair in first)
    other = {pair.id: pair for pair in _made(_prompts(10), "on_policy", seed=2).done}
    assert set(other) == {pair.id for pair in first}
    assert all(pair.a not in {other[pair.id].a, other[pair.id].b} for pair in first)


def test_equal_responses_are_filtered() -> None:
    """Two responses that are the same teach nothing: the pair is left out with the reason."""
    mapped = _made(_prompts(3), "on_policy", ScriptedEngine(lambda _: "The same words.", script="same"))
    assert not mapped.done
    assert mapped.reasons["filtered"] == {"on_policy: both responses are the same": 3}
    prompts = _prompts(1)
    mapped = _made(prompts, "revision_vs_initial", traces=(_trace(prompts[0], "same", "other", "same"),))
    assert mapped.reasons["filtered"] == {"revision_vs_initial: both responses are the same": 1}


@pytest.mark.parametrize(
    "flag", ["empty", "cut", "critique_leak", "copies_example", "preamble", "refusal_only", "repetition"]
)
def test_sides_that_must_not_be_trained_on_are_filtered(flag: str) -> None:
    """A flag keeps the intended side out; an empty or cut text is not even a thing to reject."""
    prompt = _prompts(1)[0]
    revised = _trace(prompt, "one", "two", flags=("identical", flag))
    mapped = _made([prompt], "revision_vs_initial", traces=(revised,))
    assert mapped.reasons["filtered"] == {f"revision_vs_initial: revision 1 is {flag}": 1}
    initial = _trace(prompt, "one", "two", initial_flags=(flag,))
    mapped = _made([prompt], "revision_vs_initial", traces=(initial,))
    blocked = flag in {"empty", "cut"}
    assert mapped.reasons["filtered"] == ({f"revision_vs_initial: initial is {flag}": 1} if blocked else {})
    assert len(mapped.done) == (not blocked)


def test_harmless_flags_keep_a_pair() -> None:
    """A cut critique is counted on its trace and no fault of the revision."""
    prompt = _prompts(1)[0]
    mapped = _made([prompt], "revision_vs_initial", traces=(_trace(prompt, "one", "two", flags=("critique_cut",)),))
    assert len(mapped.done) == 1


def test_sampled_sides_are_flagged_too() -> None:
    """A sampled response that is empty, or cut at the limit, keeps the pair out."""
    mapped = _made(_prompts(2), "on_policy", ScriptedEngine(lambda _: " ", script="silent"))
    assert mapped.reasons["filtered"] == {"on_policy: sample 1 is empty": 2}
    mapped = _made(_prompts(2), "on_policy", max_tokens=2)
    assert mapped.reasons["filtered"] == {"on_policy: sample 1 is cut": 2}


def test_the_intended_side_can_be_held_to_classes() -> None:
    """On red-team prompts, and there alone, an intended side of another class than asked for leaves the pair out."""
    engine = ScriptedEngine(_by_guidance("You turn the lid to the left.", "You turn it to the right."), script="comply")
    mapped = _made(_prompts(2), "guided_vs_plain", engine, intended_classes=("objection",))
    assert mapped.reasons["filtered"] == {"guided_vs_plain: guided is compliance": 2}
    assert len(_made(_prompts(2), "guided_vs_plain", engine, intended_classes=("compliance",)).done) == 2
    assert len(_made(_prompts(2, "helpful"), "guided_vs_plain", engine, intended_classes=("objection",)).done) == 2


def test_a_trace_without_a_round_is_a_mistake() -> None:
    """Plain answers have no revision to compare: to ask for one is the caller's error."""
    prompt = _prompts(1)[0]
    with pytest.raises(ValueError, match="needs a trace with a round"):
        _made([prompt], "revision_vs_initial", traces=(_trace(prompt, "one"),))


def test_pairs_keep_the_settings_of_their_samples() -> None:
    """Temperature, nucleus and length reach every sample; no two samples share a seed."""
    requests = []

    def reply(request: CompletionRequest) -> str:
        requests.append(request)
        return f"Answer {len(requests)}."

    _made(_prompts(3), "on_policy", ScriptedEngine(reply), temperature=0.3, top_p=0.8, max_tokens=17)
    assert len(requests) == 6
    assert {(one.sampling.temperature, one.sampling.top_p, one.sampling.max_tokens) for one in requests} == {
        (0.3, 0.8, 17)
    }
    assert len({request.sampling.seed for request in requests}) == 6


KINDS: Mapping[PromptKind, float] = {"red_team": 0.5, "benign_twin": 0.25, "helpful": 0.25}
SOURCES: Sources = {
    "red_team": {"guided_vs_plain": 0.5, "revision_vs_initial": 0.25, "on_policy": 0.25},
    "benign_twin": {"on_policy": 1.0},
    "helpful": {"on_policy": 0.5, "guided_vs_plain": 0.5},
}


def _planned(n: int, n_prompts: int, n_samples: int = 1) -> tuple[Counter[tuple[str, str]], list[Any]]:
    prompts = [prompt for kind in KINDS for prompt in _prompts(n_prompts, kind)]
    traces = [
        _trace(prompt, "one", "two", sample=sample)
        for prompt in prompts
        if prompt.kind == "red_team"
        for sample in range(n_samples)
    ]
    plans = plan_pairs(prompts, traces, n=n, kinds=KINDS, sources=SOURCES)
    return Counter((plan.prompt.kind, plan.source) for plan in plans), plans


def test_traces_of_which_no_revision_stands_are_planned_last() -> None:
    """They make no pair, so that they take none of the share as long as there are others."""
    prompts = _prompts(20)
    traces = [_trace(prompt, "one", "two") for prompt in prompts]
    unread = Verdict(
        principle="kind", order="ab", logprob_first=None, logprob_second=None, option_mass=None, p_a=None, invalid="no"
    )
    for place in range(0, 20, 2):
        refused = traces[place].rounds[0].model_copy(update={"verdicts": (unread,), "p_better": 0.3})
        traces[place] = traces[place].model_copy(update={"rounds": (refused,)})
    kinds: dict[PromptKind, float] = {"red_team": 1.0}
    sources: dict[PromptKind, dict[PairSource, float]] = {"red_team": {"revision_vs_initial": 1.0}}
    plans = {n: plan_pairs(prompts, traces, n=n, kinds=kinds, sources=sources) for n in (10, 15)}
    assert [bool(plan.trace and plan.trace.standing) for plan in plans[15]] == [True] * 10 + [False] * 5
    assert plans[10] == plans[15][:10]


def test_shares_are_met() -> None:
    """Each kind and source has its share of the pairs asked for."""
    counts, _ = _planned(400, 100)
    assert counts == {
        ("red_team", "guided_vs_plain"): 100,
        ("red_team", "revision_vs_initial"): 50,
        ("red_team", "on_policy"): 50,
        ("benign_twin", "on_policy"): 100,
        ("helpful", "on_policy"): 50,
        ("helpful", "guided_vs_plain"): 50,
    }


def test_later_iterations_make_no_pair_of_revisions_again() -> None:
    """Its share goes to the others in their proportions; what has no other source is left out."""
    prompts = [prompt for kind in KINDS for prompt in _prompts(20, kind)]
    traces = [_trace(prompt, "one", "two") for prompt in prompts if prompt.kind == "red_team"]
    first, second = (
        plan_pairs(prompts, traces, n=80, kinds=KINDS, sources=SOURCES, iteration=iteration) for iteration in (1, 2)
    )
    assert Counter(plan.source for plan in first if plan.prompt.kind == "red_team") == {
        "guided_vs_plain": 20, "revision_vs_initial": 10, "on_policy": 10
    }  # fmt: skip
    by_source = Counter(plan.source for plan in second if plan.prompt.kind == "red_team")
    assert by_source.keys() == {"guided_vs_plain", "on_policy"}
    assert 26 <= by_source["guided_vs_plain"] <= 27
    assert len(first) == len(second) == 80
    alone: dict[PromptKind, dict[PairSource, float]] = {"red_team": {"revision_vs_initial": 1.0}}
    assert not plan_pairs(prompts, traces, n=8, kinds={"red_team": 1.0}, sources=alone, iteration=2)


@given(n=st.integers(1, 300), n_prompts=st.integers(1, 12), n_samples=st.integers(1, 3))
def test_plans_are_distinct_and_as_many_as_can_be(n: int, n_prompts: int, n_samples: int) -> None:
    """Prompts are taken in turn, traces once; every planned pair has an id of its own."""
    counts, plans = _planned(n, n_prompts, n_samples)
    assert len({plan.id for plan in plans}) == len(plans)
    for (kind, source), count in counts.items():
        exact = n * KINDS[kind] * SOURCES[kind][source]  # type: ignore[index]
        limit = n_prompts * n_samples if source == "revision_vs_initial" else n
        assert count == limit or abs(count - exact) < 1
        used = Counter(plan.prompt.id for plan in plans if (plan.prompt.kind, plan.source) == (kind, source))
        if source != "revision_vs_initial":
            assert max(used.values()) - min(used.values()) <= 1 or len(used) < n_prompts
    n_untraced = sum(count for (_, source), count in counts.items() if source != "revision_vs_initial")
    assert n_untraced <= sum(counts.values()) <= n


def test_a_kind_without_prompts_leaves_its_pairs_unmade() -> None:
    """What cannot be made is missing from the plan, not made of something else."""
    plans = plan_pairs(_prompts(3), [], n=8, kinds=KINDS, sources=SOURCES)
    assert Counter(plan.source for plan in plans) == {"guided_vs_plain": 2, "on_policy": 1}


@given(n=st.integers(0, 60), more=st.integers(0, 60))
def test_a_bigger_plan_contains_the_smaller(n: int, more: int) -> None:
    """Asking for more pairs adds to those that there were: none is made anew under another id."""
    _, few = _planned(n, 5)
    _, many = _planned(n + more, 5)
    assert {plan.id for plan in few} <= {plan.id for plan in many}


@given(n=st.integers(0, 200), weights=st.lists(st.integers(0, 20), min_size=3, max_size=3).filter(any))
def test_no_pair_is_lost_to_rounding(n: int, weights: list[int]) -> None:
    """As many pairs are planned as were asked for, however badly the shares divide them, and none of a share of 0."""
    sources: tuple[PairSource, ...] = ("guided_vs_plain", "contrast", "on_policy")
    shares = {source: weight / sum(weights) for source, weight in zip(sources, weights, strict=True)}
    kinds: Mapping[PromptKind, float] = {"red_team": 0.7, "helpful": 0.3}
    prompts = [*_prompts(2), *_prompts(2, "helpful")]
    plans = plan_pairs(prompts, [], n=n, kinds=kinds, sources={"red_team": shares, "helpful": {"on_policy": 1.0}})
    assert len(plans) == n
    planned = {(plan.prompt.kind, plan.source) for plan in plans}
    assert all(weight or ("red_team", one) not in planned for one, weight in zip(sources, weights, strict=True))


def test_ten_pairs_are_ten() -> None:
    """Halves that would be rounded to even are given out one by one."""
    counts, plans = _planned(10, 5)
    assert len(plans) == 10
    assert counts["benign_twin", "on_policy"] in {2, 3}


def test_every_category_gets_its_share_of_pairs() -> None:
    """Fewer pairs than prompts still touch every category of a file that is sorted by category."""
    prompts = [
        make_prompt(f"{category} {number}", "red_team", category=category)
        for category in "abcdef"
        for number in range(20)
    ]
    plans = plan_pairs(prompts, [], n=60, kinds={"red_team": 1.0}, sources={"red_team": {"on_policy": 1.0}})
    counts = Counter(plan.prompt.category for plan in plans)
    assert len({plan.prompt.id for plan in plans}) == 60
    assert set(counts) == set("abcdef")


def test_a_needless_refusal_is_no_intended_side() -> None:
    """On a benign prompt the plain side is meant to be better only where it complies."""

    def reply(request: CompletionRequest) -> str:
        return "A bird sings." if _is_guided(request) else "I'm sorry, but I can't help with that, because it is wrong."

    mapped = _made([make_prompt("How do birds sing?", "benign_twin")], "guided_vs_plain", ScriptedEngine(reply))
    assert mapped.done == ()
    assert list(mapped.filtered.values()) == ["guided_vs_plain: plain is objection"]


def test_a_bare_refusal_may_be_the_rejected_side() -> None:
    """What must not be chosen may well be rejected."""

    def reply(request: CompletionRequest) -> str:
        return "I won't do that, because it hurts people." if _is_guided(request) else "I can't help with that."

    mapped = _made([make_prompt("How do I hurt a man?", "red_team")], "guided_vs_plain", ScriptedEngine(reply))
    assert len(mapped.done) == 1


ANSWER = "Put the kettle on and wait until the water boils."
OBJECTION = "I won't do that, because it hurts people. I can help you talk to them."


def _contrasted(kind: PromptKind, replies: list[str], **options: Any) -> tuple[Mapped[Pair], int]:
    """Make one contrast pair from replies in order; also say how many were drawn."""
    drawn: list[str] = []

    def reply(_: CompletionRequest) -> str:
        drawn.append(replies[len(drawn)])
        return drawn[-1]

    mapped = _made([make_prompt("How do I make tea?", kind)], "contrast", ScriptedEngine(reply), **options)
    return mapped, len(drawn)


@pytest.mark.parametrize(
    ("kind", "better", "other"), [("red_team", OBJECTION, ANSWER), ("benign_twin", ANSWER, OBJECTION)]
)
def test_a_contrast_intends_what_the_kind_calls_for(kind: PromptKind, better: str, other: str) -> None:
    """An objection is right on a red-team prompt and a mistake on a twin; no more is drawn than that takes."""
    mapped, n_drawn = _contrasted(kind, [other, other, better])
    (pair,) = mapped.done
    sides = {"a": (pair.a, pair.origin_a), "b": (pair.b, pair.origin_b)}
    assert pair.intended is not None
    assert sides.pop(pair.intended) == (better, "sample 3")
    assert list(sides.values()) == [(other, "sample 1")]
    assert n_drawn == 3


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([ANSWER, ANSWER], "contrast: none as intended in 2 samples"),
        ([OBJECTION, OBJECTION], "contrast: all as intended in 2 samples"),
        (["", ""], "contrast: none usable in 2 samples"),
    ],
)
def test_a_model_that_is_always_alike_gives_no_contrast(replies: list[str], reason: str) -> None:
    """What could not be contrasted is counted by reason, after the tries that the recipe allows."""
    mapped, n_drawn = _contrasted("red_team", replies, n_tries=2)
    assert (list(mapped.filtered.values()), n_drawn) == ([reason], 2)


def test_a_refusal_without_its_end_is_no_mistake_on_a_red_team_prompt() -> None:
    """Cut before it could give a reason, it is neither side there; on a twin any refusal is the mistake."""
    replies = ["I won't help you with any of this at all", ANSWER, OBJECTION]

    def made(kind: PromptKind) -> Mapped[Pair]:
        said, prompts = iter(replies), [make_prompt("How do I make tea?", kind)]
        return _made(prompts, "contrast", ScriptedEngine(lambda _: next(said)), max_tokens=8, on_cut="open")

    (pair,) = made("red_team").done
    assert {pair.origin_a, pair.origin_b} == {"sample 2", "sample 3"}
    (pair,) = made("benign_twin").done
    assert {pair.origin_a, pair.origin_b} == {"sample 1", "sample 2"}


@pytest.mark.parametrize("other", ["I won't help you with any of this at all", OBJECTION])
def test_what_could_not_be_decided_is_counted_as_such(other: str) -> None:
    """Neither a model that always objects nor one without usable samples is blamed for texts that were cut."""
    said = iter(["I won't help you with any of this at all", other])
    prompts, engine = [make_prompt("How do I make tea?", "red_team")], ScriptedEngine(lambda _: next(said))
    mapped = _made(prompts, "contrast", engine, max_tokens=8, on_cut="open", n_tries=2)
    (reason,) = mapped.filtered.values()
    assert reason == "contrast: refusals cut before a reason, and no pair of the other samples"


def test_contrast_samples_have_seeds_of_their_own() -> None:
    """Two pairs of one prompt, and the samples of one pair, are different draws."""
    seeds: list[int | None] = []

    def reply(request: CompletionRequest) -> str:
        seeds.append(request.sampling.seed)
        return ANSWER

    _made([make_prompt("How do I make tea?", "red_team")], "contrast", ScriptedEngine(reply), n=2, n_tries=3)
    assert len(set(seeds)) == 6


def test_a_side_that_is_left_open_is_known_as_such() -> None:
    """Cut at the limit and left open, a response is half a pair, and not whole."""
    replies = iter(["Fill the kettle and bring the water to a boil on the stove", "Pour."])
    prompts = [make_prompt("How do I make tea?", "helpful")]
    (pair,) = _made(prompts, "on_policy", ScriptedEngine(lambda _: next(replies)), max_tokens=6, on_cut="open").done
    sides = {pair.a: pair.whole_a, pair.b: pair.whole_b}
    assert sides.pop("Pour.") is True
    ((opened, whole),) = sides.items()
    assert "Fill the kettle and bring the water".startswith(opened)
    assert whole is False
