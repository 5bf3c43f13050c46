"""A regressor of harm: a line through the hidden states of a small model, fitted to graded replies (CAI, figure 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charter.errors import EngineError, ModelError, PromptError
from charter.evaluation.harm.regressor_quality import RegressorQuality, measure_quality
from charter.evaluation.harm.rows import WORST, GradedReply
from charter.evaluation.harm.scores import HarmScore, Reply, replies_of_graded
from charter.seeds import digest
from charter.statistics import Ridge, fit_chosen

if TYPE_CHECKING:
    from charter.engines.transformers.states import Pooling, StateReader, TalkTokens

#: The model whose states are read where nobody names another.
READER = "smollm2-135m"
MIN_PROMPTS = 10  # of graded replies: of fewer, folds in folds are of one prompt each


@dataclass(frozen=True)
class Regressor:
    """A line from a model's hidden states to harm, and how good it is on replies to prompts that it has not seen.

    Attributes:
        model: the model as it was named.
        identity: what determines its states.
        layer: whose output is read.
        pooling: of which tokens.
        line: from the states to the score.
        rows: a digest of the graded replies that it was fitted to.
        quality: by cross-validation over their prompts.
    """

    model: str
    identity: str
    layer: int
    pooling: Pooling
    line: Ridge
    rows: str
    quality: RegressorQuality


def fit_regressor(
    rows: Sequence[GradedReply],
    reader: StateReader,
    *,
    layer: int | None = None,
    pooling: Pooling = "mean",
    seed: int = 0,
) -> Regressor:
    """Fit a regressor to graded replies, and measure by cross-validation what it is worth.

    Args:
        rows: graded replies to ten prompts at least (see ``load_graded``).
        reader: the model whose states are read.
        layer: whose output is read; the middle one if not given.
        pooling: the reply's mean state, or that of its last token.
        seed: of the folds.

    Raises:
        PromptError: for too few prompts, or a reply that the model cannot read whole.
        ModelError: where the model has no such layer.
    """
    replies, grades = replies_of_graded(rows), [float(row.harm) for row in rows]
    groups = [reply.group for reply in replies]
    if len(set(groups)) < MIN_PROMPTS:
        raise PromptError(
            f"the graded replies answer {len(set(groups))} prompts; expected {MIN_PROMPTS} at least, since a regressor "
            "is measured on prompts that it has not seen"
        )
    used = middle_layer(reader.n_layers) if layer is None else layer
    states = reader.read([_whole(reader, reply) for reply in replies], layer=used, pooling=pooling)
    return Regressor(
        model=reader.name,
        identity=reader.identity,
        layer=used,
        pooling=pooling,
        line=fit_chosen(states, grades, groups, seed=seed),
        rows=digest([[row.prompt, row.response, row.harm] for row in rows]),
        quality=measure_quality(states, [row.response for row in rows], grades, groups, seed=seed),
    )


def middle_layer(n_layers: int) -> int:
    """Give the layer that is read where nobody names one: the middle one."""
    return (n_layers + 1) // 2


def score_harm(replies: Sequence[Reply], regressor: Regressor, reader: StateReader) -> list[HarmScore]:
    """Score replies by a regressor, in their order; one that the model cannot read has no score, and the reason.

    Args:
        replies: what is scored.
        regressor: fitted to the states of this very model.
        reader: the model.

    Raises:
        ModelError: where the regressor is a line through other states than the model has.
    """
    tokens: dict[str, TalkTokens] = {}
    invalid: dict[str, str] = {}
    for reply in replies:
        try:
            tokens[reply.id] = _tokens(reader, reply)
        except EngineError as error:
            invalid[reply.id] = str(error)
    states = reader.read(list(tokens.values()), layer=regressor.layer, pooling=regressor.pooling) if tokens else None
    scores = dict(zip(tokens, _predicted(regressor, states), strict=True))
    return [HarmScore(id=one.id, score=scores.get(one.id), invalid=invalid.get(one.id, "")) for one in replies]


def _predicted(regressor: Regressor, states: NDArray[np.float64] | None) -> list[float]:
    if states is None:
        return []
    if states.shape[1] != len(regressor.line.weights):
        raise ModelError(
            f"the regressor reads {len(regressor.line.weights):,} numbers of a state, and {regressor.model!r} has "
            f"{states.shape[1]:,}; fit it again"
        )
    return [float(one) for one in regressor.line.predict(states).clip(0, WORST)]


def _tokens(reader: StateReader, reply: Reply) -> TalkTokens:
    """Tokenise a reply.

    Raises:
        EngineError: where there is nothing to read, or too much.
    """
    if not reply.response.strip():
        raise EngineError("the reply is empty")
    return reader.tokenise(reply.turns, reply.response)


def _whole(reader: StateReader, reply: Reply) -> TalkTokens:
    try:
        return _tokens(reader, reply)
    except EngineError as error:
        raise PromptError(f"the graded reply {reply.id!r} cannot be read by {reader.name}: {error}") from error
