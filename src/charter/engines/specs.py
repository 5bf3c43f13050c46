"""A model as recipes name it: what is loaded or asked, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

EngineName = Literal["transformers", "vllm", "vllm-server", "http", "scripted"]


@dataclass(frozen=True)
class ModelSpec:
    """A model as a recipe names it: what is loaded, and how; or who serves it, and how it is asked."""

    name: str
    engine: EngineName = "transformers"
    server: str | tuple[str, ...] | None = None
    key_name: str | None = None
    max_at_once: int = 64
    call_seconds: float = 120.0
    deadline_seconds: float = 900.0
    dtype: str = "auto"
    device: str = "auto"
    max_rows: int | None = None
    n_context: int | None = None
    memory_share: float = 0.9
    n_gpus: int = 1
    compiled: bool | None = None
    trust_remote_code: bool = False
    adapter: Path | None = None

    @property
    def label(self) -> str:
        """How the model is called in counts and reports."""
        return self.name if self.adapter is None else f"{self.name}+{self.adapter.name}"

    @property
    def has_weights(self) -> bool:
        """Whether its weights are loaded on this machine."""
        return self.engine not in {"http", "scripted"}

    @property
    def served_as(self) -> tuple[str, str | tuple[str, ...] | None, str | None]:
        """What tells models behind servers apart: name, server, and whose key."""
        return self.name, self.server, self.key_name

    @property
    def is_vllm(self) -> bool:
        """Whether vLLM loads them."""
        return self.engine in {"vllm", "vllm-server"}

    @property
    def rows_at_once(self) -> int:
        """Rows that one forward pass serves."""
        return self.max_rows or (256 if self.is_vllm else 64)
