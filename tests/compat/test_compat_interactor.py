from __future__ import annotations

import asyncio
import csv
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from charter import load_pairs, load_sft_rows, revise
from charter.compat import LeftOutWarning, ModelInteractor, import_prompts_from_csv, load_principles
from charter.constitution import Constitution
from charter.engines.base import CompletionRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import CapabilityError, EngineError, ModelError, TooManyFailures, UserError
from charter.records import Preference, Prompt, make_prompt
from compat.harbour import harbour_engine, likes_first, reply, write_principles, write_prompts
from constitution.layout_examples import ANSWER_IMPROVEMENT

IMPROVED = [
    "id", "user_prompt", "initial_answer", "critique_principle", "critique", "revision_principle", "revision",
]  # fmt: skip
COMPARED = [
    "id", "user_prompt", "comparison_answer_1", "comparison_answer_2", "comparison_principle", "chain_of_thought",
    "selected_answer",
]  # fmt: skip


@pytest.fixture
def principles(tmp_path: Path) -> Constitution:
    """Principles for revising and for comparing."""
    return load_principles(write_principles(tmp_path))


@pytest.fixture
def prompts(tmp_path: Path) -> list[Prompt]:
    """Two questions."""
    return import_prompts_from_csv(write_prompts(tmp_path))


@pytest.fixture
def many() -> list[dict[str, Any]]:
    """Thirty questions, as that library has them."""
    return [{"id": str(number), "prompt": f"What is {number} knots?"} for number in range(30)]


@pytest.fixture
def interactor() -> Iterator[ModelInteractor]:
    """A scripted model that names the system text that it is given."""
    with ModelInteractor(harbour_engine(), system_message="a guide") as made:
        yield made


def test_an_improvement_has_their_keys(
    interactor: ModelInteractor, prompts: list[Prompt], principles: Constitution
) -> None:
    """The answer is given behind the principles' system message, and one principle asks for critique and revision."""
    one = interactor.run_single_answer_improvement(prompts, principles, 1)
    assert list(one) == IMPROVED
    assert one["user_prompt"] == "When is it high?"
    assert one["initial_answer"].startswith(f"As {ANSWER_IMPROVEMENT['system_message_user_prompt']}: When is it high?")
    asked = {"critique": one["critique_principle"], "revision": one["revision_principle"]}
    assert asked in ANSWER_IMPROVEMENT["critique_revision_principles"]
    assert one["critique"] == "It is not."
    assert one["revision"] == f"=Revised: {asked['revision']}\nAnd mind it."
    assert json.loads(json.dumps(dict(one))) == dict(one)
    assert repr(one) == repr(dict(one))


def test_a_loop_is_what_revise_gives(
    interactor: ModelInteractor, many: list[dict[str, Any]], principles: Constitution
) -> None:
    """Rows come in the prompts' order, each as it comes alone, and as Charter's own stage makes it."""
    found = interactor.run_answer_improvement_loop(many, principles)
    assert [one["id"] for one in found] == [one["id"] for one in many]
    assert dict(found[7]) == dict(interactor.run_single_answer_improvement(many, principles, 7))
    own = revise(
        [one.row.prompt for one in found], principles, harbour_engine(), rounds=1, temperature=0.7, top_p=0.95,
        max_critique_tokens=256, on_cut="trim",
    )  # fmt: skip
    assert [one.row for one in found] == list(own.done)
    assert len({one["critique_principle"] for one in found}) == 2, "a principle is drawn for each"


@pytest.mark.parametrize("n_in_flight", [1, 3])
def test_how_many_go_at_once_changes_nothing(
    n_in_flight: int, many: list[dict[str, Any]], principles: Constitution
) -> None:
    """One after the other or all at once: the same texts, the same choices; and so many are under way."""
    slow = ScriptedEngine(reply, preference=likes_first, script="harbour, slow", latency_s=0.001)
    fast = ScriptedEngine(reply, preference=likes_first, script="harbour, slow", latency_s=0.001)
    few, all_at_once = ModelInteractor(slow), ModelInteractor(fast)
    assert few.run_answer_improvement_loop(
        many, principles, n_in_flight=n_in_flight
    ) == all_at_once.run_answer_improvement_loop(many, principles)
    assert (slow.max_in_flight, fast.max_in_flight) == (n_in_flight, len(many))
    assert few.run_comparison_loop(many, principles, n_in_flight=n_in_flight) == all_at_once.run_comparison_loop(
        many, principles
    )


