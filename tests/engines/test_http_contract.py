from __future__ import annotations

from pathlib import Path

import pytest

from charter.engines.http import HttpEngine
from engines.contract import EngineContract, MakeEngine
from engines.servers import LlamaServer

pytestmark = pytest.mark.model


class TestHttpContract(EngineContract):
    """The engine for servers keeps the contract on llama.cpp with a tiny model in 32 bits."""

    @pytest.fixture
    def make_engine(self, tiny_server: LlamaServer) -> MakeEngine:
        """Make engines that ask one server, where batching changes no text."""
        return lambda: HttpEngine("tiny", tiny_server.url)


class TestHttpSeveralContract(EngineContract):
    """Two servers of one model keep it together."""

    @pytest.fixture
    def make_engine(self, tiny_server: LlamaServer, other_tiny_server: LlamaServer) -> MakeEngine:
        """Make engines that share their calls out between two servers."""
        return lambda: HttpEngine("tiny", [tiny_server.url, other_tiny_server.url])


@pytest.mark.slow
class TestHttpEmbeddedContract(EngineContract):
    """The embedded model, quantised as it comes, keeps it too: on this build of llama.cpp batching changes no bit."""

    @pytest.fixture
    def make_engine(self, smollm2_server: LlamaServer) -> MakeEngine:
        """Make engines that ask one server."""
        return lambda: HttpEngine("smollm2-135m", smollm2_server.url)


def test_the_tiny_model_is_served_as_itself(tiny_server: LlamaServer, tiny_gguf: Path) -> None:
    """The server names the file that it was given, and is known for what it is."""
    engine = HttpEngine("tiny", tiny_server.url)
    engine.close()
    assert engine.met.able.served == {"tiny", tiny_gguf.stem}
    assert engine._server.name == "llama-server"
