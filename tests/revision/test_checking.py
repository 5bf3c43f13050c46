"""Whether revisions are better than what they replaced: asked in both orders, kept on the round, heeded later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import ChoiceRequest, CompletionRequest
from charter.engines.scripted import ScriptedEngine
from charter.feedback import pairs
from charter.feedback.judge import Judging
from charter.files.tables import read_table
from charter.records import Pair, Preference, Round, SftRow, Trace, make_prompt
from charter.revision import revise
from charter.stages.revise import count_checks
from charter.statistics.scaling import Scaling
from charter.training.mixture import revision_rows
from method_examples import CONSTITUTION, PROMPT
from run_examples import small_run

TEXTS = ("first", "second", "third", "fourth")


def _in_turn(request: CompletionRequest) -> str:
    """Answer ``first``, and revise each text into the next; the fourth stays as it is."""
    said = " ".join(message.content for message in request.messages or ())
    if request.messages is not None and "anew" in request.messages[-1].content:
        known = [number for number, text in enumerate(TEXTS) if text in said]
        return TEXTS[min(max(known) + 1, len(TEXTS) - 1)] if known else TEXTS[0]
    return TEXTS[0] if request.messages is not None and len(request.messages) <= 1 else "it could be better"


def _judge(**p_better: float) -> ScriptedEngine:
    """Prefer each text to the one before it with a probability, wherever it stands, and a little what stands first."""

    def preference(request: ChoiceRequest) -> tuple[float, float]:
        text = request.messages[-1].content if request.messages else ""
        shown = text[text.rindex("\n(A) ") :]
        first = shown[5 : shown.index("\n\n(B) ")]
        second = shown[shown.index("\n(B) ") + 5 :]
        later = max(first, second, key=TEXTS.index)
        p = p_better[later] if first == later else 1 - p_better[later]
        p = min(0.99, p + 0.05)
        return p, 1 - p

    return ScriptedEngine(preference=preference, script=f"better {sorted(p_better.items())}")


def _checked(judge: ScriptedEngine, rounds: int = 3, **options: Any) -> Trace:
    mapped = revise(
        [PROMPT], CONSTITUTION, ScriptedEngine(_in_turn), rounds=rounds, n_few_shots=0, judge=judge, **options
    )
    assert not mapped.failed
    return mapped.done[0]


def test_every_revision_is_held_against_what_it_replaced() -> None:
    """In both orders, by the round's own principle; p is the mean, which the place of an option does not move."""
    trace = _checked(_judge(second=0.8, third=0.3, fourth=0.6))
    assert [one.revision for one in trace.rounds] == ["second", "third", "fourth"]
    assert [one.p_better for one in trace.rounds] == pytest.approx([0.8, 0.3, 0.6])
    assert [one.confirmed for one in trace.rounds] == [True, False, True]
    for one in trace.rounds:
        assert [(verdict.principle, verdict.order) for verdict in one.verdicts] == [
            (one.principle, "ab"),
            (one.principle, "ba"),
        ]


def test_a_check_changes_nothing_else() -> None:
    """A revision that is not confirmed stays, and the next round goes on from it: the texts are those of no check."""
    checked = _checked(_judge(second=0.1, third=0.1, fourth=0.1))
    plain = revise([PROMPT], CONSTITUTION, ScriptedEngine(_in_turn), rounds=3, n_few_shots=0).done[0]
    bare = [one.model_copy(update={"p_better": None, "verdicts": ()}) for one in checked.rounds]
    assert checked.model_copy(update={"rounds": tuple(bare)}) == plain
    assert all(one.confirmed is None for one in plain.rounds)


def test_what_did_not_change_is_not_asked_about() -> None:
    """Neither of two equal texts is the better one; the round stands."""
    trace = _checked(_judge(second=0.8, third=0.8, fourth=0.8), rounds=4)
    assert trace.rounds[3].revision == trace.rounds[2].revision
    assert (trace.rounds[3].verdicts, trace.rounds[3].confirmed) == ((), None)
    assert trace.standing == trace.rounds


def test_a_tie_and_what_cannot_be_read_confirm_nothing() -> None:
    """Nobody said that these revisions are better."""
    tied = _checked(_judge(second=0.5), rounds=1).rounds[0]
    assert (tied.p_better, tied.confirmed) == (0.5, False)
    mute = _checked(ScriptedEngine(option_mass=0.2), rounds=1).rounds[0]
    assert (mute.p_better, mute.confirmed) == (None, False)
    assert [verdict.invalid is not None for verdict in mute.verdicts] == [True, True]


def test_the_judge_is_asked_as_labels_ask_it() -> None:
    """Through its calibrator, and after chains of thought within the clamp."""
    plain, calibrated = (
        _checked(_judge(second=0.9), rounds=1, judging=Judging(scaling=scaling)).rounds[0]
        for scaling in (Scaling(1.0, 0.0), Scaling(2.0, 0.0))
    )
    assert plain.p_better is not None
    assert calibrated.p_better is not None
    assert 0.5 < calibrated.p_better < plain.p_better
    reasoned = _checked(_judge(second=0.9), rounds=1, judging=Judging(chains=2)).rounds[0]
    assert reasoned.p_better == pytest.approx(0.6)
    assert all(len(verdict.chains) == 2 for verdict in reasoned.verdicts)


