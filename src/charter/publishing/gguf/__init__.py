"""A model as one GGUF file, which llama.cpp and what is built on it load: weights, tokenizer and chat template."""

from charter.publishing.gguf.checking import Agreement, check_gguf
from charter.publishing.gguf.tensors import NUMBERS, Numbers
from charter.publishing.gguf.writing import Packed, write_gguf

__all__ = ["NUMBERS", "Agreement", "Numbers", "Packed", "check_gguf", "write_gguf"]
