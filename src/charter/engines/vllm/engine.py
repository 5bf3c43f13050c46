"""The engine: a base, or an adapter on it, behind the one protocol."""

from __future__ import annotations

import numpy as np

from charter.engines.base import (
    Capability,
    Choice,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Score,
    ScoreRequest,
)
from charter.engines.rendering import Renderer
from charter.engines.tokenizers import find_end_ids, load_tokenizer
from charter.engines.usage import PrefixStatistics
from charter.engines.vllm.base import Host
from charter.engines.vllm.launch import context_of
from charter.engines.vllm.requests import (
    Output,
    Parameters,
    choosing_parameters,
    drawing_parameters,
    read_choice,
    read_completion,
    read_score,
    scoring_parameters,
)
from charter.engines.weights import ModelFolder, model_fingerprint
from charter.errors import EngineError
from charter.seeds import digest


class VllmEngine:
    """A model in vLLM: adapters share their base's memory and passes, and are not merged into it.

    Args:
        folder: a resolved model.
        host: its base, which outlives this engine.

    Raises:
        ModelError: vLLM cannot load the model, or put the adapter on it.
    """

    def __init__(self, folder: ModelFolder, host: Host) -> None:
        self._host, self._adapter = host, folder.adapter
        self._host.require(self._adapter)
        tokenizer = load_tokenizer(folder)
        self._own_context = context_of(folder.path)
        self._renderer = Renderer(tokenizer, self._host.n_context)
        self._end_ids = find_end_ids(tokenizer, *_configurations(folder)) | {self._renderer.end_of_turn}
        self._identity = digest(["vllm", model_fingerprint(folder), self._host.dtype])
        self.prefix_statistics = PrefixStatistics()
        self._is_closed = False

    @property
    def identity(self) -> str:
        """What determines the answers: weights, adapter, tokenizer and number format."""
        return self._identity

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything; messages only with a chat template."""
        always: frozenset[Capability] = frozenset({"complete", "choose", "score", "text", "schema", "prefill"})
        return always | {"chat"} if self._renderer.chats else always

    async def complete(self, request: CompletionRequest) -> Completion:
        """Draw a text.

        Raises:
            EngineError: where memory or a setting cut it short of what the model itself has room for: the same question
                would be answered otherwise elsewhere, and an answer is remembered for everywhere.
        """
        ids = self._renderer.render(request, 1).ids.tolist()
        room = self._host.n_context - len(ids)
        max_tokens = min(request.sampling.max_tokens, room)
        parameters = drawing_parameters(request.sampling, max_tokens, self._end_ids, request.json_schema)
        completion = read_completion(await self._put(ids, parameters))
        if completion.finish == "length" and max_tokens < request.sampling.max_tokens:
            self._require_own_room(len(ids), request.sampling.max_tokens)
        return completion

    async def choose(self, request: ChoiceRequest) -> Choice:
        """Read the options' log-probabilities."""
        ids = self._renderer.render(request, 1).ids.tolist()
        options = self._renderer.option_ids(request)
        return read_choice(await self._put(ids, choosing_parameters(options)), options)

    async def score(self, request: ScoreRequest) -> Score:
        """Read a continuation's log-probability."""
        prompt = self._renderer.render(request).ids
        wanted = self._renderer.continuation_ids(request, prompt)
        if not wanted:
            return Score(logprob=0.0, n_tokens=0, n_prompt_tokens=len(prompt))
        self._renderer.require_room(len(prompt) + len(wanted), 1)  # vLLM draws one token more
        ids = np.concatenate((prompt, wanted)).tolist()
        return read_score(await self._put(ids, scoring_parameters()), wanted)

    def _require_own_room(self, n_prompt: int, max_tokens: int) -> None:
        here, own = self._host.n_context, self._own_context
        if here < own:
            raise EngineError(
                f"a text of {max_tokens} tokens after a prompt of {n_prompt} was cut: there is room for {here}, the "
                f"model reads {own}; lower max_tokens, raise n_context, or give the model more memory"
            )

    def close(self) -> None:
        """Refuse further calls; the host goes on."""
        self._is_closed = True

    async def _put(self, ids: list[int], parameters: Parameters) -> Output:
        if self._is_closed:
            raise EngineError("this engine is closed; make a new one")
        output = await self._host.generate(ids, parameters, self._adapter)
        self.prefix_statistics.n_prompt_tokens += len(ids)
        self.prefix_statistics.n_from_cache += output.n_cached_tokens
        return output


def _configurations(folder: ModelFolder) -> list[object]:
    """Read where else a model declares its end tokens."""
    from transformers import AutoConfig, GenerationConfig

    found: list[object] = [AutoConfig.from_pretrained(folder.path, trust_remote_code=folder.trust_remote_code)]
    if (folder.path / "generation_config.json").is_file():
        found.append(GenerationConfig.from_pretrained(folder.path))
    return found
