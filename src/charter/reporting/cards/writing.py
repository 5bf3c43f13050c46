"""Which cards a run has, and the one place that writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from charter.errors import RunError, UserError
from charter.files.tables import write_text
from charter.recipe.stages import TRAINING_STAGES, parted
from charter.reporting.cards.collection_card import datasets_of
from charter.reporting.cards.dataset_card import DATASETS, Dataset, dataset_card, prompt_of, rows_of
from charter.reporting.cards.facts import Facts, gather_facts, is_of_this_machine
from charter.reporting.cards.model_card import model_card
from charter.reporting.reading import read_run
from charter.spelling import hint

_CARD = "README.md"
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")


@dataclass(frozen=True)
class Card:
    """A card that was written: of a model or a dataset of the run, by its name there, and where it lies."""

    kind: Literal["model", "dataset"]
    name: str
    path: str


@dataclass(frozen=True)
class Cards:
    """The cards that were written into the folder ``out``, and what to see to before they are published."""

    out: str
    cards: tuple[Card, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return asdict(self)


def write_cards(
    run: Path,
    out: Path | None = None,
    *,
    model: str | None = None,
    datasets: bool = False,
    licence: str | None = None,
) -> Cards:
    """Write the cards of a run's models and datasets: of all, where neither is asked for.

    Args:
        run: a run folder.
        out: the folder to write into; None writes into ``cards`` in the run's.
        model: a stage that trained: only its card is written, and those of datasets where they are asked for.
        datasets: write those of the datasets, and no model's that is not asked for.
        licence: as the hub names it; None leaves the choice to whoever publishes.

    Raises:
        RunError: where the folder is no run's, or has nothing that a card can tell of.
        UserError: for a model that the run did not train, a licence that is no name, and a file that is there and is
            another one: it may hold somebody's own words.
    """
    check_licence(licence)
    facts = gather_facts(read_run(run))
    is_all = model is None and not datasets
    stages = trained_stages(facts) if is_all else (find_trained(facts, model),) if model is not None else ()
    texts: dict[Card, str] = {}
    folder = run / "cards" if out is None else out
    for stage in stages:
        card = Card("model", stage, str(folder / "models" / stage / _CARD))
        texts[card] = model_card(facts, stage, licence=licence)
    for what in datasets_of(facts) if datasets or is_all else ():
        card = Card("dataset", what, str(folder / "datasets" / what / _CARD))
        texts[card] = dataset_card(facts, what, licence=licence)
    if not texts:
        raise RunError(f"{run}: has neither a trained model nor a table yet; do its stages first: charter run")
    _write(texts)
    named = [what for what in DATASETS if any(card.name == what for card in texts if card.kind == "dataset")]
    return Cards(str(folder), tuple(texts), tuple(notes_on(facts, named, licence)))


def check_licence(licence: str | None) -> None:
    """Check that a licence is named as the hub names licences.

    Raises:
        UserError: where it is not.
    """
    if licence is not None and not _LICENCE.fullmatch(licence):
        raise UserError(f"--licence {licence!r}: expected a name of the hub's, such as apache-2.0, mit or cc-by-4.0")


def trained_stages(facts: Facts) -> tuple[str, ...]:
    """Name the stages of a run that trained, in order."""
    return tuple(name for name in facts.data.stages if parted(name).stage in TRAINING_STAGES)


def find_trained(facts: Facts, model: str) -> str:
    """Give the stage that trained a model which somebody names.

    Raises:
        UserError: where none did.
    """
    trained = trained_stages(facts)
    name = model.replace("preference-model", "preference_model")
    if name not in trained:
        told = ", ".join(trained) or "none yet"
        raise UserError(f"--model {model}: the run trained no such model; it trained {told}{hint(name, trained)}")
    return name


def _write(texts: dict[Card, str]) -> None:
    for card, text in texts.items():
        _check_free(Path(card.path), text)
    for card, text in texts.items():
        write_text(Path(card.path), text)


def _check_free(path: Path, text: str) -> None:
    try:
        found = path.read_bytes() if path.exists() else None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); name another folder with --out"
        ) from error
    if found is not None and found != text.encode("utf-8"):
        raise UserError(f"{path}: is there, and is another card; remove it, or name another folder with --out")


def notes_on(facts: Facts, datasets: Sequence[Dataset], licence: str | None) -> Iterator[str]:
    """Say what to see to before cards, and what they are of, are published."""
    if licence is None:
        yield "no licence is named: write 'license' into each card, or give --licence"
    for part, why in facts.data.unreadable.items():
        yield f"left out of the cards: {part} could not be read: {why}"
    for what in datasets:
        n = sum(is_of_this_machine(prompt_of(row).source) for row in rows_of(facts, what))
        if n:
            yield f"{what}: prompt_source names files of this machine in {n} rows; change it before you publish them"
