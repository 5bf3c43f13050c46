from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from scipy import stats

from charter.engines.base import Completion, CompletionRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import CapabilityError, EngineError
from charter.journal.store import Journal
from charter.records import Prompt, make_prompt
from charter.revision import revise
from charter.revision.layouts import LayoutName
from charter.rows import Mapped, map_rows
from method_examples import CONSTITUTION, CONVERSATION, PLAIN, PROMPT, WithoutTemplate, run

CRITIQUES = tuple(principle.critique_request for principle in CONSTITUTION.principles)
REVISIONS = tuple(principle.revision_request for principle in CONSTITUTION.principles)


class Recording(ScriptedEngine):
    """A scripted engine that remembers what it was asked."""

    def __init__(self, reply: Callable[[CompletionRequest], str] | None = None, **options: object) -> None:
        super().__init__(reply, **options)  # type: ignore[arg-type]
        self.requests: list[CompletionRequest] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        """Remember and answer."""
        self.requests.append(request)
        return await super().complete(request)


def _last(request: CompletionRequest) -> str:
    return request.messages[-1].content if request.messages else (request.text or "")


def _step(request: CompletionRequest) -> str:
    """Say which step of the chain a chat request is."""
    if _last(request) in CRITIQUES:
        return "critique"
    return "revision" if _last(request) in REVISIONS else "initial"


def _numbered(request: CompletionRequest) -> str:
    """Answer each step with its name and how many turns it was shown."""
    return f" {_step(request)} after {len(request.messages or ())} turns. \n"


def _prompts(n: int) -> list[Prompt]:
    return [make_prompt(f"How do I open jar {number}?", "red_team") for number in range(n)]


def test_a_chain_keeps_every_round() -> None:
    """A trace has its initial response, and of each round the principle, requests, critique and revision."""
    engine = Recording(_numbered)
    trace = revise([PROMPT], CONSTITUTION, engine, rounds=3, n_few_shots=0).done[0]
    assert trace.initial == "initial after 1 turns."
    assert [one.number for one in trace.rounds] == [1, 2, 3]
    for one in trace.rounds:
        principle = CONSTITUTION.principle(one.principle)
        assert (one.critique_request, one.revision_request) == (principle.critique_request, principle.revision_request)
        assert one.critique == "critique after 4 turns."
        assert one.revision == "revision after 6 turns."
    assert trace.final == trace.rounds[-1].revision
    assert trace.prompt == PROMPT
    assert [_step(request) for request in engine.requests] == ["initial", *["critique", "revision"] * 3]


