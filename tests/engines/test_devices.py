"""Which device runs a model, and whether it multiplies bfloat16."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from charter.engines.devices import choose_device, choose_dtype, computes_in_bfloat16
from charter.errors import ModelError


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU it is the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")


@pytest.mark.parametrize("absent", ["cuda:99", "gpu", ""])
def test_an_absent_device_is_refused(absent: str) -> None:
    """The device is named, with what may be said in its place."""
    with pytest.raises(ModelError, match=f"no device {absent!r} on this machine; use auto, cpu or cuda"):
        choose_device(absent)


@pytest.mark.parametrize(
    ("features", "able"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"bf16": True}, True),
        ({"avx512_f": True, "avx512_bf16": False}, False),
    ],
)
def test_one_function_decides_on_bfloat16(
    features: dict[str, Any], able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Generation and training ask the same of a processor, an ARM one too."""
    from charter.training.adapters import training_precision

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    cpu = torch.device("cpu")
    assert computes_in_bfloat16(cpu) is able
    assert (choose_dtype("auto", cpu) == torch.bfloat16) is able
    assert (training_precision("auto", cpu) == "bfloat16") is able
