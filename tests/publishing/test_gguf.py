"""A GGUF file is the model that it was made of: llama.cpp itself is asked."""

from __future__ import annotations

import json
import random
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charter.engines.quiet import quiet_libraries
from charter.errors import ModelError, UserError
from charter.publishing.gguf import NUMBERS, check_gguf, write_gguf
from charter.publishing.gguf.checking import _served
from publishing.tiny_families import (
    LLAMA_2,
    make_pieces,
    save_llama_3,
    save_mistral,
    save_nemo,
    save_qwen,
)

pytestmark = pytest.mark.model

SAVED: dict[str, Callable[[Path], Path]] = {
    "llama-3": save_llama_3,
    "nemo": save_nemo,
    "qwen2": save_qwen,
    "qwen3": lambda folder: save_qwen(folder, 3),
    "mistral": save_mistral,
    "mistral-legacy": lambda folder: save_mistral(folder, legacy=True),
    "llama-2": lambda folder: save_mistral(folder, legacy=True, template=LLAMA_2),
}
#: Pieces of texts that are cut, merged or taken for marks differently by tokenizers that are nearly the same.
PIECES = (
    "the", " harbour", "  ", "\n", "\n\n", "\t", "'s", "'LL", "123", "4", "\u0663", "\u00b2", "\u00bd", "\u00e9",
    "e\u0301", "\u6f22\u5b57", "\u0627\u0644", "\U0001f600", "\u200d", "\u00a0", "\u2028", "<0x0A>", "_", "\u2581",
    "...", "!?", "(A)", "{x}", "/", "\\", "\r\n", "Aa", "AB", "b", " ",
)  # fmt: skip
#: Marks of a turn within a text, of these families and of others.
MARKS = ("<|im_end|>", "<|im_start|>", "</s>", "[INST]", "[/INST]", "<|endoftext|>")


@pytest.fixture(params=SAVED)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tiny model of each family."""
    with quiet_libraries():
        return SAVED[request.param](tmp_path / request.param)


def test_llama_cpp_does_with_the_file_what_transformers_does_with_the_model(saved: Path, tmp_path: Path) -> None:
    """Every token, every rendered chat, and next tokens to five digits, in 32 bits."""
    packed = write_gguf(saved, tmp_path / "model.gguf", name="tiny", numbers="f32")
    found = check_gguf(tmp_path / "model.gguf", saved, packed.numbers)
    assert found.n_chats == found.n_texts >= 7
    assert found.n_tokens == 20 * found.n_chats
    assert found.largest_gap < 1e-4


def test_the_likeliest_answer_is_the_same(saved: Path, tmp_path: Path) -> None:
    """Token by token: what is generated there by taking the likeliest is what transformers generates."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    write_gguf(saved, tmp_path / "model.gguf", name="tiny", numbers="f32")
    tokenizer = AutoTokenizer.from_pretrained(saved)
    with quiet_libraries():
        model: Any = AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32)
    chat = [{"role": "user", "content": "How do I repair a bicycle chain?"}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    with torch.no_grad():
        here = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=12, min_new_tokens=12)
    with _served(tmp_path / "model.gguf") as server:
        prompt = server.tokens(server.render(chat))
        wanted = {"n_predict": 12, "temperature": 0, "ignore_eos": True, "return_tokens": True}
        there = server.ask("/completion", prompt=prompt, **wanted)["tokens"]
    assert [*prompt, *there] == here[0].tolist()


