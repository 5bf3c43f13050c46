from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.base import Choice, Completion
from charter.engines.http.answers import (
    Took,
    read_answer,
    read_choice,
    read_completion,
    read_owner,
    read_took,
    tells_likeliest,
)
from charter.engines.http.bodies import Abilities
from charter.engines.http.failures import MalformedAnswerError
from charter.errors import EngineError

ABLE = Abilities(served=frozenset({"stub"}))
USAGE = {"prompt_tokens": 7, "completion_tokens": 2}


def _answer(text: Any = "a lamp", finish: Any = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {"model": "stub", "choices": [choice], "usage": USAGE, **fields}


def _choosing(top: dict[str, Any], *, older: bool = False, **fields: Any) -> dict[str, Any]:
    listed = [{"token": token, "logprob": value} for token, value in top.items()]
    told = {"top_logprobs": [top]} if older else {"content": [{"top_logprobs": listed}]}
    return {"model": "stub", "choices": [{"finish_reason": "length", "logprobs": told}], "usage": USAGE, **fields}


def _read(answer: Any) -> Completion:
    return read_completion(read_answer(json.dumps(answer), ABLE))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is no JSON"),
        ("<html><body>502 Bad Gateway</body></html>", "is no JSON: <html>"),
        ('{"choices": [{"message": {"content": "half', "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"choices": 1' + "0" * 5000 + "}", "is no JSON"),
        ("[]", "is no object"),
        ("null", "is no object"),
        ('"text"', "is no object"),
        ("NaN", "is no object"),
        ("{}", "holds no choice"),
        ('{"choices": []}', "holds no choice"),
        ('{"choices": null}', "holds no choice"),
        ('{"choices": {"message": {}}}', "holds no choice"),
        ('{"choices": ["a lamp"]}', "holds no choice"),
        ('{"error": {"message": "overloaded"}}', "holds no choice: {'message': 'overloaded'}"),
        ('{"model": "other", "choices": [{}]}', "is of another model: other; expected stub"),
    ],
)
def test_what_is_no_answer_is_refused(text: str, what: str) -> None:
    """Whatever comes with a status of 200 is an answer with a choice of the model that was asked, or refused."""
    with pytest.raises(MalformedAnswerError) as refused:
        read_answer(text, ABLE)
    assert what in str(refused.value)


@pytest.mark.parametrize("model", ["stub", None, 7])
def test_the_models_name_counts_where_it_is_told(model: object) -> None:
    """A server that names no model, or before any name is known, is believed."""
    assert read_answer(json.dumps(_answer(model=model)), ABLE)
    assert read_answer(json.dumps(_answer(model="any")), Abilities())


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (_answer(None), "holds no text"),
        (_answer(["a"]), "holds no text"),
        (_answer(7), "holds no text"),
        ({**_answer(), "choices": [{"finish_reason": "stop"}]}, "holds no text"),
        ({**_answer(), "choices": [{"finish_reason": "stop", "message": None}]}, "holds no text"),
        (_answer(finish=None), "no known end: finish_reason is None"),
        (_answer(finish="tool_calls"), "no known end: finish_reason is tool_calls"),
        (_answer(finish="abort"), "no known end"),
        (_answer(finish=["stop"]), "no known end"),
        (_answer(usage=None), "does not say how many tokens it took: usage is None"),
        (_answer(usage=[]), "how many tokens"),
        (_answer(usage={}), "how many tokens"),
        (_answer(usage={"prompt_tokens": math.nan}), "how many tokens"),
        (_answer(usage={"prompt_tokens": -1, "completion_tokens": 1}), "how many tokens"),
        (_answer(usage={"prompt_tokens": True}), "how many tokens"),
        (_answer(usage={"prompt_tokens": 10**400}), "how many tokens"),
        (_answer(usage={"prompt_tokens": 7, "completion_tokens": 10**9 + 1}), "how many tokens"),
        (_answer(usage={"prompt_tokens": "7"}), "how many tokens"),
        (_answer(usage={"prompt_tokens": 7, "completion_tokens": None}), "how many tokens"),
    ],
)
def test_a_text_that_is_none_is_refused(answer: dict[str, Any], what: str) -> None:
    """Without text, a known end or counted tokens there is no completion, and none is made up."""
    with pytest.raises(MalformedAnswerError) as refused:
        _read(answer)
    assert what in str(refused.value)


