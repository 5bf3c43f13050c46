"""How much is done at once, and how much is remembered: what was asked for, as far as there is memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from charter.engines.footprint import CACHE_SHARE, free_bytes

# Of the caches. Prefixes come first: one that is forgotten while rows still begin with it is computed once more.
_OF_PREFIXES, _OF_ENDED_ROWS = 1 / 4, 1 / 8


@dataclass(frozen=True, slots=True)
class Allowance:
    """All but ``max_rows`` in tokens.

    ``max_batch_tokens`` are those of the running rows in memory (None: as many as there is room for),
    ``max_pass_tokens`` those of one pass over prompts, ``max_prefix_tokens`` those of shared prefixes,
    ``max_kept_tokens`` those of rows that have ended.
    """

    max_rows: int
    max_batch_tokens: int | None
    max_pass_tokens: int
    max_prefix_tokens: int
    max_kept_tokens: int

    def within(self, n_free: int | None) -> Allowance:
        """Lower what is remembered to its part of the tokens that there is memory for; None is not known."""
        if n_free is None:
            return self
        return replace(
            self,
            max_prefix_tokens=min(self.max_prefix_tokens, int(n_free * _OF_PREFIXES)),
            max_kept_tokens=min(self.max_kept_tokens, int(n_free * _OF_ENDED_ROWS)),
        )


@dataclass(frozen=True, slots=True)
class Room:
    """The memory of a device, in tokens of one model.

    Asked anew whenever rows join: what other models, runs and programs have taken by then is gone.

    Attributes:
        device: such as ``cpu`` or ``cuda:1``.
        token_bytes: what the keys and values of one token take; 0 where the model keeps none, or nobody knows.
    """

    device: str
    token_bytes: int

    def tokens(self, n_held: int = 0) -> int | None:
        """Count the tokens that may be in memory, those that are there already among them; None knows no end."""
        if not self.token_bytes:
            return None
        return n_held + int((free_bytes(self.device) + self._unused()) * CACHE_SHARE) // self.token_bytes

    def _unused(self) -> int:
        """Count what torch holds of a GPU and nobody uses: the next rows get that first."""
        if not self.device.startswith("cuda"):
            return 0
        import torch

        return torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
