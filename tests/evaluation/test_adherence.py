"""Adherence: which of two given answers a model finds likelier, and whether its own keep to the principle."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from charter.engines.base import ChoiceRequest, Score, ScoreRequest
from charter.engines.scripted import ScriptedEngine
from charter.evaluation import Evaluation, evaluate
from charter.evaluation.adherence import Probes, keeping_question, probe_one
from charter.evaluation.judge_reading import ASKING
from charter.feedback.questions import letter_request
from charter.records import Pair, Side, make_prompt
from method_examples import CONSTITUTION, run, shown

OTHER = CONSTITUTION.model_copy(update={"name": "other"})


class _Likes(ScriptedEngine):
    """A model to which texts with a word in them are likelier, token by token, however long they are."""

    def __init__(self, word: str) -> None:
        super().__init__(script=f"likes {word}")
        self._word = word

    async def score(self, request: ScoreRequest) -> Score:
        """Give each token the same log-probability."""
        n_tokens = len(request.continuation.split()) + request.end_turn
        per_token = -1.0 if self._word in request.continuation else -2.0
        return Score(logprob=per_token * n_tokens, n_tokens=n_tokens, n_prompt_tokens=1)


def _probes(n: int, constitution: str = "small") -> Probes:
    """Probes that press on each principle in turn, with the keeping answer on either side."""
    standard = CONSTITUTION if constitution == "small" else OTHER
    pairs = []
    for number in range(n):
        principle = standard.ids[number % len(standard.ids)]
        prompt = make_prompt(f"{constitution} {number}", "red_team", principle=principle)
        kept, departed = f"kept at some length in number {number}", f"departed {number}"
        side: Side = "a" if number % 2 else "b"
        a, b = (kept, departed) if side == "a" else (departed, kept)
        pairs.append(Pair(id=f"{constitution}-{number}", prompt=prompt, a=a, b=b, source="given", intended=side))
    return Probes(standard, tuple(pairs))


def _evaluate(*, judge: ScriptedEngine | None = None, judge_adherence: bool = False) -> Evaluation:
    return evaluate(
        {"base": _Likes("departed"), "dpo": _Likes("kept")},
        [make_prompt("How?", "red_team")],
        CONSTITUTION,
        judge=judge,
        head_to_head=(),
        probes=(_probes(12), _probes(6, "other")),
        others={"elsewhere": _Likes("nothing")},
        judge_adherence=judge_adherence,
    )


def test_the_likelier_answer_counts_per_token_and_not_by_length() -> None:
    """A long answer is not the less likely one for its length; loss is per token."""
    probe = _probes(2).pairs[1]
    found = run(probe_one(probe, "small", "m", _Likes("kept")))
    assert (found.loss_keeping, found.loss_departing, found.margin, found.prefers_keeping) == (1.0, 2.0, 1.0, 1.0)
    assert found.keeping == probe.a == "kept at some length in number 1"
    other_side = run(probe_one(_probes(2).pairs[0], "small", "m", _Likes("departed")))
    assert (other_side.margin, other_side.prefers_keeping) == (-1.0, 0.0)
    undecided = run(probe_one(probe, "small", "m", _Likes("nothing")))
    assert (undecided.margin, undecided.prefers_keeping) == (0.0, 0.5)


def test_each_constitution_is_measured_on_every_model_and_on_others() -> None:
    """The table of models by constitutions: the run's own models, and further ones, against the same base."""
    found = _evaluate()
    cells = {(one.model, one.subset): one for one in found.measurements if one.name == "adherence"}
    assert {key: one.value for key, one in cells.items()} == {
        ("base", "probes of small"): 0.0,
        ("dpo", "probes of small"): 1.0,
        ("elsewhere", "probes of small"): 0.5,
        ("base", "probes of other"): 0.0,
        ("dpo", "probes of other"): 1.0,
        ("elsewhere", "probes of other"): 0.5,
    }
    own = cells["dpo", "probes of small"]
    assert (own.n, own.n_groups, own.base, own.difference) == (12, 3, "base", 1.0)
    margins = [one for one in found.measurements if one.name == "adherence_margin" and one.model == "dpo"]
    assert [one.difference for one in margins] == [2.0, 2.0]
    assert len(found.probed) == 3 * 18
    assert {row.model for row in found.responses} == {"base", "dpo"}, "others are put to the probes alone"
    assert found.n_done == found.n_in


def test_the_judge_reads_every_models_answers_by_their_principle() -> None:
    """Where it is asked to, the judge says of each answer how surely it keeps to the principle of its prompt."""
    asked: list[ChoiceRequest] = []

    def first(request: ChoiceRequest) -> tuple[float, float]:
        asked.append(request)
        return (0.8, 0.1) if "(A) It keeps" in str(request.messages) else (0.1, 0.8)

    found = _evaluate(judge=ScriptedEngine(preference=first, script="sure"), judge_adherence=True)
    assert len(found.adherence) == 3 * 18
    assert {row.prompt.principle for row in found.adherence} == set(CONSTITUTION.ids)
    assert all(row.p_keeps == pytest.approx(0.8 / 0.9) and row.position_bias == 0.0 for row in found.adherence)
    measured = [one for one in found.measurements if one.name == "judged_adherence"]
    assert len(measured) == 6
    assert len(asked) == 2 * len(found.adherence)


def test_what_the_judge_is_asked(snapshot: SnapshotAssertion) -> None:
    """The whole request, as a model sees it."""
    prompt = make_prompt("How do I {open} a 100 %s jar?", "red_team", principle="kind")
    question = keeping_question(prompt, "Ask a friend.", CONSTITUTION.principle("kind"))
    assert shown(letter_request(ASKING, question)) == snapshot
