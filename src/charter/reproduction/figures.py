"""The figures of the paper that can be made again, in its order, and the ablations that it tells of."""

from __future__ import annotations

from collections.abc import Sequence

from charter.errors import UserError
from charter.reproduction.figure import Figure, Trial
from charter.reproduction.labels import clamped, soft_or_hard
from charter.reproduction.meetings import MAIN, harm_over_training, ratings_by_stage, ratings_over_training
from charter.reproduction.questions import accuracy_by_chains, accuracy_by_model, calibration, harm_told
from charter.reproduction.revisions import (
    BY_PRINCIPLES,
    CRITICISED,
    DIRECT,
    critique_or_not,
    scores_by_principles,
    scores_over_revisions,
)
from charter.spelling import hint

ALL = "all"
_ALSO = {"8": "3"}  # Figure 8 of the paper goes on with what Figure 3 shows
_CHOICES = {"choices": "questions of which reply is better, as `charter evaluate multiple-choice` reads them"}

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
            _CHOICES,
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
            _CHOICES,
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
            {
                "identification": "questions of whether a reply is harmful",
                "kinds": "questions of which kind of harm a reply does",
            },
        ),
        Figure(
            "soft-labels",
            "Soft labels and hard ones",
            "Preference models learn far more from the judge's probabilities than from its choices.",
            soft_or_hard,
            (MAIN,),
            _CHOICES,
        ),
        Figure(
            "clamp",
            "Probabilities behind chains of thought, clamped",
            "Chains make probabilities extreme: held to 40 to 60 % they train best, to 20 to 80 % a little less well.",
            clamped,
            (MAIN,),
            _CHOICES,
        ),
        Figure(
            "chains",
            "Accuracy over the number of chains that are averaged",
            "Averaging up to five chains gives small gains.",
            accuracy_by_chains,
            (),
            _CHOICES,
        ),
    )
}


def find_figures(names: Sequence[str]) -> list[Figure]:
    """Find figures by name, in the paper's order, each once; ``all`` names all of them.

    Raises:
        UserError: for a name that is none.
    """
    known = [*FIGURES, *_ALSO, ALL]
    if not names:
        raise UserError(f"name a figure: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise UserError(f"FIGURE is {name!r}; expected {', '.join(known)}{hint(name, known)}")
    wanted = set(FIGURES) if ALL in names else {_ALSO.get(name, name) for name in names}
    return [one for name, one in FIGURES.items() if name in wanted]


def trials_of(figures: Sequence[Figure]) -> list[Trial]:
    """Name the runs that figures read, each once."""
    return list(dict.fromkeys(trial for one in figures for trial in one.trials))


def check_data(figures: Sequence[Figure], data: Sequence[str]) -> None:
    """Refuse a file of a name that none of the figures reads.

    Raises:
        UserError: naming those that some read.
    """
    wanted = {name: told for one in figures for name, told in (one.wants or {}).items()}
    for name in data:
        if name not in wanted:
            there = "; ".join(f"{one} ({told})" for one, told in wanted.items()) or "none"
            raise UserError(f"--data {name}: is read by none of these figures; there are: {there}{hint(name, wanted)}")
