"""Generation in this process, with Hugging Face models: the default engine."""

from charter.engines.transformers.engine import TransformersEngine
from charter.engines.transformers.scheduler import PrefixStatistics

__all__ = ["PrefixStatistics", "TransformersEngine"]
