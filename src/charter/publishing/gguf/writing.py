"""A model's folder written as one GGUF file."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charter.engines.downloads import require_space
from charter.engines.quiet import quiet_libraries
from charter.engines.tokenizers import find_end_ids, load_tokenizer
from charter.engines.weights import resolve_model
from charter.errors import ModelError, UserError
from charter.files.writing import replace_whole
from charter.publishing.gguf.architecture import Shape, read_shape
from charter.publishing.gguf.tensors import Numbers, Tensor, all_bytes, list_tensors, read_tensor
from charter.publishing.gguf.vocabulary import Vocabulary, read_vocabulary

_FILE_TYPES: dict[Numbers, str] = {
    "f32": "ALL_F32",
    "f16": "MOSTLY_F16",
    "bf16": "MOSTLY_BF16",
    "q8_0": "MOSTLY_Q8_0",
}
_OWN: dict[str, Numbers] = {"bfloat16": "bf16", "float16": "f16"}


@dataclass(frozen=True, slots=True)
class Packed:
    """A file that was written: the format of its matrices, its bytes, and what is otherwise in llama.cpp."""

    path: str
    numbers: Numbers
    n_bytes: int
    n_tensors: int
    notes: tuple[str, ...]


def write_gguf(folder: Path, out: Path, *, name: str, numbers: Numbers | None = None) -> Packed:
    """Write a model as GGUF: weights, tokenizer, special tokens, chat template.

    One tensor is in memory at a time.

    Args:
        folder: of a whole model (an adapter is merged first).
        out: the file; it appears whole or not at all.
        name: what the file calls the model.
        numbers: the format of its matrices; None keeps the model's own.

    Raises:
        ModelError: for a model or a tokenizer that llama.cpp would not run as transformers does, and where the disk
            has no room.
        UserError: where the file cannot be written.
    """
    from transformers import AutoConfig

    model = resolve_model(str(folder))
    if model.adapter is not None:
        raise ModelError(f"{folder} holds an adapter: merge it into its base first")
    with quiet_libraries():
        configuration = AutoConfig.from_pretrained(model.path, trust_remote_code=False)
    shape = read_shape(configuration)
    tokenizer = load_tokenizer(model)
    vocabulary = read_vocabulary(tokenizer, shape.n_vocabulary, find_end_ids(tokenizer, _generation(model.path)))
    own = str(configuration.dtype).removeprefix("torch.")
    chosen = numbers or _OWN.get(own, "f32")
    tensors = list_tensors(model.path, shape, chosen, is_tied=bool(configuration.tie_word_embeddings))
    require_space(out, all_bytes(tensors), "the GGUF file")
    content = _Content(name, chosen, shape, vocabulary, tensors)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(out, content.write, shared=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); check free space and rights") from error
    return Packed(str(out), chosen, out.stat().st_size, len(tensors), (*shape.notes, *vocabulary.notes))


def _generation(folder: Path) -> Any:
    from transformers import GenerationConfig

    return GenerationConfig.from_pretrained(folder) if (folder / "generation_config.json").is_file() else None


@dataclass(frozen=True, slots=True)
class _Content:
    name: str
    numbers: Numbers
    shape: Shape
    vocabulary: Vocabulary
    tensors: list[Tensor]

    def write(self, path: Path) -> None:
        import gguf

        with contextlib.closing(gguf.GGUFWriter(path, self.shape.family)) as writer:
            writer.add_type(gguf.GGUFType.MODEL)
            writer.add_name(self.name)
            writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES[self.numbers]])
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
            _add_shape(writer, self.shape)
            _add_vocabulary(writer, self.vocabulary)
            for one in self.tensors:
                kind = gguf.GGMLQuantizationType[one.numbers.upper()]
                writer.add_tensor_info(one.name, one.sizes, np.dtype(np.float32), one.n_bytes, raw_dtype=kind)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for one in self.tensors:
                writer.write_tensor_data(read_tensor(one, self.shape))


def _add_shape(writer: Any, shape: Shape) -> None:
    writer.add_block_count(shape.n_layers)
    writer.add_context_length(shape.n_context)
    writer.add_embedding_length(shape.n_hidden)
    writer.add_feed_forward_length(shape.n_inner)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_key_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.n_vocabulary)


def _add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("llama" if vocabulary.pieces else "gpt2")
    writer.add_tokenizer_pre(vocabulary.splits)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    if vocabulary.pieces:
        writer.add_token_scores(list(vocabulary.pieces.scores))
        writer.add_add_space_prefix(vocabulary.pieces.puts_space)
    else:
        writer.add_token_merges(list(vocabulary.merges))
    for role, number in vocabulary.special.items():
        getattr(writer, f"add_{role}_token_id")(number)
    writer.add_add_bos_token(vocabulary.adds_bos)
    writer.add_add_eos_token(vocabulary.adds_eos)
    if vocabulary.template:
        writer.add_chat_template(vocabulary.template)
