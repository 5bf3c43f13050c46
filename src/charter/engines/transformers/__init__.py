"""Generation in this process, with Hugging Face models: the default engine."""

from charter.engines.transformers.engine import TransformersEngine

__all__ = ["TransformersEngine"]