@pytest.mark.parametrize("text", ["", None])
@pytest.mark.parametrize("read", [read_completion, lambda answer: read_choice(answer, ("A", "B"))])
def test_a_filtered_answer_fails_its_row(text: str | None, read: Callable[[dict[str, Any]], object]) -> None:
    """What the server holds back it holds back again: it is said, and not tried for."""
    with pytest.raises(EngineError, match="filter held the answer back"):
        read(_answer(text, "content_filter"))


@pytest.mark.parametrize(
    ("told", "finish"),
    [("stop", "stop"), ("eos", "stop"), ("eos_token", "stop"), ("stop_sequence", "stop"), ("length", "length")],
)
def test_servers_words_for_the_end_are_known(told: str, finish: str) -> None:
    """Servers have several words for two ends."""
    found = _read(_answer(finish=told))
    assert found == Completion(text="a lamp", finish=finish, n_prompt_tokens=7, n_completion_tokens=2)


def test_a_text_of_the_older_completions_is_read() -> None:
    """There the text lies beside the choice's other fields."""
    answer = {"choices": [{"text": " a lamp", "finish_reason": "length"}], "usage": {"prompt_tokens": 7}}
    assert _read(answer) == Completion(text=" a lamp", finish="length", n_prompt_tokens=7, n_completion_tokens=0)


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("one. two. three", (".",), ("one", "stop")),
        ("one. two, three", (",", "."), ("one", "stop")),
        ("one", (".",), ("one", "length")),
        (". one", (".",), ("", "stop")),
        ("one", ("", "never"), ("one", "length")),
    ],
)
def test_a_text_ends_before_the_first_stop(text: str, stops: tuple[str, ...], expected: tuple[str, str]) -> None:
    """Stops that the server could not take, or left standing, end the text on reading."""
    found = read_completion(_answer(text, "length"), stops=stops)
    assert (found.text, found.finish) == expected


def test_a_repeated_beginning_is_taken_off() -> None:
    """The answer is what follows the prefill: once, where it is repeated, and never from the middle."""
    assert read_completion(_answer("Well, a lamp"), prefill="Well,").text == " a lamp"
    assert read_completion(_answer("A lamp. Well,"), prefill="Well,").text == "A lamp. Well,"
    assert read_completion(_answer("Well,Well, a lamp"), prefill="Well,").text == "Well, a lamp"
    assert read_completion(_answer("Stop. a lamp"), prefill="Stop.", stops=("Stop.",)).text == " a lamp"


@pytest.mark.parametrize(
    ("written", "text"),
    [(r"lamp \ud83d\ude00", "lamp \U0001f600"), (r"lamp \ud83d", "lamp \ufffd"), (r"\ude00 lamp", "\ufffd lamp")],
)
def test_half_a_character_becomes_the_sign_for_one(written: str, text: str) -> None:
    """A text that was cut inside of a character can be written to a file all the same."""
    raw = json.dumps(_answer("TEXT")).replace("TEXT", written)
    assert read_completion(read_answer(raw, ABLE)).text == text


@pytest.mark.parametrize("older", [False, True])
def test_options_are_read_off_the_likeliest_tokens(older: bool) -> None:
    """Both ways of telling them are read; a token is an option where it is written the same."""
    top = {"B": -0.5, "A": -1.25, " A": -3.0, "a": -4.0}
    found = read_choice(_choosing(top, older=older), ("A", "B"))
    assert found.logprobs == (-1.25, -0.5)
    assert found.mass == pytest.approx(math.exp(-1.25) + math.exp(-0.5))
    assert found.n_prompt_tokens == 7
    assert read_choice(_choosing(top, older=older), ("B", "A")).logprobs == (-0.5, -1.25)


