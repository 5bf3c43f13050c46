"""Rows that a user brings, of several layouts: traces, pairs and texts for SFT; and how length gives a choice away."""

from charter.given.lengths import Balanced, LengthConfound, balance_lengths, length_confound
from charter.given.loaded import LoadedPairs, LoadedSftRows, LoadedTraces
from charter.given.pairs import load_pairs
from charter.given.sft_rows import load_sft_rows
from charter.given.traces import load_traces

__all__ = [
    "Balanced",
    "LengthConfound",
    "LoadedPairs",
    "LoadedSftRows",
    "LoadedTraces",
    "balance_lengths",
    "length_confound",
    "load_pairs",
    "load_sft_rows",
    "load_traces",
]
