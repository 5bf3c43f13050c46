"""Attacks under way: what was settled, who translates, who answers, and who reads the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.cli.evaluating.entrants import as_put, hold_to_models

if TYPE_CHECKING:
    from charter.cli.evaluating.entrants import Entrant
    from charter.cli.held_file import Held
    from charter.engines.base import Engine
    from charter.evaluation.attacks import Attacked, Attempt, ChosenWrappers, Targets, Wrapper
    from charter.evaluation.refusals import KindReading
    from charter.rows import Mapped

FIGURES = "attacks.json"
_ANSWERS, _READINGS = "answers.parquet", "readings.jsonl"
FILES = (FIGURES, _ANSWERS, _READINGS)

#: Counts by reason, by what they are of.
Counts = dict[str, Mapping[str, int]]


@dataclass(frozen=True)
class Assault:
    """Everything that was settled before a model is asked; ``sources`` are the files of prompts, as they were named."""

    sources: Sequence[str]
    entrants: Sequence[Entrant]
    targets: Targets
    chosen: ChosenWrappers
    judge: Entrant | None
    translator: Entrant | None
    translations: str | None
    temperature: float
    max_tokens: int
    seed: int


@dataclass(frozen=True)
class Translated:
    """The wrappers of other languages, and by wrapper why prompts have no translation."""

    wrappers: tuple[Wrapper, ...] = ()
    left_out: Counts = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """Every answer; by wrapper and model rows that failed, and the wrappers that a model could not be asked in."""

    harmful: tuple[Attacked, ...]
    benign: tuple[Attacked, ...]
    failed: Counts
    not_asked: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Read:
    """What a judge made of the answers; nothing where there is none."""

    readings: tuple[KindReading, ...] = ()
    failed: Mapping[str, int] = field(default_factory=dict)


def hold_to(held: Held, assault: Assault) -> None:
    """Refuse a folder that was begun otherwise; further prompts, wrappers, models and a judge may come to it."""
    from charter.evaluation.refusals import DESCRIPTIONS
    from charter.seeds import digest

    held.require_setup(
        {"--temperature": assault.temperature, "--max-tokens": assault.max_tokens, "--seed": assault.seed}
    )
    if assault.chosen.languages:
        held.require_same_rows(as_put(assault.targets.harmful), what="prompts to translate")
    hold_to_models(held, assault.entrants)
    for role, other, asking in (
        ("judge", assault.judge, digest(dict(DESCRIPTIONS))),
        ("translator", assault.translator, ""),
    ):
        if other is not None:
            setup = {f"--{role}": other.identified(held), f"way of asking the {role}": asking}
            held.require_setup(setup, kept_as=f"setup of the {role}")


def translate(held: Held, assault: Assault) -> Translated:
    """Take the translations that are given, and have the others made where somebody makes them."""
    from charter.evaluation.attacks import load_translations, translated
    from charter.evaluation.attacks import translate as translate_prompts

    wrappers: list[Wrapper] = []
    left_out: Counts = {}
    for language in assault.chosen.languages:
        prompts = assault.targets.harmful
        texts = load_translations(assault.translations, prompts, language) if assault.translations else {}
        missing = [one for one in prompts if one.id not in texts]
        reasons = {"no translation in the file": len(missing)} if missing else {}
        if assault.translator is not None and missing:
            with held.lend(assault.translator.asked, known_as="engine of the translator") as engine:
                mapped = translate_prompts(missing, language, engine, mapper=held.mapper)
                texts |= {one.id: one.text for one in mapped.done}
            reasons = {**mapped.reasons["filtered"], **mapped.reasons["failed"]}
        wrapper = translated(language, texts)
        left_out |= {wrapper.name: reasons} if reasons else {}
        wrappers.append(wrapper)
    return Translated(tuple(wrappers), left_out)


def ask_models(held: Held, assault: Assault, translated: Translated) -> Answered:
    """Let every model answer every prompt in every wrapper, and the benign ones as they stand.

    Raises:
        UserError: for a model without a chat template.
    """
    from charter.evaluation.attacks import BUILT_IN, NO_PREFILL, PLAIN, make_attempts, needs_prefill

    wrappers = (*assault.chosen.wrappers, *translated.wrappers)
    harmful: list[Attacked] = []
    benign: list[Attacked] = []
    tries = [
        *((make_attempts(assault.targets.harmful, one), harmful) for one in wrappers),
        (make_attempts(assault.targets.benign, BUILT_IN[PLAIN]), benign),
    ]
    failed: Counts = {}
    not_asked: list[tuple[str, str, str]] = []
    for one in assault.entrants:
        with held.lend(one.asked, known_as=f"engine of {one.name}") as engine:
            _require_chat(one, engine)
            for attempts, kept in tries:
                if needs_prefill(attempts) and "prefill" not in engine.capabilities:
                    not_asked.append((one.name, attempts[0].wrapper.name, NO_PREFILL))
                elif attempts:
                    mapped = _ask(held, assault, one.name, engine, attempts)
                    kept.extend(mapped.done)
                    failed |= _failures(one.name, attempts[0], mapped)
    return Answered(tuple(harmful), tuple(benign), failed, tuple(not_asked))


def _require_chat(one: Entrant, engine: Engine) -> None:
    from charter.errors import UserError

    if "chat" not in engine.capabilities:
        raise UserError(f"--model {one.source}: has no chat template, so that it answers nobody; name a tuned model")


def _ask(held: Held, assault: Assault, model: str, engine: Engine, attempts: Sequence[Attempt]) -> Mapped[Attacked]:
    from charter.engines.base import Sampling
    from charter.evaluation.attacks import attack

    sampling = Sampling(temperature=assault.temperature, max_tokens=assault.max_tokens)
    return attack(attempts, model, engine, sampling=sampling, seed=assault.seed, mapper=held.mapper)


def _failures(model: str, attempt: Attempt, mapped: Mapped[Attacked]) -> Counts:
    of = f"{model}, {attempt.wrapper.name}, {attempt.prompt.kind.replace('_', ' ')}"
    return {of: mapped.reasons["failed"]} if mapped.failed else {}


def read_by_judge(held: Held, assault: Assault, answered: Answered) -> Read:
    """Let the judge say which kind each answer is of, as ``charter evaluate refusals`` asks it."""
    from charter.evaluation.attacks import as_answers
    from charter.evaluation.refusals import make_reader, read_kinds

    if assault.judge is None:
        return Read()
    answers = as_answers((*answered.harmful, *answered.benign))
    with held.lend(assault.judge.asked, known_as="engine of the judge") as engine:
        mapped = read_kinds(answers, make_reader(engine), file="attacks", mapper=held.mapper)
        return Read(tuple(mapped.done), mapped.reasons["failed"])


def keep(folder: Path, answered: Answered, read: Read, told: Mapping[str, Any]) -> None:
    """Write every answer, what the judge said of it, and the figures."""
    from charter.evaluation.attacks import Attacked
    from charter.files.tables import write_json, write_table, write_text

    write_table(folder / _ANSWERS, (*answered.harmful, *answered.benign), Attacked)
    write_text(folder / _READINGS, "".join(f"{one.to_json()}\n" for one in read.readings))
    write_json(folder / FIGURES, told)
