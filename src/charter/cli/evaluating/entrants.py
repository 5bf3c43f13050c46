"""Who meets in a head to head: models to ask, and files of answers, as the command line names them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.cli.model_options import IN_PROCESS, model_spec

if TYPE_CHECKING:
    from charter.cli.held_file import Held
    from charter.engines.base import Sampling
    from charter.engines.specs import ModelSpec
    from charter.records import Prompt, Response
    from charter.rows import Mapped

_ANSWERS = {".csv", ".tsv", ".json", ".jsonl", ".parquet"}
_BEFORE_ADDRESS = re.compile(r"@(?=\w+://)")
_IN_NO_NAME = re.compile(r"[/\\@:]")


@dataclass(frozen=True)
class Entrant:
    """One of those who meet.

    Attributes:
        name: in every figure.
        source: the model, or the file of its answers.
        engine: how the model is reached; empty of a file.
        spec: the model; None of a file.
    """

    name: str
    source: str
    engine: str = ""
    spec: ModelSpec | None = None

    @property
    def asked(self) -> ModelSpec:
        """The model of one who is asked."""
        assert self.spec is not None  # noqa: S101 - files of answers are not asked
        return self.spec

    def told(self) -> dict[str, str]:
        """Give who it is as plain values."""
        return {"name": self.name, "source": self.source, "engine": self.engine}

    def identified(self, held: Held) -> list[str]:
        """Give what tells one who is asked from another of the same name."""
        return [self.source, self.engine, *held.weights(self.asked).values()]


def read_entrants(texts: Sequence[str], engine: str) -> list[Entrant]:
    """Read ``[NAME=]M[@ENGINE]`` and ``NAME=answers.csv`` of each.

    Args:
        texts: two at least.
        engine: of models that name none.

    Raises:
        UserError: for fewer than two, and where two have one name.
        ModelError: for an engine that is none.
    """
    from charter.errors import UserError

    if len(texts) < 2:
        raise UserError(f"MODEL is {' '.join(texts)!r} alone; give two or more, which then meet")
    return _distinct(texts, [read_entrant(text, engine) for text in texts])


def read_models(texts: Sequence[str], engine: str) -> list[Entrant]:
    """Read ``[NAME=]M[@ENGINE]`` of each, models all.

    Raises:
        UserError: for a file of answers, and where two have one name.
        ModelError: for an engine that is none.
    """
    from charter.errors import UserError

    found = [read_entrant(text, engine) for text in texts]
    for one in found:
        if one.spec is None:
            raise UserError(f"--model {one.source}: is a file of answers; expected a model, which is asked")
    return _distinct(texts, found)


def hold_to_models(held: Held, asked: Iterable[Entrant]) -> None:
    """Refuse a folder in which another model has one of these names; further models may come to it.

    Raises:
        RunError: naming the model.
    """
    for one in asked:
        held.require_setup({f"model called {one.name}": one.identified(held)}, kept_as=f"setup of {one.name}")


def as_put(prompts: Sequence[Prompt]) -> dict[str, list[Any]]:
    """Give what each prompt says, by its id: a file's own ids do not (see ``Held.require_same_rows``)."""
    return {one.id: [one.kind, *([turn.role, turn.content] for turn in one.turns)] for one in prompts}


def ask(held: Held, one: Entrant, prompts: Sequence[Prompt], *, sampling: Sampling, seed: int) -> Mapped[Response]:
    """Let a model answer prompts, those alone that it has not answered before."""
    from charter.evaluation.responding import respond

    with held.lend(one.asked, known_as=f"engine of {one.name}") as engine:
        return respond(prompts, one.name, engine, sampling=sampling, seed=seed, mapper=held.mapper)


def read_answer_files(texts: Sequence[str]) -> list[Entrant]:
    """Read ``[NAME=]FILE`` of each, files of answers all.

    Raises:
        UserError: for what is no such file, and where two have one name.
    """
    from charter.errors import UserError

    found = [read_entrant(text, IN_PROCESS) for text in texts]
    for one in found:
        if one.spec is not None:
            raise UserError(
                f"--answers {one.source}: is no file of answers; expected one of {', '.join(sorted(_ANSWERS))}"
            )
        if not Path(one.source).is_file():
            raise UserError(f"--answers {one.source}: no such file")
    return _distinct(texts, found)


def _distinct(texts: Sequence[str], found: list[Entrant]) -> list[Entrant]:
    from charter.errors import UserError

    for place, one in enumerate(found):
        if one.name in {other.name for other in found[:place]}:
            raise UserError(f"two models are called {one.name!r}; name one otherwise, such as other={texts[place]}")
    return found


def read_entrant(text: str, engine: str) -> Entrant:
    """Read one; what is a path here is no name and no engine."""
    from charter.errors import ModelError, UserError

    name, source = _split_name(text)
    if not source:
        raise UserError(f"MODEL is {text!r}; expected a model or a file behind the name")
    suffixes = [suffix.lower() for suffix in Path(source).suffixes if suffix.lower() != ".gz"]
    if suffixes and suffixes[-1] in _ANSWERS and not Path(source).is_dir():
        return Entrant(name or source, source)
    model, given = _split_engine(source)
    try:
        spec = model_spec(model, given or engine)
    except ModelError as error:
        raise ModelError(f"MODEL {text!r}: {error}") from error
    return Entrant(name or model, model, given or engine, spec)


def _split_name(text: str) -> tuple[str, str]:
    name, is_there, rest = text.partition("=")
    if not is_there or not name or _IN_NO_NAME.search(name) or Path(text).exists():
        return "", text
    return name, rest


def _split_engine(source: str) -> tuple[str, str]:
    """Split off the engine: what stands behind an @ before an address, else behind the last @."""
    if Path(source).exists():
        return source, ""
    if at := _BEFORE_ADDRESS.search(source):
        return source[: at.start()], source[at.end() :]
    model, is_there, engine = source.rpartition("@")
    return (model, engine) if is_there else (source, "")
