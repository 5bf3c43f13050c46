"""The figures of the paper that can be made again, in its order, and the ablations that it tells of."""

from __future__ import annotations

from collections.abc import Sequence

from charter.reproduction.figure import Figure, Trial
from charter.reproduction.labels import clamped, soft_or_hard
from charter.reproduction.meetings import MAIN, harm_over_training, ratings_by_stage, ratings_over_training
from charter.reproduction.names import find_names
from charter.reproduction.questions import accuracy_by_chains, accuracy_by_model, calibration, harm_told
from charter.reproduction.revisions import (
    BY_PRINCIPLES,
    CRITICISED,
    DIRECT,
    critique_or_not,
    scores_by_principles,
    scores_over_revisions,
)

FIGURES: dict[str, Figure] = {
    one.name: one
    for one in (
        Figure(
            "2",
            "Harmlessness and helpfulness by stage",
            "Each stage of the method is more harmless than the one before, at a small cost in helpfulness.",
            ratings_by_stage,
            (MAIN,),
        ),
        Figure(
            "3",
            "Harmlessness and helpfulness over training (Figures 3 and 8)",
            "Harmlessness rises steadily over training; helpfulness gives way towards its end.",
            ratings_over_training,
            (MAIN,),
        ),
        Figure(
            "4",
            "Which of two replies is better, by model",
            "Models find the better reply more often the larger they are; chains of thought help, several more than "
            "one, and come near a preference model.",
            accuracy_by_model,
            (MAIN,),
        ),
        Figure(
            "5",
            "Scores over the revisions",
            "Harmlessness rises with every revision, most with the first, and helpfulness falls.",
            scores_over_revisions,
            (CRITICISED,),
        ),
        Figure(
            "6",
            "Scores over the number of principles",
            "How many principles revisions are drawn from does not change how harmless they are.",
            scores_by_principles,
            tuple(BY_PRINCIPLES.values()),
        ),
        Figure(
            "7",
            "Revisions behind critiques, and at once",
            "Small models revise better behind a critique; for large ones it hardly matters.",
            critique_or_not,
            (CRITICISED, DIRECT),
        ),
        Figure(
            "9",
            "How well the judge's probabilities are calibrated",
            "The judge's probabilities are close to how often it is right.",
            calibration,
            (),
        ),
        Figure(
            "10",
            "How harmful answers are over training",
            "Training on the method's feedback makes answers to red-team prompts steadily less harmful.",
            harm_over_training,
            (MAIN,),
        ),
        Figure(
            "12",
            "Whether a reply is harmful, and how",
            "Large models tell harmful replies from harmless ones, and which of nine kinds a harm is, far better than "
            "by chance, and better the larger they are.",
            harm_told,
            (),
        ),
        Figure(
            "soft-labels",
            "Soft labels and hard ones",
            "Preference models learn far more from the judge's probabilities than from its choices.",
            soft_or_hard,
            (MAIN,),
        ),
        Figure(
            "clamp",
            "Probabilities behind chains of thought, clamped",
            "Chains make probabilities extreme: held to 40 to 60 % they train best, to 20 to 80 % a little less well.",
            clamped,
            (MAIN,),
        ),
        Figure(
            "chains",
            "Accuracy over the number of chains that are averaged",
            "Averaging up to five chains gives small gains.",
            accuracy_by_chains,
            (),
        ),
    )
}


def find_figures(names: Sequence[str]) -> list[Figure]:
    """Find figures by name, in the paper's order, each once (see ``find_names``).

    Raises:
        UserError: for a name that is none.
    """
    return [FIGURES[name] for name in find_names(names)]


def trials_of(figures: Sequence[Figure]) -> list[Trial]:
    """Name the runs that figures read, each once."""
    return list(dict.fromkeys(trial for one in figures for trial in one.trials))
