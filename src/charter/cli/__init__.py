"""The command ``charter``: one file a verb, no logic; ``console`` holds the only printing."""

from charter.cli.entry import app, main

__all__ = ["app", "main"]
