from __future__ import annotations

import email.utils
import time
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.engines.http import failures
from charter.engines.http.failures import MalformedAnswerError, Passing, judge_failure, pause
from charter.errors import CharterError, EngineError, ModelError

URL = "https://host.example/v1"
KEY = "sk-planted-0123456789"


def _status(status: int, body: Any = None, headers: dict[str, str] | None = None) -> openai.APIStatusError:
    request = httpx2.Request("POST", f"{URL}/chat/completions", headers={"Authorization": f"Bearer {KEY}"})
    response = httpx2.Response(status, headers=headers, request=request)
    return openai.APIStatusError("Error", response=response, body=body)


def _judge(error: Exception) -> Passing | CharterError:
    return judge_failure(error, url=URL, key_name="SOME_KEY", secrets=(KEY,))


def _passing(error: Exception) -> Passing:
    judged = _judge(error)
    assert isinstance(judged, Passing)
    return judged


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 520, 524, 529, 599])
def test_what_passes_is_tried_again(status: int) -> None:
    """Servers that are busy, broken for the moment or behind a bad gateway may answer a moment later."""
    judged = _passing(_status(status, {"error": {"message": "not now"}}))
    assert judged.reason == f"status {status}: not now"
    assert judged.pushes_back is (status in {429, 503, 529})
    assert judged.wait is None


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_the_requests_own_fault_fails_its_row(status: int) -> None:
    """A prompt too long, or a word that the server does not take: the next row may be fine."""
    judged = _judge(_status(status, {"error": {"message": "too long"}}))
    assert type(judged) is EngineError
    assert f"refuses the request (status {status}): too long" in str(judged)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "set SOME_KEY (in the environment or in .env)"),
        (402, "wants to be paid"),
        (403, "ask the server's owner for access to the model, or take another key (SOME_KEY)"),
        (404, "check the model's name and the server's address, which mostly ends in /v1"),
        (405, "does not do what was asked"),
        (307, "sends calls elsewhere"),
        (501, "does not do what was asked"),
    ],
)
def test_what_every_row_would_meet_stops_the_run(status: int, advice: str) -> None:
    """A wrong key, model or address is the user's to put right, at once: the message says how."""
    judged = _judge(_status(status, {"error": {"message": "no"}}))
    assert isinstance(judged, ModelError)
    assert advice in str(judged)
    assert URL in str(judged)
    assert f"(status {status}: no)" in str(judged)


@pytest.mark.parametrize(
    "error",
    [
        {"message": "You exceeded your current quota.", "type": "insufficient_quota", "code": "insufficient_quota"},
        {"message": "x" * 2000, "type": "insufficient_quota", "code": None},
        {"message": "Hard limit.", "code": "billing_hard_limit_reached"},
    ],
)
def test_a_spent_quota_is_no_rate_limit(error: dict[str, str | None]) -> None:
    """OpenAI says 429 to who has no money left: no waiting mends that, however long the message."""
    judged = _judge(_status(429, {"error": error}))
    assert isinstance(judged, ModelError)
    assert "no money left" in str(judged)