def test_a_comparison_has_their_keys(
    interactor: ModelInteractor, prompts: list[Prompt], principles: Constitution
) -> None:
    """Two answers without a system message, a question, a chain of thought, and the letter of the better answer."""
    one = interactor.run_single_comparison(prompts, principles, 0)
    assert list(one) == COMPARED
    answers = one["comparison_answer_1"], one["comparison_answer_2"]
    assert answers[0] != answers[1]
    assert all(answer.startswith("As nobody: Why does the tide turn?") for answer in answers)
    assert one["comparison_principle"] == ANSWER_IMPROVEMENT["comparison_principles"][0]
    assert one["chain_of_thought"] == "The longer one says more."
    better = max(answers, key=lambda text: (len(text), text))
    assert one["selected_answer"] == ("(A)" if better == answers[0] else "(B)")
    assert isinstance(one.row, Preference)
    assert [verdict.order for verdict in one.row.verdicts] == ["ab", "ba"]
    assert one.row.p_chosen == pytest.approx(0.6), "clamped, as it is after a chain of thought"


def test_a_letter_can_be_asked_for_at_once(
    interactor: ModelInteractor, prompts: list[Prompt], principles: Constitution
) -> None:
    """Without a chain of thought the probability is as it was read."""
    one = interactor.run_single_comparison(prompts, principles, 0, chains=0)
    assert one["chain_of_thought"] == ""
    assert isinstance(one.row, Preference)
    assert one.row.p_chosen == pytest.approx(8 / 9)


def test_a_judge_that_names_a_position_prefers_neither(
    prompts: list[Prompt], principles: Constitution, tmp_path: Path
) -> None:
    """Both orders cancel out: no answer is selected, and no hard label is made of it."""
    judge = ScriptedEngine(reply, preference=likes_first, script="position")
    interactor = ModelInteractor(harbour_engine())
    found = interactor.run_comparison_loop(prompts, principles, judge=judge)
    assert [one["selected_answer"] for one in found] == ["", ""]
    with pytest.raises(UserError, match=r"holds none of the preferences \(there are none\)"):
        interactor.save_comparison_data_to_csv(found, tmp_path / "preferences.csv")
    decided = interactor.run_comparison_loop(prompts, principles)
    with pytest.warns(LeftOutWarning, match=r"2 of 4 rows are left out \(2 exact tie\)"):
        assert interactor.save_comparison_data_to_csv([*found, *decided], tmp_path / "preferences.csv") == 2


def test_a_verdict_that_cannot_be_read_selects_nothing(
    prompts: list[Prompt], principles: Constitution, tmp_path: Path
) -> None:
    """It is told as such, beside the answers, and is in no file."""
    mute = ScriptedEngine(reply, preference=lambda _: (0.1, 0.1), script="mute")
    interactor = ModelInteractor(harbour_engine())
    found = interactor.run_comparison_loop(prompts, principles, judge=mute)
    assert [one["selected_answer"] for one in found] == ["", ""]
    decided = interactor.run_comparison_loop(prompts, principles)
    with pytest.warns(LeftOutWarning, match=r"2 no valid verdict"):
        interactor.save_comparison_data_to_csv([*found, *decided], tmp_path / "preferences.csv")


def test_equal_answers_are_no_pair(prompts: list[Prompt], principles: Constitution) -> None:
    """A model that draws the same twice gives nothing to compare: told of a loop, an error of one."""
    parrot = ModelInteractor(ScriptedEngine(lambda _: "Yes.", script="parrot"))
    with pytest.warns(LeftOutWarning, match=r"2 of 2 rows are left out \(2 on_policy: both responses are the same\)"):
        assert parrot.run_comparison_loop(prompts, principles) == []
    with pytest.raises(UserError, match=r"no pair \(on_policy: both responses are the same\)"):
        parrot.run_single_comparison(prompts, principles, 0)


