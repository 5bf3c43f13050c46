"""Critique and revision: the supervised half of the method (CAI §3)."""

from charter.revision.chain import Chain, ChainStart, revise, revise_one

__all__ = ["Chain", "ChainStart", "revise", "revise_one"]
