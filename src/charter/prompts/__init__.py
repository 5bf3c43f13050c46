"""Prompts: the built-in set, readers for the user's own, and splits."""

from charter.prompts.sources import LoadedPrompts, load_prompts
from charter.prompts.split import split_prompts

__all__ = ["LoadedPrompts", "load_prompts", "split_prompts"]