def test_letters_asked_for_in_words_count_in_every_spelling() -> None:
    """Blanks, brackets, quotation marks and stops around a letter do not count; another word does."""
    top = {"A": -1.0, " A": -2.0, "(A": -3.0, "A)": -3.5, "**A": -4.0, "And": -5.0, "B.": -2.5}
    found = read_choice(_choosing(top), ("A", "B"), anywhere=True)
    spellings = (-1.0, -2.0, -3.0, -3.5, -4.0)
    assert found.logprobs[0] == pytest.approx(math.log(sum(math.exp(value) for value in spellings)))
    assert found.logprobs[1] == pytest.approx(-2.5)


def test_a_drawn_option_has_its_own_log_probability() -> None:
    """An option that was drawn because nothing else was allowed counts, far from the likeliest; the other has less."""
    answer = _choosing({"the": -0.7, "a": -0.9})
    answer["choices"][0]["logprobs"]["content"][0] |= {"token": "B", "logprob": -9.25}
    assert read_choice(answer, ("A", "B")).logprobs == (-9.25, -9.25)
    answer["choices"][0]["logprobs"]["content"][0] |= {"token": "B", "logprob": None}
    assert read_choice(answer, ("A", "B")).logprobs[1] == pytest.approx(
        math.log(1 - math.exp(-0.7) - math.exp(-0.9)), abs=0.02
    )
    answer["choices"][0]["logprobs"]["content"][0] |= {"token": "B", "logprob": "x"}
    with pytest.raises(MalformedAnswerError, match="'x' of 'B'"):
        read_choice(answer, ("A", "B"))


def test_a_token_that_is_told_twice_has_its_larger_value() -> None:
    """Two tokens may be written alike (a letter, and its byte): the unlikely one does not hide the other."""
    listed = [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -3.0}, {"token": "A", "logprob": -18.0}]
    answer = _choosing({})
    answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"] = listed
    assert read_choice(answer, ("A", "B")).logprobs == (-0.1, -3.0)


@pytest.mark.parametrize("value", [-9999.0, -1e30, -3.4028234663852886e38])
def test_next_to_nothing_is_a_log_probability(value: float) -> None:
    """Some servers tell -9999 and less of what is all but impossible: its exponential is 0, and no error."""
    found = read_choice(_choosing({"A": -0.001, "B": value}), ("A", "B"))
    assert found.logprobs == (-0.001, value)
    assert all(math.isfinite(one) for one in found.logprobs)


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.5, 10**400, "-1.0", None, True, [], {}])
@pytest.mark.parametrize("older", [False, True])
def test_a_log_probability_that_is_none_is_refused(value: object, older: bool) -> None:
    """Not a number, above 0, or no number at all: the whole answer is refused, whichever token it is of."""
    with pytest.raises(MalformedAnswerError, match="a log-probability is none"):
        read_choice(_choosing({"A": -0.5, "B": -1.0, "C": value}, older=older), ("A", "B"))


def test_a_token_without_a_name_is_refused() -> None:
    """A log-probability is one of a token."""
    answer = _choosing({"A": -0.5})
    answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"].append({"token": None, "logprob": -1.0})
    with pytest.raises(MalformedAnswerError, match=r"-1\.0 of None"):
        read_choice(answer, ("A", "B"))


def test_values_just_above_0_are_rounding() -> None:
    """A certain token may be told a hair above certainty; it is taken for certain."""
    found = read_choice(_choosing({"A": 1e-6, "B": -17.0}), ("A", "B"))
    assert found.logprobs[0] == 0.0
    assert found.mass == 1.0