def test_a_round_starts_from_the_last_revision() -> None:
    """Each round is a fresh conversation of the prompt and the last text, with nothing of earlier rounds (CAI §3.1)."""
    engine = Recording()
    trace = revise([PROMPT], PLAIN, engine, rounds=3).done[0]
    texts = [trace.initial, *(one.revision for one in trace.rounds)]
    for number, request in enumerate(engine.requests[1:]):
        messages = request.messages or ()
        assert messages[0].content == PROMPT.text
        assert messages[1].content == texts[number // 2]
        assert len(messages) == (3 if number % 2 == 0 else 5)
    assert all(engine.requests[1 + 2 * n].messages != engine.requests[3 + 2 * n].messages for n in range(2))


def test_each_role_is_asked_its_own_questions() -> None:
    """Policy, critic and reviser answer their own steps; the critic stands in for the reviser, the policy for both."""

    def steps(**roles: Recording) -> dict[str, set[str]]:
        engines = {"policy": Recording(_numbered), **roles}
        revise(_prompts(2), CONSTITUTION, engines.pop("policy"), **engines, rounds=1)  # type: ignore[arg-type]
        return {name: {_step(request) for request in engine.requests} for name, engine in roles.items()}

    assert steps(policy=Recording(), critic=Recording(), reviser=Recording()) == {
        "policy": {"initial"},
        "critic": {"critique"},
        "reviser": {"revision"},
    }
    assert steps(critic=Recording()) == {"critic": {"critique", "revision"}}
    assert steps(policy=Recording()) == {"policy": {"initial", "critique", "revision"}}


def test_every_call_has_its_own_seed_and_the_rows_settings() -> None:
    """No two calls of a run share a seed; the critique has a limit of its own."""
    engine = Recording(_numbered)
    revise(
        _prompts(3), CONSTITUTION, engine, rounds=2, n_samples=2, temperature=0.5, top_p=0.9, max_tokens=50,
        max_critique_tokens=20, seed=3,
    )  # fmt: skip
    assert len(engine.requests) == 3 * 2 * 5
    assert len({request.sampling.seed for request in engine.requests}) == len(engine.requests)
    for request in engine.requests:
        assert (request.sampling.temperature, request.sampling.top_p) == (0.5, 0.9)
        assert request.sampling.max_tokens == (20 if _step(request) == "critique" else 50)


def _drawn(seed: int, n: int = 400, rounds: int = 4) -> list[list[str]]:
    engine = ScriptedEngine(lambda _: "text", script="one text")
    traces = revise(_prompts(n), CONSTITUTION, engine, rounds=rounds, seed=seed, max_tokens=8).done
    return [[one.principle for one in trace.rounds] for trace in traces]


def test_principles_are_drawn_by_weight() -> None:
    """Over many rounds each principle is drawn in its weight's share."""
    counts = Counter(name for drawn in _drawn(0) for name in drawn)
    expected = [one.weight / 6 * 1600 for one in CONSTITUTION.principles]
    assert stats.chisquare([counts[one.id] for one in CONSTITUTION.principles], expected).pvalue > 1e-4


def test_principles_are_drawn_independently_at_every_round() -> None:
    """What one round drew says nothing of the next: principles repeat as often as chance has it (CAI §3.1)."""
    table = Counter(pair for drawn in _drawn(0) for pair in pairwise(drawn))
    observed = [[table[one, other] for other in CONSTITUTION.ids] for one in CONSTITUTION.ids]
    assert min(map(min, observed)) > 0
    assert stats.chi2_contingency(observed).pvalue > 1e-4


def test_draws_follow_from_the_seed_and_the_prompt() -> None:
    """The same seed draws the same principles, whatever rows are beside it; another seed draws others."""
    assert _drawn(1, 20) == _drawn(1, 40)[:20]
    assert _drawn(1, 40) != _drawn(2, 40)


def test_samples_of_one_prompt_are_chains_of_their_own() -> None:
    """Each sample has its own number, id, texts and draws."""
    traces = revise(_prompts(2), CONSTITUTION, ScriptedEngine(), rounds=2, n_samples=3).done
    assert [trace.sample for trace in traces] == [0, 1, 2, 0, 1, 2]
    assert len({trace.id for trace in traces}) == 6
    assert len({trace.initial for trace in traces}) == 6


def test_no_rounds_sample_initial_responses_alone() -> None:
    """Chains without rounds are plain answers: one call each."""
    engine = Recording(_numbered)
    trace = revise([CONVERSATION], CONSTITUTION, engine, rounds=0).done[0]
    assert trace.rounds == ()
    assert trace.final == trace.initial == "initial after 4 turns."
    assert len(engine.requests) == 1


def test_the_initial_response_may_have_a_layout_of_its_own() -> None:
    """A base model answers as a transcript while a chat model revises, and the other way round."""
    for layout, initial in (("chat", "transcript"), ("transcript", "chat")):
        engine = Recording()
        revise([PROMPT], PLAIN, engine, layout=layout, initial_layout=initial, rounds=1)  # type: ignore[arg-type]
        assert (engine.requests[0].text is None) == (initial == "chat")
        assert all((request.text is None) == (layout == "chat") for request in engine.requests[1:])


def test_a_transcript_chain_ends_its_texts_where_a_turn_would_begin() -> None:
    """What a base model writes beyond its own turn is cut off and enters no later request."""

    def reply(request: CompletionRequest) -> str:
        return f" text of {len(request.text or '')} \n\nHuman: and I say"

    engine = Recording(reply)
    trace = revise([PROMPT], CONSTITUTION, engine, layout="transcript", rounds=2).done[0]
    texts = [trace.initial, *(text for one in trace.rounds for text in (one.critique, one.revision))]
    assert all(text.startswith("text of") and "Human" not in text for text in texts)
    assert not any("and I say" in (request.text or "") for request in engine.requests)


def test_a_base_model_runs_a_whole_chain_as_a_transcript() -> None:
    """A model without a chat template answers, criticises and revises in raw text."""
    mapped = revise([PROMPT, CONVERSATION], CONSTITUTION, WithoutTemplate(), layout="transcript", rounds=2)
    assert not mapped.failed
    assert [len(trace.rounds) for trace in mapped.done] == [2, 2]


@pytest.mark.parametrize(
    ("base", "layouts", "role"),
    [
        ("policy", {"layout": "chat"}, "policy"),
        ("policy", {"layout": "transcript", "initial_layout": "chat"}, "policy"),
        ("critic", {"layout": "chat"}, "critic"),
        ("reviser", {"layout": "chat", "initial_layout": "transcript"}, "reviser"),
    ],
)
def test_a_base_model_is_refused_before_any_call_where_the_layout_is_chat(
    base: str, layouts: dict[str, str], role: str
) -> None:
    """A model that cannot read its layout is one error that names the role and the remedy, not a failure a row."""
    engines: dict[str, ScriptedEngine] = {name: Recording() for name in ("policy", "critic", "reviser")}
    engines[base] = WithoutTemplate()
    with pytest.raises(CapabilityError, match=f"the {role}'s model has no chat template.*'transcript'"):
        revise(_prompts(9), PLAIN, engines.pop("policy"), **engines, **layouts)  # type: ignore[arg-type]
    assert all(not engine.n_calls for engine in engines.values())


def test_only_those_who_are_asked_must_be_able() -> None:
    """A chain without rounds asks neither critic nor reviser; no prompts ask nobody."""
    assert revise([PROMPT], PLAIN, ScriptedEngine(), critic=WithoutTemplate(), rounds=0).done
    assert revise([], PLAIN, WithoutTemplate()).done == ()


def test_a_markdown_heading_is_part_of_a_transcripts_text() -> None:
    """A response with headings of four marks is kept whole; one that ends on the separator alone is not cut short."""
    whole = "Two things.\n\n#### First\n\nTurn the lid.\n\n#### Second\n\nPull."
    engine = ScriptedEngine(lambda _: f" {whole}\n\n####\n\nHuman: and I say", script="headings")
    trace = revise([PROMPT], PLAIN, engine, layout="transcript", rounds=1).done[0]
    assert (trace.initial, trace.rounds[0].critique, trace.rounds[0].revision) == (whole, whole, whole)
    n_words = len(whole.split()) + 1  # the limit falls just behind the four marks
    trace = revise([PROMPT], PLAIN, engine, layout="transcript", rounds=1, max_tokens=n_words).done[0]
    assert trace.rounds[0].revision == whole
    assert "cut" not in trace.initial_flags


def _one_text(step: str, text: str) -> Callable[[CompletionRequest], str]:
    others = {
        "initial": "Turn the lid.",
        "critique": "It does not say which way.",
        "revision": "Turn the lid to the left.",
    }
    return lambda request: (others | {step: text})[_step(request)]


def test_flags_are_put_on_the_text_that_has_the_fault() -> None:
    """Each fault is a flag of its own text, and the trace gathers them with their place."""
    trace = revise([PROMPT], PLAIN, ScriptedEngine(_one_text("initial", " \n"), script="a"), rounds=2).done[0]
    assert trace.initial == ""
    assert trace.initial_flags == ("empty",)
    assert [one.flags for one in trace.rounds] == [(), ("identical",)]
    assert trace.flags == ("initial:empty", "round 2:identical")
    trace = revise([PROMPT], PLAIN, ScriptedEngine(_one_text("revision", ""), script="b"), rounds=1).done[0]
    assert trace.rounds[0].flags == ("empty",)


def test_a_copied_example_is_flagged() -> None:
    """A revision that speaks of a worked example's subject is known by the examples that the layout shows."""
    copied = CONSTITUTION.few_shots.choose("all")[0].revision
    engine = ScriptedEngine(_one_text("revision", copied), script="copied example")
    trace = revise([PROMPT], CONSTITUTION, engine, rounds=1).done[0]
    assert "copies_example" in trace.rounds[0].flags
    trace = revise([PROMPT], CONSTITUTION, engine, rounds=1, n_few_shots=0).done[0]
    assert "copies_example" not in trace.rounds[0].flags


def test_cut_texts_are_flagged() -> None:
    """A text that ends at the token limit is flagged as cut; a cut critique is told apart from a cut revision."""
    long = "One sentence follows another, and none of them is ever the last one that there is to be read here. " * 3
    engine = ScriptedEngine(_one_text("critique", long), script="long critique")
    trace = revise([PROMPT], PLAIN, engine, rounds=1, max_critique_tokens=5).done[0]
    assert "critique_cut" in trace.rounds[0].flags
    assert "cut" not in trace.rounds[0].flags
    engine = ScriptedEngine(_one_text("revision", long), script="long revision")
    trace = revise([PROMPT], PLAIN, engine, rounds=1, max_tokens=15).done[0]
    assert "cut" in trace.rounds[0].flags


def test_a_failed_call_fails_the_row_and_leaves_no_part_of_it(tmp_path: Path) -> None:
    """A chain that breaks in its second round is a failed row: no trace with one round takes its place."""
    n_revisions = 0

    def reply(request: CompletionRequest) -> str:
        nonlocal n_revisions
        n_revisions += _step(request) == "revision"
        if broken and n_revisions == 2 and _step(request) == "revision":
            raise EngineError("no answer")
        return f"{_step(request)}."

    broken = True
    with Journal(tmp_path / "journal.sqlite") as journal:

        def mapper(*args: object, **options: object) -> Mapped[object]:
            return map_rows(*args, **options, journal=journal, n_in_flight=1)  # type: ignore[arg-type]

        engine = ScriptedEngine(reply, script="breaks")
        mapped = revise(_prompts(2), PLAIN, engine, rounds=2, mapper=mapper)  # type: ignore[arg-type]
        assert len(mapped.done) == 1
        assert list(mapped.failed.values()) == ["no answer"]
        broken = False
        mapped = revise(_prompts(2), PLAIN, engine, rounds=2, mapper=mapper)  # type: ignore[arg-type]
        assert [len(trace.rounds) for trace in mapped.done] == [2, 2]
        assert mapped.n_resumed == 1


def test_chains_go_on_as_soon_as_their_own_answer_is_back() -> None:
    """No round waits for the slowest row: a quick chain ends while a slow one is at its first step."""
    ended: list[str] = []

    class Uneven(ScriptedEngine):
        """Slow on the first prompt."""

        async def complete(self, request: CompletionRequest) -> Completion:
            """Answer, late where the prompt is the first."""
            slow = "jar 0" in str(request.messages)
            await asyncio.sleep(0.1 if slow else 0.0)
            ended.append("slow" if slow else "quick")
            return await super().complete(request)

    revise(_prompts(2), PLAIN, Uneven(), rounds=2)
    assert ended[:5] == ["quick"] * 5


def test_the_row_function_is_the_stage_for_one_row() -> None:
    """What the stage gives for a row is what the row function gives alone: rows do not depend on their neighbours."""
    alone = [revise([prompt], CONSTITUTION, ScriptedEngine(), seed=5).done[0] for prompt in _prompts(5)]
    assert list(revise(_prompts(5), CONSTITUTION, ScriptedEngine(), seed=5).done) == alone


def test_a_chain_works_where_a_loop_is_running() -> None:
    """The stage can be called from a notebook's cell."""

    async def cell() -> int:
        return len(revise(_prompts(2), PLAIN, ScriptedEngine(), rounds=1).done)

    assert run(cell()) == 2


@pytest.mark.model
@pytest.mark.parametrize("layout", ["chat", "transcript"])
def test_a_chain_runs_on_a_model(tiny_model: Path, layout: str) -> None:
    """Weights answer every step of a chain, twice the same, in either layout."""
    from charter.engines.transformers import TransformersEngine
    from charter.engines.weights import resolve_model

    engine = TransformersEngine(resolve_model(str(tiny_model)), device="cpu")
    try:
        first, second = (
            revise(
                [PROMPT, CONVERSATION], CONSTITUTION, engine, rounds=2, layout=layout, max_tokens=12,  # type: ignore[arg-type]
                max_critique_tokens=8, seed=1,
            ).done
            for _ in range(2)
        )  # fmt: skip
    finally:
        engine.close()
    assert first == second
    assert [len(trace.rounds) for trace in first] == [2, 2]
    assert all("cut" in one.flags or one.revision or "empty" in one.flags for trace in first for one in trace.rounds)
    assert len({trace.initial for trace in first}) == 2


@pytest.mark.parametrize("layout", ["chat", "transcript"])
def test_a_response_is_revised_at_once(layout: LayoutName) -> None:
    """Without critiques a chain asks for an initial response and a revision a round; rounds hold no critique."""
    engine = Recording(_numbered)
    [trace] = revise(_prompts(1), CONSTITUTION, engine, rounds=3, layout=layout, critique=False).done
    assert len(engine.requests) == 1 + 3
    assert [(one.critique_request, one.critique) for one in trace.rounds] == [("", "")] * 3
    assert all(one.revision_request in REVISIONS and one.revision for one in trace.rounds)


def test_both_ways_of_revising_begin_alike() -> None:
    """Initial responses and principles do not depend on whether critiques are written, so that rows can be paired."""
    ways = [revise(_prompts(5), CONSTITUTION, Recording(), rounds=2, critique=one).done for one in (True, False)]
    assert len({tuple((trace.id, trace.initial) for trace in traces) for traces in ways}) == 1
    assert len({tuple(one.principle for trace in traces for one in trace.rounds) for traces in ways}) == 1
