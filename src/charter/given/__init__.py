"""Rows that a user brings, of several layouts: traces and pairs, and how the length of answers gives a choice away."""

from charter.given.lengths import Balanced, LengthConfound, balance_lengths, length_confound
from charter.given.loaded import LoadedPairs, LoadedTraces
from charter.given.pairs import load_pairs
from charter.given.traces import load_traces

__all__ = [
    "Balanced",
    "LengthConfound",
    "LoadedPairs",
    "LoadedTraces",
    "balance_lengths",
    "length_confound",
    "load_pairs",
    "load_traces",
]