def test_saved_files_are_read_by_charter_and_by_them(
    interactor: ModelInteractor, prompts: list[Prompt], principles: Constitution, tmp_path: Path
) -> None:
    """Texts and pairs come back verbatim; with ``raw`` any CSV reader has them bare."""
    improved = interactor.run_answer_improvement_loop(prompts, principles)
    compared = interactor.run_comparison_loop(prompts, principles)
    for raw in (False, True):
        interactor.save_prompts_and_revisions_to_csv(improved, tmp_path / "sft.csv", raw=raw)
        interactor.save_comparison_data_to_csv(compared, tmp_path / "preferences.csv", raw=raw)
        rows = load_sft_rows(tmp_path / "sft.csv").rows
        assert [(row.prompt.text, row.response) for row in rows] == [
            (one["user_prompt"], one["revision"]) for one in improved
        ]
        pairs = load_pairs(tmp_path / "preferences.csv").pairs
        assert len(pairs) == 2
    with (tmp_path / "sft.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    assert texts[0] == (
        f"<|im_start|>user\n{prompts[0].text}<|im_end|>\n<|im_start|>assistant\n{improved[0]['revision']}<|im_end|>\n"
    )
    with (tmp_path / "preferences.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    sides = {
        "(A)": ("comparison_answer_1", "comparison_answer_2"),
        "(B)": ("comparison_answer_2", "comparison_answer_1"),
    }
    assert written == [
        {"prompt": one["user_prompt"], "chosen": one[chosen], "rejected": one[rejected]}
        for one in compared
        for chosen, rejected in [sides[one["selected_answer"]]]
    ]


def test_texts_are_in_the_template_that_is_named(
    prompts: list[Prompt], principles: Constitution, tmp_path: Path, tiny_model: Path
) -> None:
    """A hosted or scripted model takes another's; one that is nowhere is an error before anything is written."""
    named = ModelInteractor(harbour_engine(), template=str(tiny_model))
    found = named.run_answer_improvement_loop(prompts, principles)
    assert named.save_prompts_and_revisions_to_csv(found, tmp_path / "sft.csv") == 2
    with pytest.raises(ModelError, match="no model 'no such model'"):
        ModelInteractor(harbour_engine(), template="no such model").save_prompts_and_revisions_to_csv(
            found, tmp_path / "other.csv"
        )
    assert not (tmp_path / "other.csv").exists()


def test_what_must_not_be_trained_on_is_left_out(
    prompts: list[Prompt], principles: Constitution, tmp_path: Path
) -> None:
    """A revision that only repeats is told by its fault, and is in no file."""

    def looping(request: CompletionRequest) -> str:
        text = reply(request)
        is_of_tides = "Why does the tide turn?" in str(request.messages)
        return "and so on " * 60 if text.startswith("=Revised") and is_of_tides else text

    interactor = ModelInteractor(ScriptedEngine(looping, script="looping"))
    found = interactor.run_answer_improvement_loop([*prompts, {"id": "other", "prompt": "Is it calm?"}], principles)
    assert ["and so on" in one["revision"] for one in found] == [True, False, False]
    with pytest.warns(LeftOutWarning, match=r"sft\.csv: 1 of 3 rows are left out \(1 repetition\)"):
        assert interactor.save_prompts_and_revisions_to_csv(found, tmp_path / "sft.csv") == 2


def test_cut_answers_end_after_a_sentence(prompts: list[Prompt], principles: Constitution) -> None:
    """What ran into the limit is ended as the interactor is told to."""
    wordy = ScriptedEngine(lambda _: "One two three. Four five six.", script="wordy")
    trimmed = ModelInteractor(wordy, max_new_tokens=5).run_single_answer_improvement(prompts, principles, 0)
    assert (trimmed["initial_answer"], trimmed["revision"]) == ("One two three.", "One two three.")
    flagged = ModelInteractor(wordy, max_new_tokens=5, on_cut="flag").run_single_answer_improvement(
        prompts, principles, 0
    )
    assert flagged["revision"] == "One two three. Four five"
    assert "cut" in flagged.row.rounds[0].flags


def test_a_chat_has_a_history_until_it_is_reset() -> None:
    """Every turn is shown again with the system message; after a reset only that is left."""
    shown: list[list[tuple[str, str]]] = []

    def answer(request: CompletionRequest) -> str:
        assert request.messages is not None
        shown.append([(turn.role, turn.content) for turn in request.messages])
        return f" Answer {len(shown)}. "

    interactor = ModelInteractor(ScriptedEngine(answer, script="chat"), system_message="Be brief.")
    assert [interactor.chat_with_model(said) for said in ("One?", "Two?")] == ["Answer 1.", "Answer 2."]
    opening, first = ("system", "Be brief."), [("user", "One?"), ("assistant", "Answer 1.")]
    assert shown == [[opening, ("user", "One?")], [opening, *first, ("user", "Two?")]]
    assert [turn["content"] for turn in interactor.chat_history] == ["One?", "Answer 1.", "Two?", "Answer 2."]
    assert interactor.chat_history[0] == {"role": "user", "content": "One?"}
    interactor.reset_chat()
    assert interactor.chat_history == []
    interactor.chat_with_model("Three?")
    assert shown[-1] == [opening, ("user", "Three?")]