def test_chats_of_any_text_are_the_same_tokens_there(saved: Path, tmp_path: Path) -> None:
    """With a user's text of whatever pieces, as the template puts it, and as the tokenizer begins a text."""
    from transformers import AutoTokenizer

    write_gguf(saved, tmp_path / "model.gguf", name="tiny", numbers="q8_0")
    tokenizer = AutoTokenizer.from_pretrained(saved)
    draw = random.Random(3)  # noqa: S311 - no secret
    # Those of SentencePiece put a space after a mark or do not, by what follows: llama.cpp always, or never.
    pieces = PIECES if saved.name in {"mistral-legacy", "llama-2"} else (*PIECES, *MARKS)
    with _served(tmp_path / "model.gguf") as server:
        for _ in range(60):
            # Qwen's tokenizer composes accents, and llama.cpp does not: a note says so.
            asked = unicodedata.normalize("NFC", "".join(draw.choices(pieces, k=draw.randint(1, 9))))
            chat = [{"role": "user", "content": asked}]
            ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
            assert server.tokens(server.render(chat)) == ids, asked


def test_a_chat_begins_as_its_template_has_it(tmp_path: Path) -> None:
    """Where plain texts begin with a token and conversations do not, none does in llama.cpp, and a note says so."""
    with quiet_libraries():
        folder = save_llama_3(tmp_path / "llama")
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("{{ bos_token }}", ""))
    packed = write_gguf(folder, tmp_path / "model.gguf", name="tiny", numbers="f32")
    assert any("none does there" in note for note in packed.notes)
    assert check_gguf(tmp_path / "model.gguf", folder, "f32").n_chats == 8


def test_a_model_without_a_template_is_held_to_plain_texts(tmp_path: Path) -> None:
    """They begin as its tokenizer begins them, with a space of SentencePiece's and with the token for it."""
    with quiet_libraries():
        folder = save_mistral(tmp_path / "mistral", legacy=True)
    (folder / "chat_template.jinja").unlink()
    packed = write_gguf(folder, tmp_path / "model.gguf", name="tiny", numbers="f32")
    assert any("no chat template" in note for note in packed.notes)
    with pytest.raises(ModelError, match="reads ' a space before"):  # as that note says
        check_gguf(tmp_path / "model.gguf", folder, "f32")


@pytest.mark.parametrize("numbers", NUMBERS)
def test_numbers_are_rounded_as_their_format_has_it(tiny_model: Path, tmp_path: Path, numbers: Any) -> None:
    """Next tokens are as near as the format allows, and vectors stay in 32 bits."""
    from gguf import GGUFReader

    packed = write_gguf(tiny_model, tmp_path / "model.gguf", name="tiny", numbers=numbers)
    assert (packed.numbers, packed.n_bytes) == (numbers, (tmp_path / "model.gguf").stat().st_size)
    found = check_gguf(tmp_path / "model.gguf", tiny_model, numbers)
    assert (found.mean_gap < 1e-5) is (numbers == "f32")
    formats = {one.name: one.tensor_type.name for one in GGUFReader(tmp_path / "model.gguf").tensors}
    assert formats["blk.0.attn_q.weight"] == formats["token_embd.weight"] == numbers.upper()
    assert formats["output_norm.weight"] == formats["blk.1.ffn_norm.weight"] == "F32"


def test_a_file_says_what_it_is_and_nothing_of_this_machine(tmp_path: Path) -> None:
    """Name, template, special tokens, a second end; a window that llama.cpp has not bounds the longest text."""
    from gguf import GGUFReader

    with quiet_libraries():
        save_llama_3(tmp_path / "llama")
        save_mistral(tmp_path / "mistral", window=512)
    write_gguf(tmp_path / "llama", tmp_path / "llama.gguf", name="harbour dpo")
    told = {key: field.contents() for key, field in GGUFReader(tmp_path / "llama.gguf").fields.items()}
    ends = {role: told[f"tokenizer.ggml.{role}_token_id"] for role in ("bos", "eos", "eot")}
    assert (told["general.name"], ends) == ("harbour dpo", {"bos": 0, "eos": 2, "eot": 0})
    assert told["tokenizer.ggml.add_bos_token"] is True
    assert "<|im_start|>" in told["tokenizer.chat_template"]
    assert str(tmp_path).encode() not in (tmp_path / "llama.gguf").read_bytes()
    packed = write_gguf(tmp_path / "mistral", tmp_path / "mistral.gguf", name="m")
    assert GGUFReader(tmp_path / "mistral.gguf").fields["llama.context_length"].contents() == 512
    assert any("looks back over 512 tokens" in note for note in packed.notes)


