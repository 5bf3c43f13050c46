"""How much is done at once, and how much is remembered: what was asked for, as far as there is memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from charter.engines.footprint import CACHE_SHARE

_REMEMBERED = 8  # prefixes and ended rows may each take an eighth of the caches


@dataclass(frozen=True, slots=True)
class Limits:
    """All but ``max_rows`` in tokens.

    ``max_batch_tokens`` are those of the running rows in memory (None: no limit), ``max_pass_tokens`` those of one pass
    over prompts, ``max_prefix_tokens`` those of shared prefixes, ``max_kept_tokens`` those of rows that have ended.
    """

    max_rows: int
    max_batch_tokens: int | None
    max_pass_tokens: int
    max_prefix_tokens: int
    max_kept_tokens: int

    def within(self, free: int, token_bytes: int) -> Limits:
        """Lower them to what there is memory for.

        Args:
            free: bytes, after the model was loaded.
            token_bytes: what the keys and values of one token take; 0 where the model keeps none.
        """
        if not token_bytes:
            return self
        fit = int(free * CACHE_SHARE) // token_bytes
        prefixes = min(self.max_prefix_tokens, fit // _REMEMBERED)
        kept = min(self.max_kept_tokens, fit // _REMEMBERED)
        left = fit - prefixes - kept
        batch = left if self.max_batch_tokens is None else min(self.max_batch_tokens, left)
        return replace(self, max_batch_tokens=batch, max_prefix_tokens=prefixes, max_kept_tokens=kept)