def test_a_rate_limit_that_speaks_of_billing_passes() -> None:
    """A common rate limit's message points at the page for paying; waiting mends it all the same."""
    said = "Rate limit reached. Limit: 3 / min. Add a payment method at https://platform.openai.com/account/billing."
    judged = _passing(_status(429, {"error": {"message": said, "code": "rate_limit_exceeded"}}))
    assert judged.pushes_back


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.25"}, 0.25),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After-Ms": "1500"}, 1.5),
        ({"Retry-After-Ms": "1500", "Retry-After": "7"}, 1.5),
        ({"Retry-After-Ms": "soon", "Retry-After": "7"}, 7.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 -0000"}, 0.0),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "tomorrow"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_that_a_server_asks_for_is_read(status: int, headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, thousandths, or a date, which may have passed; whatever else it says is nothing."""
    assert _passing(_status(status, None, headers)).wait == seconds


def test_a_date_to_come_is_so_many_seconds_away() -> None:
    """A date is read by this machine's clock."""
    date = email.utils.formatdate(time.time() + 90, usegmt=True)
    wait = _passing(_status(429, None, {"Retry-After": date})).wait
    assert wait == pytest.approx(90, abs=30)


@pytest.mark.parametrize(
    "error",
    [
        openai.APITimeoutError(request=httpx2.Request("POST", URL)),
        TimeoutError(),
    ],
)
def test_a_call_that_lies_too_long_asks_for_fewer(error: Exception) -> None:
    """No answer in time is what a server with too many calls gives."""
    assert _passing(error) == Passing("no answer in time", "no answer in time", pushes_back=True)


def test_a_lost_connection_names_its_cause() -> None:
    """The address and the innermost cause are said, and no fewer calls are asked for."""
    error = openai.APIConnectionError(request=httpx2.Request("POST", URL))
    error.__cause__ = httpx2.ConnectError(f"All connection attempts failed {KEY}")
    judged = _passing(error)
    assert judged.reason == f"no connection: All connection attempts failed *** ({URL}; is the server running?)"
    assert not judged.pushes_back


def test_an_answer_that_is_none_is_tried_again() -> None:
    """Half an answer now may be a whole one next time."""
    assert _passing(MalformedAnswerError("the answer is no JSON: <html>")) == Passing(
        "the answer is no JSON: <html>", "unreadable answer"
    )


def test_what_is_no_failure_of_a_call_is_raised() -> None:
    """A bug is never counted as the server's."""
    with pytest.raises(ZeroDivisionError):
        _judge(ZeroDivisionError("ours"))


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": f"Incorrect API key provided: {KEY}.", "code": f"{KEY}"}},
        {"error": f"bad key {KEY}"},
        {"detail": f"bad key {KEY}"},
        {"unknown": {"form": [f"bad key {KEY}"]}},
        f"<html>{'x' * 290}{KEY}</html>",
        f"<html>{'y' * (300 - len(KEY) // 2)}{KEY}</html>",
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_a_key_that_the_server_repeats_is_blotted_out(status: int, body: Any) -> None:
    """Whatever a server throws back at us, no message holds the key, nor a piece of it at the cut."""
    judged = _judge(_status(status, body))
    told = judged.reason if isinstance(judged, Passing) else str(judged)
    assert KEY not in told
    assert KEY[:6] not in told


def test_a_long_page_is_cut_to_a_line() -> None:
    """Of a page of HTML a line is told."""
    reason = _passing(_status(500, "<html>\n\n" + "words and words\n" * 1000)).reason
    assert len(reason) < 350
    assert "\n" not in reason
    assert reason.endswith("...")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "m", "type": "t", "code": "c"}}, "m (c, t)"),
        ({"error": {"message": "m", "code": 7}}, "m"),
        ({"message": "m"}, "m"),
        ({"error": "m"}, "m"),
        ({"detail": "m"}, "m"),
        ({"error": {}}, "{'error': {}}"),
        ({}, "{}"),
        ("plain", "plain"),
        (None, "Error"),
    ],
)
def test_what_a_server_says_is_found(body: Any, said: str) -> None:
    """Servers wrap their words differently; none of the wrappings hides them."""
    assert _passing(_status(500, body)).reason == f"status 500: {said}"


@given(n_tried=st.integers(1, 8), is_answering=st.booleans())
def test_the_pause_is_drawn_from_none_to_twice_as_much(n_tried: int, is_answering: bool) -> None:
    """Full jitter: each try doubles the most, up to 20 seconds, or 2 while the server answers others."""
    most = min(2.0 if is_answering else 20.0, 0.5 * 2**n_tried)
    drawn = [pause(n_tried, Passing("x"), is_answering=is_answering) for _ in range(200)]
    assert all(0.0 <= seconds <= most for seconds in drawn)
    assert min(drawn) < 0.2 * most
    assert max(drawn) > 0.8 * most


@given(n_tried=st.integers(1, 8), asked=st.floats(0.0, 600.0), is_answering=st.booleans())
def test_the_pause_is_no_shorter_than_the_server_asks_for(n_tried: int, asked: float, is_answering: bool) -> None:
    """What is asked for is kept to, and little is added; who asks for nothing is not stormed."""
    most = min(2.0 if is_answering else 20.0, 0.5 * 2**n_tried)
    drawn = [pause(n_tried, Passing("x", wait=asked), is_answering=is_answering) for _ in range(20)]
    assert all(asked <= seconds <= max(most, asked + 0.1) for seconds in drawn)
    assert len(set(drawn)) > 1


def test_eight_tries_outlast_a_restart() -> None:
    """Where nothing answers, a call's tries spread over half a minute on average."""
    waits = [sum(pause(n_tried, Passing("x")) for n_tried in range(1, 8)) for _ in range(400)]
    assert 25 < sum(waits) / len(waits) < 40
    assert failures._MOST_SECONDS == 20.0
