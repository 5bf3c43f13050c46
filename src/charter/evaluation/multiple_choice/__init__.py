"""Multiple choice by log-prob (CAI §2): which option a model finds likeliest, whatever letter it has."""

from charter.evaluation.multiple_choice.accuracy import (
    ChoiceQuality,
    assess,
    baselines,
    contexts_of,
    measure_accuracy,
)
from charter.evaluation.multiple_choice.answering import (
    Asking,
    ChoiceAnswer,
    Layout,
    Mode,
    OptionReading,
    Rewards,
    answer,
    answer_one,
    answer_with_rewards,
    answered,
    orders_of,
    require_able,
    require_readable,
)
from charter.evaluation.multiple_choice.questions import ChoiceRow, load_choices, read_choice
from charter.evaluation.multiple_choice.seen import asked_in, leave_out_seen, seen_texts
from charter.evaluation.multiple_choice.worked_examples import Chosen, choose_questions, draw_examples

__all__ = [
    "Asking",
    "ChoiceAnswer",
    "ChoiceQuality",
    "ChoiceRow",
    "Chosen",
    "Layout",
    "Mode",
    "OptionReading",
    "Rewards",
    "answer",
    "answer_one",
    "answer_with_rewards",
    "answered",
    "asked_in",
    "assess",
    "baselines",
    "choose_questions",
    "contexts_of",
    "draw_examples",
    "leave_out_seen",
    "load_choices",
    "measure_accuracy",
    "orders_of",
    "read_choice",
    "require_able",
    "require_readable",
    "seen_texts",
]
