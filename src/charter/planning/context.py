"""How much a model can read and write at once, and how it counts that; no weights are loaded."""

from __future__ import annotations

from charter.engines.inspection import CONFIGURATION, read_configuration
from charter.engines.tokenizers import load_tokenizer
from charter.engines.weights import resolve_model
from charter.errors import ModelError
from charter.planning.sizing import CountTokens

_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len")


def find_context(model: str) -> tuple[CountTokens, int]:
    """Find a way to count a model's tokens, and the most that its context holds; nothing is fetched.

    Raises:
        ModelError: where the model is not on this machine, or does not say how much it reads.
    """
    folder = resolve_model(model, allow_download=False)
    configuration = read_configuration(folder.path / CONFIGURATION)
    inner = configuration.get("text_config")
    places = [configuration, inner] if isinstance(inner, dict) else [configuration]
    declared = [place[name] for place in places for name in _NAMES if isinstance(place.get(name), int)]
    if not declared:
        raise ModelError(
            f"{folder.path / CONFIGURATION} does not say how long a context the model has (looked for "
            f"{', '.join(_NAMES)}); give it with --context"
        )
    tokenizer = load_tokenizer(folder)

    def count(text: str) -> float:
        return float(len(tokenizer.encode(text, add_special_tokens=False)))

    return count, declared[0]
