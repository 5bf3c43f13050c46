from pathlib import Path

import pytest

from charter.engines.transformers import TransformersEngine
from engines.contract import EngineContract, MakeEngine

pytestmark = pytest.mark.model


class TestTransformersContract(EngineContract):
    """The shared-prefix path keeps the contract on a tiny Llama."""

    @pytest.fixture
    def make_engine(self, tiny_model: Path) -> MakeEngine:
        """Make engines in float32, where batching changes no text."""
        return lambda: TransformersEngine(tiny_model, dtype="float32", device="cpu")


class TestTransformersWaveContract(EngineContract):
    """The path for other architectures keeps it too, on a tiny model with a sliding window."""

    @pytest.fixture
    def make_engine(self, tiny_sliding_model: Path) -> MakeEngine:
        """Make engines in float32, where batching changes no text."""
        return lambda: TransformersEngine(tiny_sliding_model, dtype="float32", device="cpu")