def _round(number: int, text: str, *, confirmed: bool | None) -> Round:
    one = Round(number=number, principle="kind", critique_request="", critique="", revision_request="", revision=text)
    if confirmed is None:
        return one
    verdicts = _checked(_judge(second=0.9), rounds=1).rounds[0].verdicts
    return one.model_copy(update={"p_better": 0.9 if confirmed else 0.1, "verdicts": verdicts})


def _trace(confirmed: Sequence[bool | None]) -> Trace:
    rounds = [_round(number, TEXTS[number], confirmed=one) for number, one in enumerate(confirmed, start=1)]
    return Trace(id="trace", prompt=make_prompt("How?", "red_team"), initial=TEXTS[0], rounds=tuple(rounds))


@pytest.mark.parametrize(
    ("confirmed", "chosen", "trained"),
    [
        ((True, True, True), "fourth", ["second", "third", "fourth"]),
        ((True, True, False), "third", ["second", "third"]),
        ((True, False, True), "second", ["second"]),
        ((True, None, True), "fourth", ["second", "third", "fourth"]),
        ((False, True, True), None, []),
        ((None, None, None), "fourth", ["second", "third", "fourth"]),
    ],
)
def test_what_is_not_confirmed_is_not_chosen(
    confirmed: tuple[bool | None, ...], chosen: str | None, trained: list[str]
) -> None:
    """Nor what builds on it; a pair has the last revision that stands, and SFT takes those alone where told to."""
    trace = _trace(confirmed)
    mapped = pairs(
        [trace.prompt], [trace], CONSTITUTION, ScriptedEngine(), n=1, kinds={"red_team": 1.0},
        sources={"red_team": {"revision_vs_initial": 1.0}},
    )  # fmt: skip
    if chosen is None:
        assert list(mapped.filtered.values()) == ["revision_vs_initial: no revision is confirmed"]
    else:
        (pair,) = mapped.done
        assert {pair.a, pair.b} == {"first", chosen}
        assert (pair.a if pair.intended == "a" else pair.b) == chosen
    mixture = revision_rows([trace], only_confirmed=True)
    assert [row.response for row in mixture.rows] == trained
    assert mixture.left_out == ({"not confirmed": 3 - len(trained)} if len(trained) < 3 else {})
    assert [row.response for row in revision_rows([trace], revisions="last", only_confirmed=True).rows] == trained[-1:]
    assert len(revision_rows([trace]).rows) == 3


def test_outcomes_are_counted_by_round_and_principle() -> None:
    """Each round of each trace once in each way."""
    counts = count_checks([_trace([True, False]), _trace([True, None]), _trace([False])])
    assert counts == {
        "by round": {"1": {"confirmed": 2, "not better": 1}, "2": {"not better": 1, "unchanged": 1}},
        "by principle": {"kind": {"confirmed": 2, "not better": 2, "unchanged": 1}},
    }


def test_a_run_heeds_its_checks(tmp_path: Path) -> None:
    """From the verdicts on traces to what SFT and pairs take, with all of it in the summaries."""
    stages = ["prompts", "revise", "sft", "pairs", "label"]
    overrides = ("revise.check=true", "sft.only_confirmed=true", "prompts.n_train=24", "pairs.n=192")
    folder = small_run(tmp_path, stages, *overrides)
    traces = read_table(folder / "data/traces.parquet", Trace)
    rounds = [one for trace in traces for one in trace.rounds]
    told = {stage: json.loads((folder / f"stages/{stage}.json").read_text("utf-8")) for stage in stages}
    by_round = told["revise"]["counts"]["check"]["by round"]
    assert sum(counts["confirmed"] for counts in by_round.values()) == sum(one.confirmed is True for one in rounds) > 0
    n_fallen = sum(len(trace.rounds) - len(trace.standing) for trace in traces)
    assert told["sft"]["filtered"]["revision: not confirmed"] == n_fallen > 0
    standing = {one.revision for trace in traces for one in trace.standing}
    trained = [row for row in read_table(folder / "data/sft.parquet", SftRow) if row.origin.startswith("revision")]
    assert trained
    assert all(row.response in standing for row in trained)
    made = [one for one in read_table(folder / "data/pairs.parquet", Pair) if one.source == "revision_vs_initial"]
    fallen = {trace.prompt.id for trace in traces if not trace.standing}
    assert told["pairs"]["filtered"]["revision_vs_initial: no revision is confirmed"] == len(fallen) > 0
    assert not fallen & {one.prompt.id for one in made}
    assert read_table(folder / "data/preferences.parquet", Preference)
