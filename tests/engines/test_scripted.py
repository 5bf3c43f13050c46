import asyncio
import math
import re
import statistics

import pytest

from charter.engines.base import ChoiceRequest, CompletionRequest, Sampling
from charter.engines.scripted import ScriptedEngine, draw_prose
from charter.errors import EngineError
from engines.contract import EngineContract, MakeEngine, ask, choose, draw, mixed_requests

PINNED = (
    "Over the years, a good teacher compares forgotten seeds on the way to the practical river. On a"
    " quiet day, a patient gardener organises modest questions near the practical theatre. To begin "
    "with, the local library measures unusual letters behind the modest orchard. At first, the older"
    " bridge questions handsome maps near the unusual theatre."
)


class TestScriptedContract(EngineContract):
    """The scripted engine keeps the contract, with no tolerance at all."""

    tolerance = 1e-9

    @pytest.fixture
    def make_engine(self) -> MakeEngine:
        """Make scripted engines that take a moment, so that calls overlap."""
        return lambda: ScriptedEngine(latency_s=0.001)


def test_text_is_the_same_in_every_process() -> None:
    """A text is pinned here: no run, process or hash seed changes it."""
    engine = ScriptedEngine()
    request = CompletionRequest(text="Hello", sampling=Sampling(seed=3))
    assert ask(engine, [request])[0].text == PINNED


def test_reply_writes_the_text() -> None:
    """A reply function sees the request and its text is used, cut by the request's own limits."""
    engine = ScriptedEngine(lambda request: f"{request.text} one two. END three", script="echo")
    sampling = Sampling(max_tokens=4, stop=("END",))
    answer = ask(engine, [CompletionRequest(text="zero", sampling=sampling)])[0]
    assert (answer.text, answer.finish, answer.n_completion_tokens) == ("zero one two. ", "stop", 3)
    assert "echo" in engine.identity


def test_reply_may_play_a_failing_model() -> None:
    """An EngineError from the script reaches the caller, and the call is counted."""

    def fail(request: CompletionRequest) -> str:
        raise EngineError(f"no answer to {request.text}")

    engine = ScriptedEngine(fail)
    with pytest.raises(EngineError, match="no answer to Hello"):
        ask(engine, [CompletionRequest(text="Hello")])
    assert engine.n_calls["complete"] == 1
    assert "fail" in engine.identity


def test_longer_limit_extends_the_same_text() -> None:
    """``max_tokens`` cuts a text and does not choose another."""
    engine = ScriptedEngine()
    short, long = ask(engine, [draw(engine, seed=1, max_tokens=n) for n in (4, 400)])
    assert long.text.startswith(short.text)
    assert (short.finish, long.finish) == ("length", "stop")


def test_option_mass_is_as_configured() -> None:
    """The options' mass is the one set; their logits spread as set."""
    engine = ScriptedEngine(option_mass=0.4, option_spread=2.0)
    choices = ask(engine, [choose(engine, f"Question {number}") for number in range(400)])
    assert all(choice.mass == pytest.approx(0.4) for choice in choices)
    margins = [choice.logprobs[0] - choice.logprobs[1] for choice in choices]
    # The difference of two normal logits has sqrt(2) times their spread; 400 draws estimate it to about 4 %.
    assert statistics.stdev(margins) == pytest.approx(2.0 * math.sqrt(2.0), rel=0.15)
    assert abs(statistics.mean(margins)) < 0.5


def test_preference_sets_the_probabilities() -> None:
    """A preference function is taken at its word."""
    engine = ScriptedEngine(preference=lambda _: (0.7, 0.1))
    choice = ask(engine, [ChoiceRequest(text="Which?")])[0]
    assert [math.exp(value) for value in choice.logprobs] == pytest.approx([0.7, 0.1])
    assert choice.mass == pytest.approx(0.8)


@pytest.mark.parametrize("probabilities", [(0.5,), (0.0, 0.5), (0.7, 0.7), (0.1, 0.1, 0.1)])
def test_impossible_preference_is_refused(probabilities: tuple[float, ...]) -> None:
    """Probabilities that are not the options' own raise, and name what they are."""
    engine = ScriptedEngine(preference=lambda _: probabilities)
    with pytest.raises(ValueError, match="positive probabilities"):
        ask(engine, [ChoiceRequest(text="Which?")])


@pytest.mark.parametrize("mass", [0.0, -0.1, 1.01, math.nan])
def test_impossible_mass_is_refused(mass: float) -> None:
    """A mass outside (0, 1] is refused where it is given."""
    with pytest.raises(ValueError, match="option_mass"):
        ScriptedEngine(option_mass=mass)


def test_calls_are_counted_and_overlap() -> None:
    """The engine tells how many calls it had, by kind, and how many at once."""
    engine = ScriptedEngine(latency_s=0.005)
    ask(engine, mixed_requests(engine, 9))
    assert engine.n_calls == {"complete": 3, "choose": 3, "score": 3}
    assert engine.max_in_flight == 9


def test_cancelled_call_leaves_the_count_in_flight_right() -> None:
    """A call that is given up is no longer in flight."""
    engine = ScriptedEngine(latency_s=60.0)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.complete(draw(engine, seed=1)), timeout=0.01)

    for _ in range(3):
        asyncio.run(give_up())
    assert engine.max_in_flight == 1


def test_identity_covers_what_answers_depend_on() -> None:
    """Another script or mass is another engine to a cache; another latency is the same."""
    plain = ScriptedEngine().identity
    assert ScriptedEngine(latency_s=1.0).identity == plain
    others = {ScriptedEngine(script="other").identity, ScriptedEngine(option_mass=0.5).identity}
    others |= {ScriptedEngine(option_spread=3.0).identity, ScriptedEngine(str).identity}
    assert len(others | {plain}) == 5


def test_prose_reads_as_sentences() -> None:
    """Drawn texts are two to five capitalised sentences with no two alike among many."""
    texts = [draw_prose(str(number)) for number in range(300)]
    assert len(set(texts)) == len(texts)
    for text in texts:
        sentences = re.findall(r"[A-Z][^.]*\.", text)
        assert 2 <= len(sentences) <= 5
        assert " ".join(sentences) == text
    endings = [" ".join(text.split()[-4:]) for text in texts]
    assert max(endings.count(ending) for ending in endings) <= 6
