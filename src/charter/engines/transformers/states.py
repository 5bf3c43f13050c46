"""What a model makes of a conversation inside: the hidden states of a layer, as one row of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from charter.engines.base import ScoreRequest
from charter.engines.padding import by_length, padded
from charter.engines.rendering import Renderer
from charter.engines.transformers.loading import load_model
from charter.engines.weights import ModelFolder, resolve_model
from charter.errors import ModelError
from charter.records import Message, transcript

#: Which tokens are read: the mean of the response's, or its last one.
Pooling = Literal["mean", "last"]

_TOKENS_AT_ONCE = {"cpu": 2**11}  # padding included; of every layer's states there are as many
_TOKENS_AT_ONCE_ELSEWHERE = 2**13
_PADDING = 0  # any token: the mask hides it


@dataclass(frozen=True, slots=True)
class TalkTokens:
    """A conversation's token ids, of which the first ``n_prompt`` stand before the response."""

    ids: tuple[int, ...]
    n_prompt: int


class StateReader:
    """A model in memory whose hidden states are read.

    Args:
        model: a resolved model, or what ``resolve_model`` understands (a folder, an embedded name, a hub id).
        dtype: ``float32`` gives the same numbers on every machine, up to rounding; else as of the engine.
        device: ``auto`` takes a GPU where there is one.

    Attributes:
        name: the model as it was named.
        identity: what determines the states: weights, adapter, tokenizer and number format.
        n_layers: how many layers there are.

    Raises:
        ModelError: the model does not exist, cannot be loaded or must not be.
    """

    def __init__(self, model: ModelFolder | Path | str, *, dtype: str = "float32", device: str = "auto") -> None:
        folder = model if isinstance(model, ModelFolder) else resolve_model(str(model))
        loaded = load_model(folder, dtype=dtype, device=device)
        self.name, self.identity = folder.name, loaded.identity
        self.n_layers = int(loaded.model.config.get_text_config().num_hidden_layers)
        self._body = loaded.model.base_model  # without the head over the vocabulary, which is most of a small model
        self._renderer = Renderer(loaded.tokenizer, loaded.n_context)

    def tokenise(self, turns: tuple[Message, ...], response: str) -> TalkTokens:
        """Render a prompt's turns and the response as the chat template does, as plain text where there is none.

        Raises:
            EngineError: where the template refuses the turns, or the model does not read as many tokens.
        """
        request = self._request(turns, response)
        prompt = self._renderer.render(request).ids
        said = self._renderer.continuation_ids(request, prompt)
        self._renderer.require_room(len(prompt) + len(said))
        return TalkTokens((*prompt.tolist(), *said), len(prompt))

    def read(self, talks: Sequence[TalkTokens], *, layer: int, pooling: Pooling) -> NDArray[np.float64]:
        """Read the states of a layer, (conversations, states); conversations of similar length share a pass.

        Args:
            talks: conversations that have a response.
            layer: whose output is read, counted from 1; 0 are the embeddings.
            pooling: the response's mean state, or that of its last token.

        Raises:
            ModelError: where there is no such layer.
            ValueError: for a conversation whose response has no token.
        """
        if not 0 <= layer <= self.n_layers:
            raise ModelError(f"{self.name} has {self.n_layers} layers, and no layer {layer}; name one of 0 to them")
        if any(len(talk.ids) <= talk.n_prompt for talk in talks):
            raise ValueError("a response has no token: leave such rows out")
        found: dict[int, NDArray[np.float64]] = {}
        most = _TOKENS_AT_ONCE.get(self._body.device.type, _TOKENS_AT_ONCE_ELSEWHERE)
        for batch in by_length([len(talk.ids) for talk in talks], most):
            states = self._pass([talks[place] for place in batch], layer, pooling)
            found.update(zip(batch, states, strict=True))
        return np.stack([found[place] for place in range(len(talks))])

    @torch.inference_mode()
    def _pass(self, talks: Sequence[TalkTokens], layer: int, pooling: Pooling) -> NDArray[np.float64]:
        device = self._body.device
        ids, mask = (one.to(device) for one in padded([talk.ids for talk in talks], _PADDING))
        found = self._body(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True)
        states = found.hidden_states[layer].float()
        first = torch.tensor([talk.n_prompt if pooling == "mean" else len(talk.ids) - 1 for talk in talks])
        taken = mask.bool() & (torch.arange(ids.shape[1], device=device) >= first.to(device).unsqueeze(1))
        means = (states * taken.unsqueeze(-1)).sum(1) / taken.sum(1, keepdim=True)
        return means.double().cpu().numpy()  # type: ignore[no-any-return]

    def _request(self, turns: tuple[Message, ...], response: str) -> ScoreRequest:
        if self._renderer.chats:
            return ScoreRequest(messages=turns, continuation=response)
        asked = transcript((*turns, Message(role="assistant", content=""))).removesuffix(" ")
        return ScoreRequest(text=asked, continuation=f" {response}")
