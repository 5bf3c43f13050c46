"""Decoding for models with sliding windows, recurrent states or other attention: simple and correct.

Rows start together as a wave and are padded on the left under the library's own cache; nothing is shared, and no row
joins a wave that runs.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from charter.engines.transformers.attention import Stopped
from charter.engines.transformers.decoding import LOGITS_AT_ONCE, Arrival, Ids, Logits, Targets
from charter.engines.transformers.store import KeptRow, Prefix

_CACHES = ("past_key_values", "cache_params")  # what the library's architectures call their state
_PROBE = (5, 11)  # lengths of two rows, to see whether padding changes anything
_PROBE_TOLERANCE = 0.05  # of the logits' spread


class WaveDecoder:
    """Rows that start together, under the library's own cache (see ``decoding.Decoder``).

    Args:
        model: any causal language model of the library.
        stop: set when work is to be left at the next pass.
    """

    shares = joins = False

    def __init__(self, model: Any, stop: threading.Event) -> None:
        self._model, self._device, self._stop = model, model.device, stop
        self.token_bytes = _token_bytes(model)
        self._cache: dict[str, Any] = {}
        self._mask = torch.zeros((0, 0), dtype=torch.long)  # 0 where a row was padded
        self._slots: list[int] = []  # of each running row, its place in the wave
        self.pads = not getattr(model, "_is_stateful", False)
        self.pads = self.pads and self._ignores_padding()

    @property
    def n_held(self) -> int:
        """Tokens that the running rows have room for in memory."""
        return self._mask.numel() if self._slots else 0

    def make_prefix(self, ids: Ids) -> Prefix:
        """Refuse: this decoder shares nothing."""
        raise NotImplementedError

    def set_aside(self, row: int) -> tuple[KeptRow, int]:
        """Refuse: this decoder shares nothing."""
        raise NotImplementedError

    def start(self, arrivals: Sequence[Arrival], prefix: Prefix | None) -> torch.Tensor:  # noqa: ARG002 - protocol
        """Start a wave; logits of each row's next token."""
        output, self._mask = self._pass([arrival.ids for arrival in arrivals], use_cache=True, logits_to_keep=1)
        self._cache = _state(output)
        self._slots = list(range(len(arrivals)))
        return self._last(output)

    def step(self, tokens: Ids) -> torch.Tensor:
        """Append one token to each row; rows that have left go on unseen until the wave is over."""
        if self._stop.is_set():
            raise Stopped
        ids = torch.zeros((len(self._mask), 1), dtype=torch.long, device=self._device)
        slots = torch.tensor(self._slots, device=self._device)
        ids[slots, 0] = torch.from_numpy(tokens).to(self._device)
        self._mask = torch.cat((self._mask, torch.ones_like(self._mask[:, :1])), 1)
        output = self._model(
            input_ids=ids,
            **self._places(self._mask, self._mask.sum(-1, keepdim=True) - 1),
            use_cache=True,
            **self._cache,
        )
        self._cache = _state(output)
        return self._last(output).index_select(0, slots)

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drop all rows but these."""
        self._slots = [self._slots[row] for row in rows]
        if not self._slots:
            self._cache = {}
        return list(rows)

    def read(
        self,
        arrivals: Sequence[Arrival],
        targets: Sequence[Targets],
        prefix: Prefix | None,  # noqa: ARG002 - protocol
    ) -> Logits:
        """Yield the library's logits at each row's last positions, row after row, a chunk of positions at a time."""
        n_last = [len(of) for of in targets]
        output, _ = self._pass([arrival.ids for arrival in arrivals], use_cache=False, logits_to_keep=max(n_last))
        for row, n in enumerate(n_last):
            logits = output.logits[row, -n:]
            for first in range(0, n, LOGITS_AT_ONCE):
                yield logits[first : first + LOGITS_AT_ONCE].float()

    def _pass(self, suffixes: Sequence[Ids], **options: Any) -> tuple[Any, torch.Tensor]:
        if self._stop.is_set():
            raise Stopped
        width = max(map(len, suffixes))
        ids, mask = np.zeros((2, len(suffixes), width), dtype=np.int64)
        for row, suffix in enumerate(suffixes):
            ids[row, width - len(suffix) :] = suffix
            mask[row, width - len(suffix) :] = 1
        attention_mask = torch.from_numpy(mask).to(self._device)
        output = self._model(
            input_ids=torch.from_numpy(ids).to(self._device),
            **self._places(attention_mask, (attention_mask.cumsum(-1) - 1).clamp(min=0)),
            **options,
        )
        return output, attention_mask

    def _places(self, mask: torch.Tensor, positions: torch.Tensor) -> dict[str, torch.Tensor]:
        """Say where tokens stand, to models that know places; rows of one length have nothing to be masked."""
        return {"attention_mask": mask, "position_ids": positions} if self.pads else {}

    def _last(self, output: Any) -> torch.Tensor:
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    @torch.inference_mode()
    def _ignores_padding(self) -> bool:
        """Whether a row's logits are the same alone and padded beside a longer one."""
        short, long = (np.arange(length) * 7919 % self._model.config.get_text_config().vocab_size for length in _PROBE)
        alone = self._last(self._pass([short], use_cache=False)[0])[0].float()
        padded = self._last(self._pass([short, long], use_cache=False)[0])[0].float()
        return bool((alone - padded).abs().max() <= _PROBE_TOLERANCE * alone.std())


def _state(output: Any) -> dict[str, Any]:
    """Take what the next pass goes on from, under the name by which the model wants it back."""
    return {name: getattr(output, name) for name in _CACHES if getattr(output, name, None) is not None}


def _token_bytes(model: Any) -> int:
    """Count what the keys and values of one token take, if every layer looks at all of them; 0 for a plain state."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None)
    if getattr(model, "_is_stateful", False) or not heads:
        return 0
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return int(2 * config.num_hidden_layers * kv_heads * head_size * model.dtype.itemsize)
