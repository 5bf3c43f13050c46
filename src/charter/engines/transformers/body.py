"""A model's body, from tokens to hidden states, run on packed tokens with our attention.

``LibraryBody`` runs any architecture of the library whose attention goes through its attention interface.
``LlamaBody`` is the same arithmetic for Llama's family with fewer and larger operations: in eager mode a small model
spends half of its time between operations, and its weights are laid out once for the CPU's matrix kernels instead of
at every call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional

from charter.engines.transformers.attention import Pass

ATTENTION = "charter_shared_prefix"
_PASS_KEYWORD = "charter_pass"  # noqa: S105 - the keyword that carries the pass object through the model's forward
_LLAMA_FAMILY = {"llama", "mistral", "qwen2", "qwen3"}


class Body(Protocol):
    """Maps packed tokens and their positions, (n_tokens,), to hidden states, (n_tokens, hidden_size)."""

    def __call__(self, tokens: torch.Tensor, positions: torch.Tensor, one_pass: Pass) -> torch.Tensor:
        """Run all layers; every attention is the pass object's."""
        ...


class LibraryBody:
    """The library's own forward, with our attention registered in its attention interface.

    Args:
        model: a causal language model; it is switched over to our attention.
    """

    def __init__(self, model: Any) -> None:
        from transformers import AttentionInterface

        AttentionInterface.register(ATTENTION, _attend)
        model.set_attn_implementation(ATTENTION)
        self._base = model.base_model

    def __call__(self, tokens: torch.Tensor, positions: torch.Tensor, one_pass: Pass) -> torch.Tensor:
        """Run all layers; every attention is the pass object's."""
        output = self._base(
            input_ids=tokens.unsqueeze(0),
            position_ids=positions.unsqueeze(0),
            use_cache=False,
            **{_PASS_KEYWORD: one_pass},
        )
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden


class Linear:
    """A linear map whose weights are laid out for the CPU's kernels where torch can do that.

    Args:
        layers: linear layers of one input; their outputs are concatenated.

    Attributes:
        is_packed: whether they are laid out so: rows of ``weight`` are then no longer those of a layer's.
    """

    def __init__(self, *layers: Any) -> None:
        weight = (
            torch.cat([layer.weight.detach() for layer in layers]) if len(layers) > 1 else layers[0].weight.detach()
        )
        self.bias = None if layers[0].bias is None else torch.cat([layer.bias.detach() for layer in layers])
        self.is_packed = weight.device.type == "cpu" and _can_pack(weight.dtype)
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, None) if self.is_packed else weight  # noqa: SLF001 - no public name

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Apply it to (n, n_inputs)."""
        if not self.is_packed:
            return functional.linear(inputs, self.weight, self.bias)
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001 - as above
            inputs, self.weight, self.bias, "none", [], ""
        )
        return output


class Head:
    """The map from hidden states to logits.

    Args:
        model: a causal language model.
    """

    def __init__(self, model: Any) -> None:
        layer = model.get_output_embeddings()
        self._linear, self._rows = Linear(layer), layer.weight.detach()  # (n_tokens, hidden_size)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Give the logits of (n, hidden_size), in the model's own number format."""
        return self._linear(hidden)

    def read(self, hidden: torch.Tensor, targets: Sequence[Sequence[int]]) -> torch.Tensor:
        """Give the logits of (n, hidden_size) in float32, those of each one's targets summed up in it as well.

        A logit of bfloat16 near 20 is a multiple of an eighth: options that differ by less would tie.
        """
        logits = self(hidden)
        if logits.dtype == torch.float32 or not self._rows.is_floating_point():
            return logits.float()
        pairs = [(place, token) for place, tokens in enumerate(targets) for token in tokens]
        places, tokens = torch.tensor(pairs, device=logits.device).reshape(-1, 2).unbind(1)
        exact = (hidden[places].float() * self._rows[tokens].float()).sum(-1)
        if self._linear.bias is not None:
            exact += self._linear.bias[tokens].float()
        return logits.float().index_put((places, tokens), exact)

    def let_go(self, embeddings: torch.Tensor, copied: torch.Tensor) -> None:
        """Hold the model's own weight no longer: what is packed needs a copy of it, or that of the embeddings it is."""
        if self._linear.is_packed:
            self._rows = copied if self._rows.data_ptr() == embeddings.data_ptr() else _owned(self._rows)


@dataclass(frozen=True, slots=True)
class _Layer:
    attention_norm: torch.Tensor
    projections: Linear  # queries, keys and values
    query_key_norm: torch.Tensor | None  # (n_heads + n_kv_heads, head_size)
    output: Linear
    mlp_norm: torch.Tensor
    gate: Linear
    up: Linear
    down: Linear