def test_the_check_finds_what_is_wrong(tmp_path: Path) -> None:
    """Other weights, another way to cut text, another template: each is named."""
    with quiet_libraries():
        here, there = save_qwen(tmp_path / "here"), save_qwen(tmp_path / "there")
    from safetensors.torch import load_file, save_file

    weights = load_file(there / "model.safetensors")
    name = "model.layers.1.self_attn.k_proj.weight"
    save_file({**weights, name: weights[name].flip(0)}, there / "model.safetensors", metadata={"format": "pt"})
    _require_refusal(there, here, r"next tokens likelier or less likely by \d\.\d+ nats .*\(n 160\), where 0\.005")
    save_file(weights, there / "model.safetensors", metadata={"format": "pt"})
    template = (there / "chat_template.jinja").read_text()
    (there / "chat_template.jinja").write_text(template.replace("'\n'", "' '"))
    _require_refusal(there, here, "renders a conversation as")
    (there / "chat_template.jinja").write_text(template)
    tokenizer = json.loads((there / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:10]
    (there / "tokenizer.json").write_text(json.dumps(tokenizer))
    _require_refusal(there, here, "reads .* as the tokens")


def _require_refusal(written: Path, here: Path, why: str) -> None:
    file = written.with_suffix(".gguf")
    write_gguf(written, file, name="other", numbers="f32")
    with pytest.raises(ModelError, match=why):
        check_gguf(file, here, "f32")


def test_what_llama_cpp_would_not_follow_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    """An architecture, positions, a way to cut text, merges that it would make: each by name, and nothing is left."""
    out = tmp_path / "model.gguf"
    for change, why in (
        ({"architectures": ["GPT2LMHeadModel"]}, "architecture GPT2LMHeadModel cannot be written as GGUF here"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}}, "positions of the kind 'yarn'"),
        ({"vocab_size": 100}, r"a token \d+, and the model a vocabulary of 100"),
    ):
        with pytest.raises(ModelError, match=why):
            write_gguf(_changed(tiny_model, tmp_path / "changed", "config.json", change), out, name="x")
    steps = {"pre_tokenizer": {"type": "Whitespace"}}
    with pytest.raises(ModelError, match=r"cuts text in a way that cannot be written .*: Whitespace"):
        write_gguf(_changed(tiny_model, tmp_path / "changed", "tokenizer.json", steps), out, name="x")
    make_pieces(n_missing=3).save_pretrained(
        _changed(tiny_model, tmp_path / "pieces", "config.json", {"vocab_size": 700})
    )
    with pytest.raises(ModelError, match=r"never joins '.+' and '.+' to its token '.+', and llama.cpp would"):
        write_gguf(tmp_path / "pieces", out, name="x")
    assert not out.exists()


def _changed(model: Path, folder: Path, name: str, change: dict[str, Any]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(model, folder)
    told = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(told | change))
    return folder


def test_numbers_that_sixteen_bits_do_not_hold_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    """They would be infinite in f16, and fit in bf16."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "large"
    shutil.copytree(tiny_model, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] = 1e5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"'model\.layers\.0.mlp\.up_proj\.weight' has numbers .* take bf16"):
        write_gguf(folder, tmp_path / "model.gguf", name="x", numbers="f16")
    assert [path.name for path in tmp_path.iterdir()] == ["large"]
    write_gguf(folder, tmp_path / "model.gguf", name="x", numbers="bf16")


def test_where_nothing_can_be_written_it_is_said(tiny_model: Path, tmp_path: Path) -> None:
    """The folder is named that is none."""
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_gguf(tiny_model, tmp_path / "file" / "model.gguf", name="x")
