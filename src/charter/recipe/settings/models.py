"""Which models play which roles, and what runs them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from charter.recipe.settings.section import KEY_NAME, LIST_TO_TUPLE, Settings, ShortFor

_Text = Annotated[str, Field(min_length=1)]


class ModelSettings(Settings):
    """A model and the engine that runs it."""

    name: str = Field(description="embedded name, folder, adapter folder or Hugging Face id; of a server, its own name")
    engine: Literal["transformers", "vllm", "vllm-server", "http", "scripted"] = "transformers"
    server: Annotated[_Text | Annotated[tuple[_Text, ...], Field(min_length=1)] | None, LIST_TO_TUPLE] = Field(
        default=None,
        description="of engine http: openai, huggingface, vllm, llama-server, ollama, or addresses that share the load",
    )
    key_name: str | None = Field(
        default=None,
        pattern=KEY_NAME,
        description="the environment variable with the server's key, in capitals; None takes the server's usual one",
    )
    max_at_once: int = Field(default=64, ge=1, description="calls of this model under way to each server, at most")
    call_seconds: float = Field(default=120.0, gt=0.0, description="of one try of a call to a server")
    deadline_seconds: float = Field(default=900.0, gt=0.0, description="of all tries of a call to a server")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    device: str = "auto"
    max_rows: int | None = Field(
        default=None, ge=1, description="rows that one forward pass serves; None takes 64, of vllm 256"
    )
    n_context: int | None = Field(
        default=None, ge=64, description="the longest text in tokens; None takes the model's own limit"
    )
    memory_share: float = Field(
        default=0.9, gt=0.0, le=1.0, description="of a GPU's memory, which vllm takes for weights and caches"
    )
    n_gpus: int = Field(default=1, ge=1, description="GPUs over which vllm divides each layer")
    compiled: bool | None = Field(
        default=None, description="whether vllm compiles layers, a minute at its start; None does so on a GPU alone"
    )
    trust_remote_code: bool = Field(
        default=False, description="run code that comes with the model: only if you read it"
    )


Model = Annotated[ModelSettings, ShortFor("name")]


class Models(Settings):
    """Which model plays which role; a role that is not named is played by the policy's base model."""

    policy: Model
    critic: Model | None = None
    reviser: Model | None = None
    judge: Model | None = None
    red_team: Model | None = Field(default=None, description="writes prompts, where they are 'generated'")
    second_judge: Model | None = Field(
        default=None, description="compares answers while RL trains, and is never trained against; `null` asks nobody"
    )
