"""Replies and who scores them: a file's or models' replies, by a regressor or a judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from charter.cli import console
from charter.cli.evaluating.entrants import ask, hold_to_models

if TYPE_CHECKING:
    from charter.cli.evaluating.entrants import Entrant
    from charter.cli.held_file import Held
    from charter.evaluation.harm import GradedReply, HarmScore, Regressor, Reply

FIGURES, SCORES = "harm.json", "scores.jsonl"
FILES = (FIGURES, SCORES)


@dataclass(frozen=True)
class SourceOfReplies:
    """Where replies come from: a file with its columns by their options, or models that are asked."""

    file: str | None
    columns: Mapping[str, str | None]
    models: Sequence[Entrant]
    prompts: str | None
    kind: Literal["red_team", "helpful"]
    n: int | None
    temperature: float
    max_tokens: int
    seed: int


@dataclass(frozen=True)
class Instrument:
    """Who scores: a judge; else a regressor, to be fitted, or that of a folder."""

    judge: Entrant | None
    reader: str | None
    layer: int | None
    graded: str | None
    regressor: Path | None
    keep: Path | None
    seed: int


@dataclass(frozen=True)
class Replies:
    """Replies of one name: a file, or a model.

    Attributes:
        name: in every figure.
        rows: what is scored.
        pairs: what a reply shares with that of another model: its prompt's id; or its own.
        grades: what people say, by reply id.
        left_out: rows that are no replies, by reason.
        failed: prompts without a reply, by reason.
    """

    name: str
    rows: tuple[Reply, ...]
    pairs: Mapping[str, str]
    grades: Mapping[str, float]
    left_out: Mapping[str, int]
    failed: Mapping[str, int]


@dataclass(frozen=True)
class ScoredReplies:
    """Replies with their scores, and why others could not be scored."""

    replies: Replies
    scores: tuple[HarmScore, ...]
    failed: Mapping[str, int]


@dataclass(frozen=True)
class Found:
    """Everything that was found: scores by name, and the regressor, where one scored."""

    scored: Sequence[ScoredReplies]
    regressor: Regressor | None
    left_out_prompts: Mapping[str, int]


def score_replies(held: Held, source: SourceOfReplies, instrument: Instrument) -> Found:
    """Read or draw replies, and score them; a model or a regressor that cannot be is found out first.

    Raises:
        UserError: for a file, a model or a regressor that cannot be used.
    """
    ready = None if instrument.judge else _ready(instrument)
    left_out: Mapping[str, int] = {}
    if source.file is None:
        several, left_out = _draw(held, source)
    else:
        several = [_read(source.file, source.columns)]
    if instrument.judge is not None:
        return Found(list(_judged(held, several, instrument.judge)), None, left_out)
    assert ready is not None  # noqa: S101 - it is None of a judge alone
    scored, regressor = _regressed(held, several, instrument, ready)
    return Found(scored, regressor, left_out)


def _ready(instrument: Instrument) -> Regressor | list[GradedReply]:
    """Load the regressor of a folder, or what one is to be fitted to."""
    from charter.evaluation.harm import load_graded, load_regressor
    from charter.records import BUILT_IN

    if instrument.regressor is not None:
        return load_regressor(instrument.regressor)
    return load_graded(instrument.graded or BUILT_IN)


def _read(file: str, columns: Mapping[str, str | None]) -> Replies:
    """Read the replies of a file."""
    from charter.evaluation.answers import Columns
    from charter.evaluation.harm import load_graded_answers, replies_of_answers

    answers = load_graded_answers(
        file,
        Columns(
            columns["--prompt-column"] or "",
            columns["--response-column"] or "",
            columns["--label-column"],
            columns["--group-column"],
        ),
    )
    return Replies(
        name=Path(file).name,
        rows=tuple(replies_of_answers(answers.kept)),
        pairs={one.id: one.id for one in answers.kept},
        grades={one.id: float(one.label) for one in answers.kept if one.label is not None},
        left_out=answers.left_out,
        failed={},
    )


def _draw(held: Held, source: SourceOfReplies) -> tuple[list[Replies], Mapping[str, int]]:
    """Let models reply to prompts, those alone that they have not replied to before."""
    from charter.engines.base import Sampling
    from charter.evaluation.harm import replies_of_responses
    from charter.evaluation.head_to_head import choose_prompts
    from charter.prompts.grouping import prompt_groups
    from charter.records import BUILT_IN

    chosen = choose_prompts(source.prompts or BUILT_IN, [], kind=source.kind, n=source.n, seed=source.seed)
    drawn: dict[str, Any] = {
        "--prompts": chosen.digest,
        "--temperature": source.temperature,
        "--max-tokens": source.max_tokens,
        "--seed": source.seed,
    }
    held.require_setup(drawn)
    groups = prompt_groups(chosen.prompts)
    sampling = Sampling(temperature=source.temperature, max_tokens=source.max_tokens)
    found = []
    hold_to_models(held, source.models)
    for one in source.models:
        mapped = ask(held, one, chosen.prompts, sampling=sampling, seed=source.seed)
        responses = tuple(mapped.done)
        rows = tuple(replies_of_responses(responses, groups))
        pairs = {response.id: response.prompt.id for response in responses}
        found.append(Replies(one.name, rows, pairs, {}, {}, mapped.reasons["failed"]))
    return found, chosen.left_out


def _judged(held: Held, several: Sequence[Replies], judge: Entrant) -> Iterator[ScoredReplies]:
    """Let a judge grade replies.

    Raises:
        ModelError: where it tells no probabilities of letters.
    """
    from charter.errors import CapabilityError, ModelError
    from charter.evaluation.descriptions import make_reader
    from charter.evaluation.harm import DESCRIPTIONS, judge_harm
    from charter.seeds import digest

    setup = {"--judge": judge.identified(held), "way of asking the judge": digest(dict(DESCRIPTIONS))}
    held.require_setup(setup, kept_as="setup of the judge")
    with held.lend(judge.asked, known_as="engine of the judge") as engine:
        try:
            reader = make_reader(engine)
        except CapabilityError as error:
            raise ModelError(f"--judge {judge.source}: {error}") from error
        for one in several:
            mapped = judge_harm(one.rows, reader, stage=one.name, mapper=held.mapper)
            yield ScoredReplies(one, tuple(mapped.done), mapped.reasons["failed"])


def _regressed(
    held: Held, several: Sequence[Replies], instrument: Instrument, ready: Regressor | list[GradedReply]
) -> tuple[list[ScoredReplies], Regressor]:
    """Score replies by a regressor, which is fitted where none is kept."""
    from charter.engines.transformers.states import StateReader
    from charter.engines.weights import resolve_model
    from charter.evaluation.harm import READER, fit_regressor, keep_regressor, require_same_model, score_harm

    name = instrument.reader or (READER if isinstance(ready, list) else ready.model)
    folder = resolve_model(name, progress=held.on_download)
    console.note(f"loading {name}, whose hidden states are read")
    reader = StateReader(folder)
    if isinstance(ready, list):
        console.note(f"fitting a regressor to {len(ready):,} graded replies")
        ready = fit_regressor(ready, reader, layer=instrument.layer, seed=instrument.seed)
    elif instrument.regressor is not None:
        require_same_model(instrument.regressor, ready, reader)
    if instrument.keep is not None:
        keep_regressor(instrument.keep, ready)
    return [ScoredReplies(one, tuple(score_harm(one.rows, ready, reader)), {}) for one in several], ready
