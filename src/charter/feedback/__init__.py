"""AI feedback: pairs, questions, the judge and soft labels (CAI §4)."""

from charter.feedback.labels import judge_pair, label
from charter.feedback.pairs import pair_one, pairs

__all__ = ["judge_pair", "label", "pair_one", "pairs"]