def test_a_failed_turn_leaves_the_chat_as_it_was() -> None:
    """What was not answered was not said."""

    def fail(_: CompletionRequest) -> str:
        raise EngineError("the model is gone")

    interactor = ModelInteractor(ScriptedEngine(fail, script="gone"))
    with pytest.raises(EngineError, match="the model is gone"):
        interactor.chat_with_model("One?")
    assert interactor.chat_history == []


def test_single_requests_are_drawn_by_their_seed(interactor: ModelInteractor) -> None:
    """A question or messages, in a running loop too; another seed is another draw."""
    said = [{"role": "system", "content": "a clerk"}, {"role": "user", "content": "Hello?"}]
    assert interactor.execute_llm_request(said) == "As a clerk: Hello? Draw 0."
    assert interactor.execute_llm_request("Hello?", seed=5) == "As nobody: Hello? Draw 5."

    async def in_a_notebook() -> str:
        return interactor.execute_llm_request("Hello?")

    assert asyncio.run(in_a_notebook()) == "As nobody: Hello? Draw 0."
    for wrong in ([{"role": "robot", "content": "x"}], [{"content": "x"}], []):
        with pytest.raises(UserError, match="these are no messages"):
            interactor.execute_llm_request(wrong)


def test_nothing_is_asked_twice_where_a_memory_is_kept(
    many: list[dict[str, Any]], principles: Constitution, tmp_path: Path
) -> None:
    """A program that failed on the way goes on where it was."""
    n_left = 40

    def failing(request: CompletionRequest) -> str:
        nonlocal n_left
        n_left -= 1
        if n_left < 0:
            raise EngineError("the server is gone")
        return reply(request)

    def remembering(engine: ScriptedEngine) -> ModelInteractor:
        return ModelInteractor(engine, memory=tmp_path / "answers.sqlite")

    broken = ScriptedEngine(failing, script="harbour")
    with remembering(broken) as interactor, pytest.raises(TooManyFailures, match="the server is gone"):
        interactor.run_answer_improvement_loop(many, principles)
    whole = ScriptedEngine(reply, script="harbour")
    with remembering(whole) as interactor:
        found = interactor.run_answer_improvement_loop(many, principles)
    assert len(found) == len(many)
    assert whole.n_calls["complete"] == 3 * len(many) - 40
    with remembering(ScriptedEngine(failing, script="harbour")) as interactor:
        assert interactor.run_answer_improvement_loop(many, principles) == found


def test_rows_that_fail_are_told(many: list[dict[str, Any]], principles: Constitution) -> None:
    """A few failures stop nothing, and are counted by their reason."""

    def sometimes(request: CompletionRequest) -> str:
        if "What is 7 knots?" in str(request.messages):
            raise EngineError("no luck")
        return reply(request)

    with pytest.warns(LeftOutWarning, match=r"answer improvement: 1 of 30 rows are left out \(1 no luck\)"):
        found = ModelInteractor(ScriptedEngine(sometimes, script="seven")).run_answer_improvement_loop(many, principles)
    assert [one["id"] for one in found] == [str(number) for number in range(30) if number != 7]


def test_a_prompt_is_drawn_where_none_is_named(
    interactor: ModelInteractor, many: list[dict[str, Any]], principles: Constitution
) -> None:
    """The seed draws it, the same each time; an index beyond the prompts is no draw."""
    drawn = interactor.run_single_answer_improvement(many, principles)
    assert dict(drawn) == dict(interactor.run_single_answer_improvement(many, principles))
    others = {
        ModelInteractor(harbour_engine(), seed=seed).run_single_answer_improvement(many, principles)["id"]
        for seed in range(8)
    }
    assert len(others) > 1
    for index in (30, -1):
        with pytest.raises(UserError, match=f"prompt_index is {index}; expected 0 to 29"):
            interactor.run_single_answer_improvement(many, principles, index)