class LlamaBody:
    """Llama's layers, and Mistral's and Qwen's, which differ in biases and norms alone.

    Args:
        model: a model for which ``is_llama`` holds. Its layers' weights are taken over and freed.
        head: the model's; its weights are taken over as well.
    """

    def __init__(self, model: Any, head: Head) -> None:
        base = model.base_model
        attention = base.layers[0].self_attn
        self._embeddings, self._rotary = _owned(base.embed_tokens.weight), base.rotary_emb
        head.let_go(base.embed_tokens.weight, self._embeddings)
        self._final_norm, self._eps = _owned(base.norm.weight), _eps(base.norm)
        self._head_size, self._scaling = attention.head_dim, attention.scaling
        self._n_heads = attention.q_proj.out_features // attention.head_dim
        self._n_kv_heads = attention.k_proj.out_features // attention.head_dim
        self._layers: list[_Layer] = []
        for number, layer in enumerate(base.layers):
            self._layers.append(self._take_over(layer))
            base.layers[number] = torch.nn.Identity()  # frees what was copied, a layer at a time

    def __call__(self, tokens: torch.Tensor, positions: torch.Tensor, one_pass: Pass) -> torch.Tensor:
        """Run all layers; every attention is the pass object's."""
        hidden = functional.embedding(tokens, self._embeddings)
        cos, sin = self._rotary(hidden.unsqueeze(0), positions.unsqueeze(0))
        half = self._head_size // 2
        cos, sin = cos[0].unsqueeze(1), torch.cat((-sin[0, :, :half], sin[0, :, half:]), -1).unsqueeze(1)
        n_rotated = self._n_heads + self._n_kv_heads
        for number, layer in enumerate(self._layers):
            projected = layer.projections(self._norm(hidden, layer.attention_norm))
            projected = projected.view(len(tokens), -1, self._head_size)
            rotated = projected[:, :n_rotated]
            if layer.query_key_norm is not None:
                rotated = self._norm(rotated, layer.query_key_norm)
            # Rolling by half a head brings each number beside its partner in the rotation.
            rotated = torch.addcmul(rotated * cos, rotated.roll(half, -1), sin)
            query, key = rotated[:, : self._n_heads], rotated[:, self._n_heads :]
            attended = one_pass.attend(number, query, key, projected[:, n_rotated:], self._scaling)
            hidden = hidden + layer.output(attended.view(len(tokens), -1))
            normed = self._norm(hidden, layer.mlp_norm)
            hidden = hidden + layer.down(functional.silu(layer.gate(normed), inplace=True).mul_(layer.up(normed)))
        return self._norm(hidden, self._final_norm)

    def _norm(self, inputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Take the root-mean-square norm in float32, rounding where the library rounds."""
        length = torch.linalg.vector_norm(inputs, 2, -1, keepdim=True, dtype=torch.float32)
        scale = (length.square_() / inputs.shape[-1] + self._eps).rsqrt_()
        normed: torch.Tensor = weight * (inputs * scale).to(inputs.dtype)
        return normed

    def _take_over(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        norms: torch.Tensor | None = None
        if getattr(attention, "q_norm", None) is not None:
            query_norm, key_norm = attention.q_norm.weight.detach(), attention.k_norm.weight.detach()
            norms = torch.cat((query_norm.expand(self._n_heads, -1), key_norm.expand(self._n_kv_heads, -1)))
        return _Layer(
            attention_norm=_owned(layer.input_layernorm.weight),
            projections=Linear(attention.q_proj, attention.k_proj, attention.v_proj),
            query_key_norm=norms,
            output=Linear(attention.o_proj),
            mlp_norm=_owned(layer.post_attention_layernorm.weight),
            gate=Linear(mlp.gate_proj),
            up=Linear(mlp.up_proj),
            down=Linear(mlp.down_proj),
        )


def is_llama(model: Any) -> bool:
    """Whether a model is built of the layers that ``LlamaBody`` knows."""
    config = model.config
    return config.model_type in _LLAMA_FAMILY and config.hidden_act == "silu" and not _is_sharded(model)


def _is_sharded(model: Any) -> bool:
    places: Sequence[torch.device] = [parameter.device for parameter in model.parameters()]
    return len(set(places)) > 1 or bool(getattr(model, "is_quantized", False))


def _owned(weight: torch.Tensor) -> torch.Tensor:
    """Copy a weight: one that still lay in the mapped file would keep the whole file in memory."""
    return weight.detach().clone()


def _eps(norm: Any) -> float:
    return float(norm.variance_epsilon)


def _can_pack(dtype: torch.dtype) -> bool:
    """Whether torch was built with oneDNN's packed linear layers (it is on x86), and they take this number format."""
    names = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
    if not torch.backends.mkldnn.enabled or not all(hasattr(torch.ops.mkldnn, name) for name in names):
        return False
    # Half precision wants instructions that processors without AVX-512 lack.
    return dtype == torch.float32 or (dtype == torch.bfloat16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))  # noqa: SLF001 - as above


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _mask: torch.Tensor | None,
    scaling: float | None = None,
    **carried: Any,
) -> tuple[torch.Tensor, None]:
    """Answer the library's attention call, (1, n_heads, n_tokens, head_size), by the pass object it carries."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    packed = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    output = carried[_PASS_KEYWORD].attend(module.layer_idx, *packed, scale)
    return output.unsqueeze(0), None
