from __future__ import annotations

from pathlib import Path

import pytest

from charter.compat import ModelInteractor, load_principles, open_engine
from charter.engines.http import HttpEngine
from charter.engines.scripted import ScriptedEngine
from charter.engines.transformers import TransformersEngine
from charter.errors import CapabilityError, ModelError
from compat.harbour import write_principles
from engines.fault_server import FaultServer, Manners

KEY = "hf_planted0123456789planted0123456789"


def test_a_mock_is_a_scripted_engine() -> None:
    """Nothing is looked for or loaded, whatever the model is called."""
    assert isinstance(open_engine("HuggingFaceH4/zephyr-7b-beta", hf_api_key="x", use_mock=True), ScriptedEngine)


def test_a_name_alone_is_a_local_model(tiny_model: Path) -> None:
    """A folder is loaded here."""
    engine = open_engine(str(tiny_model))
    try:
        assert isinstance(engine, TransformersEngine)
    finally:
        engine.close()


def test_an_endpoint_is_asked_with_the_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address without a path is where the library's endpoint stood; the token comes from its variable."""
    monkeypatch.setenv("HF_API_KEY", KEY)
    with FaultServer(Manners(key=KEY, lists_models=False)) as server:
        engine = open_engine("stub", hf_api_key=KEY, endpoint_url=server.url.removesuffix("/v1"))
        try:
            assert isinstance(engine, HttpEngine)
            assert KEY not in engine.identity + engine.found
        finally:
            engine.close()
        assert server.seen.keys == {KEY}


def test_an_endpoint_needs_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of one's own is asked without one, at the very address that is given."""
    monkeypatch.delenv("CHARTER_SERVER_KEY", raising=False)
    with FaultServer() as server:
        open_engine("stub", endpoint_url=server.url).close()
        assert server.seen.keys == {""}


@pytest.mark.parametrize("key", [KEY, "", "  "])
def test_a_token_that_no_variable_holds_is_refused_unseen(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to do, and not what the token is."""
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(ModelError, match="a token that no environment variable holds") as caught:
        open_engine("stub", hf_api_key=key)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", ["http://[bad", "ftp://x", "http://user:pass@x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Whatever is wrong with it, it is a message, and a password in it is not repeated."""
    with pytest.raises(ModelError, match=r"server") as caught:
        open_engine("stub", endpoint_url=url)
    assert "pass@" not in str(caught.value)


def test_a_server_without_log_probabilities_improves_and_compares_not(tmp_path: Path) -> None:
    """What a hosted model cannot do is said before any row, and a judge of one's own stands in."""
    principles = load_principles(write_principles(tmp_path))
    prompts = [{"id": "1", "prompt": "Why does the tide turn?"}, {"id": "2", "prompt": "When is it high?"}]
    with FaultServer(Manners(n_top=0)) as server, ModelInteractor("stub", endpoint_url=server.url) as interactor:
        assert len(interactor.run_answer_improvement_loop(prompts, principles)) == 2
        with pytest.raises(CapabilityError, match="a judge must tell the log-probabilities of its letters"):
            interactor.run_comparison_loop(prompts, principles)
        found = interactor.run_comparison_loop(prompts, principles, judge=ScriptedEngine())
        assert {one["id"] for one in found} <= {"1", "2"}
        assert found


def test_a_hosted_model_compares_with_log_probabilities(tmp_path: Path) -> None:
    """Both orders are asked after a chain of thought each, of the server itself."""
    principles = load_principles(write_principles(tmp_path))
    with FaultServer() as server, ModelInteractor("stub", endpoint_url=server.url) as interactor:
        one = interactor.run_single_comparison([{"prompt": "Why does the tide turn?"}], principles, 0)
    assert one["chain_of_thought"]
    assert [len(verdict.chains) for verdict in one.row.verdicts] == [1, 1]
