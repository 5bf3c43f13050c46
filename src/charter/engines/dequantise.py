"""Turn a GGUF file into an ordinary model folder in bfloat16: ``python -m charter.engines.dequantise``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from charter.errors import ModelError


def dequantise(gguf: Path, folder: Path, special_ids: tuple[int, int, int]) -> None:
    """Read a GGUF file's weights and tokenizer, and save them as transformers does.

    Args:
        gguf: the file.
        folder: where the model goes; made here.
        special_ids: the (bos, eos, pad) ids that must come out.

    Raises:
        ModelError: other ids came out, or no chat template.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # Left packed, which is the default, the weights could be neither saved nor trained.
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.model_max_length = model.config.max_position_embeddings
    # A GGUF file's title is not a path, and would stand in every configuration saved from this one.
    vars(model.config).pop("_model_name_or_path", None)
    _check(gguf, special_ids, model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _check(gguf: Path, special_ids: tuple[int, int, int], model: Any, tokenizer: Any) -> None:
    for owner in (model.config, model.generation_config, tokenizer):
        found = (owner.bos_token_id, owner.eos_token_id, owner.pad_token_id)
        if found != special_ids:
            raise ModelError(
                f"{gguf.name} was read wrongly: its (bos, eos, pad) ids came out as {found} in "
                f"{type(owner).__name__}, and {special_ids} was expected; use another release of transformers"
            )
    if not tokenizer.chat_template:
        raise ModelError(
            f"{gguf.name} was read wrongly: no chat template came out; use another release of transformers"
        )


def main() -> None:
    """Convert the file named on the command line: GGUF FOLDER BOS EOS PAD."""
    gguf, folder, bos, eos, pad = sys.argv[1:]
    try:
        dequantise(Path(gguf), Path(folder), (int(bos), int(eos), int(pad)))
    except ModelError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
