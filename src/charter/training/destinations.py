"""What a training's figures may be handed to as they come, and what stands in the way. Light: for ``charter check``."""

from __future__ import annotations

import contextlib
import importlib.util
import netrc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Destination = Literal["tensorboard", "wandb", "trackio"]

_NAMES: Mapping[Destination, str] = {"tensorboard": "TensorBoard", "wandb": "Weights & Biases", "trackio": "trackio"}
_WANDB_HOST = "api.wandb.ai"
_UNASKED = frozenset({"offline", "dryrun", "disabled"})  # W&B's modes in which nobody is asked for a key


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """Where figures go.

    Attributes:
        to: which of them get the figures.
        folder: of what is written here: TensorBoard's files, and W&B's own.
        project: of W&B and trackio.
        name: of the curves.
    """

    to: tuple[Destination, ...]
    folder: str
    project: str
    name: str


def installed() -> tuple[Destination, ...]:
    """Name what gets the figures where nothing is said: TensorBoard, if it is here."""
    return () if _lacks_package("tensorboard") else ("tensorboard",)


def logs_lack(to: Sequence[Destination]) -> str:
    """Say what stands in the way of these destinations, with what to do; empty where nothing is known to."""
    for one in to:
        if _lacks_package(one):
            remedy = f"install it (pip install 'charter[{one}]'), or take it out"
            return f"{_NAMES[one]} is not installed; {remedy}"
    if "wandb" in to and not _knows_wandb():
        remedy = "log in (wandb login), set WANDB_API_KEY, or keep the figures here with WANDB_MODE=offline"
        return f"Weights & Biases has no key for {_wandb_host()}; {remedy}"
    return ""


def _lacks_package(destination: Destination) -> bool:
    return importlib.util.find_spec(destination) is None


def _knows_wandb() -> bool:
    """Whether W&B would ask nobody for a key, as far as can be seen without asking it."""
    if os.environ.get("WANDB_MODE", "").lower() in _UNASKED or os.environ.get("WANDB_API_KEY"):
        return True
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        return netrc.netrc(os.environ.get("NETRC")).authenticators(_wandb_host()) is not None
    return False


def _wandb_host() -> str:
    address = os.environ.get("WANDB_BASE_URL", _WANDB_HOST)
    return address.partition("://")[2].partition("/")[0] or address