def test_what_is_given_wrongly_is_named(
    interactor: ModelInteractor, prompts: list[Prompt], principles: Constitution, tmp_path: Path
) -> None:
    """Prompts, principles and responses of the wrong kind are errors of words, before any call."""
    empty: list[Prompt] = []
    wrong: Any = ANSWER_IMPROVEMENT
    copies: Any = [dict(one) for one in interactor.run_answer_improvement_loop(prompts, principles)]
    only_judge = principles.model_copy(update={"principles": principles.principles[-1:]})
    only_revise = principles.model_copy(update={"principles": principles.principles[:1]})
    other: Any = interactor.run_comparison_loop(prompts, principles)
    with pytest.raises(UserError, match="there are no prompts"):
        interactor.run_answer_improvement_loop(empty, principles)
    with pytest.raises(UserError, match=r"\{'input': 'x'\} is no prompt; expected a mapping with 'prompt'"):
        interactor.run_answer_improvement_loop([{"input": "x"}], principles)
    with pytest.raises(UserError, match="two prompts have the id '1'"):
        interactor.run_comparison_loop([{"id": 1, "prompt": "x"}, {"id": "1", "prompt": "y"}], principles)
    with pytest.raises(UserError, match="principles are of the type dict; give what load_principles reads"):
        interactor.run_answer_improvement_loop(prompts, wrong)
    with pytest.raises(UserError, match="no principles to revise by; add some under 'critique_revision_principles'"):
        interactor.run_answer_improvement_loop(prompts, only_judge)
    with pytest.raises(UserError, match="no principles to judge by; add some under 'comparison_principles'"):
        interactor.run_comparison_loop(prompts, only_revise)
    for save, responses in (
        (interactor.save_prompts_and_revisions_to_csv, copies),
        (interactor.save_prompts_and_revisions_to_csv, other),
        (interactor.save_comparison_data_to_csv, copies),
    ):
        with pytest.raises(UserError, match="no responses of this loop"):
            save(responses, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_an_engine_that_is_given_stays_open() -> None:
    """Whoever made it closes it; what the interactor opened itself, it closes."""
    engine = harbour_engine()
    with ModelInteractor(engine):
        pass
    assert ModelInteractor(engine).execute_llm_request("Hello?")
    with ModelInteractor("mock", use_mock=True) as interactor:
        own = interactor.engine
    with pytest.raises(EngineError, match="is closed"):
        ModelInteractor(own).execute_llm_request("Hello?")


def test_a_base_model_revises_in_a_transcript(prompts: list[Prompt], principles: Constitution) -> None:
    """Without a chat template the chat layout is refused by name, and so is comparing."""

    class Base(ScriptedEngine):
        @property
        def capabilities(self) -> Any:
            return super().capabilities - {"chat"}

    interactor = ModelInteractor(Base(lambda _: "Plainly put.", script="base"))
    with pytest.raises(CapabilityError, match="has no chat template"):
        interactor.run_answer_improvement_loop(prompts, principles)
    assert interactor.run_answer_improvement_loop(prompts, principles, layout="transcript")[0]["critique"]
    with pytest.raises(CapabilityError, match="a model that answers needs a chat template"):
        interactor.run_comparison_loop(prompts, principles)


def test_progress_is_shown_where_it_is_wanted(prompts: list[Prompt], principles: Constitution) -> None:
    """Each prompt counts once."""
    seen: list[str] = []

    class Told:
        def begin(self, stage: str, total: int, done: int) -> None:
            seen.append(f"{stage} {done}/{total}")

        def advance(self, stage: str, note: str = "") -> None:
            seen.append(f"{stage} +1{note}")

        def end(self, stage: str) -> None:
            seen.append(f"{stage} done")

    ModelInteractor(harbour_engine(), progress=Told()).run_answer_improvement_loop(prompts, principles)
    assert seen == ["revise 0/2", "revise +1", "revise +1", "revise done"]


@pytest.mark.model
def test_a_model_does_the_whole(tiny_model: Path, principles: Constitution, tmp_path: Path) -> None:
    """A local model improves, compares, chats and saves; its texts are in its own chat template."""
    prompts = [make_prompt(f"What is {number}?", "red_team") for number in range(3)]
    with warnings.catch_warnings(), ModelInteractor(tiny_model, max_new_tokens=12, on_cut="open") as interactor:
        warnings.simplefilter("ignore", LeftOutWarning)  # what random weights say is often nothing to train on
        improved = interactor.run_answer_improvement_loop(prompts, principles)
        assert [one["user_prompt"] for one in improved] == [one.text for one in prompts]
        compared = interactor.run_comparison_loop(prompts, principles)
        assert all(one["selected_answer"] in {"", "(A)", "(B)"} for one in compared)
        n = interactor.save_prompts_and_revisions_to_csv(improved, tmp_path / "sft.csv")
        interactor.chat_with_model("Hello?")
        assert len(interactor.chat_history) == 2
    assert len(load_sft_rows(tmp_path / "sft.csv", template=str(tiny_model)).rows) == n > 0
