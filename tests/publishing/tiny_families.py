"""Tiny random models of each family that GGUF is written for, with a tokenizer of the kind that such models have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from charter.publishing.gguf.splitting import _LLAMA_3, _TEKKEN
from tiny_texts import CHATML, TINY_CORPUS

_SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.2,
}
#: As Mistral's: the tokens of a turn are special, and a text follows them without a space.
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + '[/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + eos_token }}{% else %}{{ raise_exception('no system text') }}{% endif %}{% endfor %}"
)
#: As Llama 2's: the marks of a turn are text.
LLAMA_2 = MISTRAL.replace("[INST]", "(INST)").replace("[/INST]", "(/INST)")


def save_llama_3(folder: Path) -> Path:
    """Save a Llama whose positions are stretched, and whose tokenizer takes whole words that are tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM

    rope = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }  # fmt: skip
    n = _save_byte_level(folder, _LLAMA_3, takes_words=True, adds_bos=True)
    return _save(folder, LlamaForCausalLM, LlamaConfig(**_SHAPE, vocab_size=n, rope_parameters=rope), bos=True)


def save_nemo(folder: Path) -> Path:
    """Save a Mistral with wider heads, a tokenizer that is Tekken's, and a vocabulary larger than its tokens."""
    from transformers import MistralConfig, MistralForCausalLM

    n = _save_byte_level(folder, _TEKKEN, takes_words=True)
    config = MistralConfig(**_SHAPE, vocab_size=n + 5, head_dim=32, sliding_window=None)
    return _save(folder, MistralForCausalLM, config)


def save_qwen(folder: Path, number: int = 2) -> Path:
    """Save a Qwen of the second or third generation: biases in the one, norms of queries and keys in the other."""
    import transformers

    n = _save_byte_level(folder, None)
    config = getattr(transformers, f"Qwen{number}Config")(
        **_SHAPE, vocab_size=n, head_dim=16, tie_word_embeddings=number == 3, use_sliding_window=False
    )
    return _save(folder, getattr(transformers, f"Qwen{number}ForCausalLM"), config)


def save_mistral(folder: Path, *, legacy: bool = False, template: str = MISTRAL, window: int | None = None) -> Path:
    """Save a Mistral with a tokenizer of SentencePiece, byte tokens and all."""
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = make_pieces(legacy=legacy)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    config = MistralConfig(**_SHAPE, vocab_size=len(tokenizer), head_dim=16, sliding_window=window)
    return _save(folder, MistralForCausalLM, config)


def make_pieces(*, legacy: bool = False, n_missing: int = 0) -> Any:
    """Make a tokenizer of SentencePiece: every way to make a token is a merge, but for those that are missing."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaTokenizer

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(TINY_CORPUS, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    words = sorted(trained.get_vocab(), key=trained.get_vocab().get)
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary = {word: number for number, word in enumerate([*first, *words])}
    merges = [
        (word[:place], word[place:])
        for word in words
        for place in range(1, len(word))
        if word[:place] in vocabulary and word[place:] in vocabulary
    ]
    tokenizer = LlamaTokenizer(vocab=vocabulary, merges=merges[: len(merges) - n_missing], legacy=legacy)
    tokenizer.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in ("[INST]", "[/INST]")])
    return tokenizer


def _save_byte_level(folder: Path, pattern: str | None, *, takes_words: bool = False, adds_bos: bool = False) -> int:
    """Save a byte-level tokenizer: one of Qwen's, or one that cuts by a pattern."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    ends = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pattern:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=480, special_tokens=ends, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TINY_CORPUS, trainer)
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
        )
    told = json.loads(tokenizer.to_str())
    told["model"]["ignore_merges"] = takes_words
    names = {"bos_token": ends[0], "eos_token": ends[2], "pad_token": ends[2], "unk_token": None}
    if pattern:
        made: Any = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(told)), **names)
    else:
        merges = [tuple(pair) for pair in told["model"]["merges"]]
        made = Qwen2Tokenizer(vocab=told["model"]["vocab"], merges=merges, **names)
        made.add_special_tokens({"additional_special_tokens": [ends[1]]})
    made.chat_template = ("{{ bos_token }}" if adds_bos else "") + CHATML
    made.save_pretrained(folder)
    return len(made)


def _save(folder: Path, model_class: Any, config: Any, *, bos: bool = False) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(config)
        for name, weight in model.named_parameters():
            if name.endswith(("bias", "norm.weight")):  # which begin as zeros and ones, and would hide a mistake
                torch.nn.init.uniform_(weight, 0.5, 1.5)
    model.generation_config.eos_token_id = [2, 0] if bos else 2
    model.save_pretrained(folder)
    return folder
