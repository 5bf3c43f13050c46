"""AI feedback: pairs, questions, the judge and soft labels (CAI §4)."""

from charter.feedback.labels import label, label_one
from charter.feedback.pairs import pair_one, pairs

__all__ = ["label", "label_one", "pair_one", "pairs"]