def test_options_that_are_likelier_than_all_are_refused() -> None:
    """Log-probabilities that add up to more than 1 are of something else."""
    with pytest.raises(MalformedAnswerError, match=r"add up to more than 1: 1\.8"):
        read_choice(_choosing({"A": math.log(0.9), "B": math.log(0.9)}), ("A", "B"))


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        [],
        {},
        {"content": None},
        {"content": []},
        {"content": [None]},
        {"content": [{}]},
        {"content": [{"top_logprobs": None}]},
        {"content": [{"top_logprobs": []}]},
        {"content": [{"top_logprobs": ["A"]}]},
        {"content": [{"top_logprobs": {"A": -1.0}}]},
        {"top_logprobs": None},
        {"top_logprobs": []},
        {"top_logprobs": [None]},
        {"top_logprobs": [{}]},
        {"content": [{"top_logprobs": [{"token": "A", "logprob": -math.inf}]}]},
    ],
)
def test_no_log_probabilities_are_no_choice(logprobs: object) -> None:
    """Where a server tells none, it is said; no option is given a probability out of the air."""
    answer = _choosing({"A": -1.0})
    answer["choices"][0]["logprobs"] = logprobs
    assert not tells_likeliest(answer)
    with pytest.raises(MalformedAnswerError, match="holds no log-probabilities"):
        read_choice(answer, ("A", "B"))
    assert tells_likeliest(_choosing({"A": -1.0}))


@st.composite
def _distributions(draw: st.DrawFn) -> dict[str, float]:
    """Draw probabilities of the letters A to J, of which some are all but 0."""
    letters = "ABCDEFGHIJ"[: draw(st.integers(2, 10))]
    logits = [draw(st.floats(-30.0, 30.0)) for _ in letters]
    peak = max(logits)
    total = math.fsum(math.exp(value - peak) for value in logits)
    return {letter: math.exp(value - peak) / total for letter, value in zip(letters, logits, strict=True)}


def _told(probabilities: dict[str, float], n_top: int, n_digits: int) -> dict[str, float]:
    logprobs = {token: math.log(value) for token, value in probabilities.items() if value > 0}
    likeliest = sorted(logprobs.items(), key=lambda pair: -pair[1])[:n_top]
    return {token: round(value, n_digits) for token, value in likeliest}


@given(_distributions(), st.integers(1, 10), st.sampled_from([3, 4, 7, 15]))
def test_an_unseen_option_gets_no_less_than_it_can_have(
    probabilities: dict[str, float], n_top: int, n_digits: int
) -> None:
    """The bound is never below the truth, also where the server rounds; what is seen is told as it is."""
    top = _told(probabilities, n_top, n_digits)
    options = tuple(probabilities)
    found = read_choice(_choosing(top), options)
    for option, logprob in zip(options, found.logprobs, strict=True):
        assert logprob <= 0.0
        if option in top:
            assert logprob == pytest.approx(min(top[option], 0.0))
        else:
            assert math.exp(logprob) >= probabilities[option] * (1 - 1e-3)
            assert logprob <= min(top.values())
    assert 0.0 <= found.mass <= 1.0


@given(_distributions(), st.integers(1, 10), st.data())
def test_an_unseen_letter_in_any_spelling_gets_no_less_than_it_can_have(
    probabilities: dict[str, float], n_top: int, data: st.DataObject
) -> None:
    """Where letters were asked for in words, an option may be spread over spellings of which none is seen."""
    spread: dict[str, float] = {}
    for letter, value in probabilities.items():
        spellings = data.draw(st.lists(st.sampled_from(["{}", " {}", "({}", "{})", "**{}"]), min_size=1, unique=True))
        spread |= {spelling.replace("{}", letter): value / len(spellings) for spelling in spellings}
    top = _told(spread, n_top, 7)
    options = tuple(probabilities)
    found = read_choice(_choosing(top), options, anywhere=True)
    seen = {option for option in options if any(option in token for token in top)}
    for option, logprob in zip(options, found.logprobs, strict=True):
        if option not in seen:
            assert math.exp(logprob) >= probabilities[option] * (1 - 1e-6)


def _containers(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(
        ["message", "content", "text", "finish_reason", "logprobs", "top_logprobs", "token", "stop"]
    )
    return st.lists(values, max_size=3) | st.dictionaries(names, values, max_size=4)


_LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(["stop", "A"]) | st.text(max_size=3)


@given(st.recursive(_LEAVES, _containers, max_leaves=20))
def test_any_json_is_read_or_refused(value: object) -> None:
    """Whatever a server sends where a choice should be, it is an answer or refused: nothing else is raised."""
    answer = {"choices": [value], "usage": USAGE}
    for read in (read_completion, lambda one: read_choice(one, ("A", "B"))):
        try:
            found = read(read_answer(json.dumps(answer), ABLE))
        except (MalformedAnswerError, EngineError):
            continue
        assert isinstance(found, Completion | Choice)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 12}}, 12),
        ({"prompt_tokens_details": {"cached_tokens": 21}}, 20),
        ({"prompt_tokens_details": {"cached_tokens": 10**400}}, 0),
        ({"prompt_tokens_details": {"cached_tokens": -1}}, 0),
        ({"prompt_tokens_details": {"cached_tokens": "12"}}, 0),
        ({"prompt_tokens_details": {"cached_tokens": True}}, 0),
        ({"prompt_tokens_details": {}}, 0),
        ({"prompt_tokens_details": None}, 0),
        ({}, 0),
    ],
)
def test_tokens_from_memory_are_counted_where_they_are_told(usage: dict[str, Any], expected: int) -> None:
    """Of what the server kept it tells where it likes, and it can have kept no more than it read."""
    told = {"prompt_tokens": 20, "completion_tokens": 3, **usage}
    assert read_took({"usage": told}) == Took(20, 3, expected)


@pytest.mark.parametrize("answer", [{}, {"usage": None}, {"usage": {"completion_tokens": 3}}])
def test_what_is_not_told_is_not_known(answer: dict[str, Any]) -> None:
    """None is not 0: somebody may be paid for it."""
    assert read_took(answer) is None


@pytest.mark.parametrize(
    ("listed", "owner"),
    [
        ([{"id": "stub", "owned_by": "llamacpp"}], "llamacpp"),
        ([{"id": "other", "owned_by": "openai"}, {"id": "stub", "owned_by": "vllm"}], "vllm"),
        ([{"id": "other", "owned_by": "openai"}], "openai"),
        ([{"id": "stub"}], ""),
        (["stub"], ""),
        ([], ""),
    ],
)
def test_a_list_of_models_says_whose_they_are(listed: object, owner: str) -> None:
    """The model's own entry counts, else the first."""
    assert read_owner(json.dumps({"data": listed}), "stub") == owner


@pytest.mark.parametrize("text", ["", "<html>", "[]", "{}", '{"data": {}}'])
def test_what_is_no_list_of_models_is_refused(text: str) -> None:
    """So that it is asked for again."""
    with pytest.raises(MalformedAnswerError):
        read_owner(text, "stub")


@pytest.mark.parametrize("anywhere", [False, True])
def test_a_verdict_in_which_no_letter_was_seen_is_none(*, anywhere: bool) -> None:
    """Nothing is known of it: it has no mass, so that it can be told from a tie."""
    words = {"The": 0.2, "I": 0.1, "Both": 0.1, "It": 0.05, "Response": 0.05}
    top = [{"token": token, "logprob": math.log(p)} for token, p in words.items()]
    answer = {"choices": [{"logprobs": {"content": [{"top_logprobs": top}]}}], "usage": {"prompt_tokens": 3}}
    choice = read_choice(answer, ("A", "B"), anywhere=anywhere)
    assert choice.mass == 0.0
    top.append({"token": "A", "logprob": math.log(0.3)})
    choice = read_choice(answer, ("A", "B"), anywhere=anywhere)
    assert choice.mass == pytest.approx(0.3 if anywhere else 0.35, abs=2e-3), "the least of those told is 0.05"
    assert choice.logprobs[0] > choice.logprobs[1]
