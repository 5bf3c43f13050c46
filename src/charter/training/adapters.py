"""Models for training: a base with a LoRA adapter on it, and the folder that it is written to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from charter.engines.devices import choose_device, computes_in_bfloat16
from charter.engines.quiet import quiet_libraries
from charter.errors import ModelError
from charter.seeds import derive_seed
from charter.training import ranks
from charter.training.reward_head import HEAD, put_reward_head

if TYPE_CHECKING:
    from charter.engines.weights import ModelFolder

Precision = Literal["auto", "bfloat16", "float16", "float32", "float64"]
Half = Literal["bfloat16", "float16"]
Quantisation = Literal["4bit"]
Task = Literal["text", "reward"]

_ADAPTER = "default"  # the name under which PEFT keeps an adapter that was given none
_CONFIGURATION = "adapter_config.json"
_PEFT_TASKS: Mapping[Task, str] = {"text": "CAUSAL_LM", "reward": "SEQ_CLS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """A low-rank adapter (arXiv 2106.09685).

    Attributes:
        r: its rank.
        alpha: its scale: the update is multiplied by alpha / r.
        dropout: the share of inputs that are dropped in training; slows training on a CPU.
        targets: the names of the linear layers that are adapted; ``all-linear`` is all but the head.
        quantise: ``4bit`` trains it behind frozen weights of 4 bits (QLoRA, arXiv 2305.14314); None leaves them as they
            are computed with.
    """

    r: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"
    quantise: Quantisation | None = None


@dataclass(frozen=True, slots=True)
class Trainee:
    """A model ready to be trained.

    Attributes:
        model: a PEFT model whose adapter is trainable, or a plain model that is trainable as a whole.
        tokenizer: its tokenizer, with a padding token.
        base: what the base is called in the adapter's configuration; empty for a plain model.
        autocast: the half precision that products are to be computed in; None for the weights' own.
        device: where its weights are, with the number of the GPU.
        notes: what a person should know.
    """

    model: Any
    tokenizer: Any
    base: str
    autocast: Half | None
    device: torch.device
    notes: tuple[str, ...] = ()


def load_trainee(
    model: str | Path,
    *,
    lora: LoraSettings | None,
    seed: int,
    dtype: Precision = "auto",
    device: str = "auto",
    trust_remote_code: bool = False,
    task: Task = "text",
) -> Trainee:
    """Load a model to train it.

    An adapter's folder is loaded with its base, and that adapter is trained on, whatever ``lora`` says. Any other
    model gets a new adapter, or is trained as a whole where ``lora`` is None.

    Args:
        model: an embedded name, a model's or an adapter's folder, or a hub id.
        lora: the new adapter.
        seed: what the new adapter's random half is drawn from.
        dtype: the precision of the products; ``auto`` is bfloat16 where the hardware computes in it, else float32.
            What is trained is kept in float32 (or float64).
        device: ``auto`` is a GPU where there is one; else a torch device such as ``cpu`` or ``cuda:1``.
        trust_remote_code: whether code that the model brings may be run.
        task: ``text`` goes on from a text; ``reward`` puts one number to it, with a head that is trained as a whole.

    Raises:
        ModelError: for a model that does not exist or cannot be trained, or a device that this machine has not.
    """
    from charter.engines.weights import resolve_model

    place = choose_device(device)
    precision = training_precision(dtype, place)
    folder = resolve_model(str(model), trust_remote_code=trust_remote_code)
    half: Half | None = precision if precision in {"bfloat16", "float16"} else None
    whole = lora is None and folder.adapter is None
    # A frozen base is kept as it is computed with; weights that are trained themselves need float32's small steps.
    tokenizer = _load_tokenizer(folder)
    if lora is not None and lora.quantise:
        base = _load_quantised(folder, precision, place, tokenizer, task)
    else:
        base = load_base(folder, "float32" if whole and half else precision, tokenizer, task)
    with quiet_libraries():
        if folder.adapter is not None:
            trained, name = put_adapter(base, folder.adapter, task, is_trainable=True), _base_name(folder.adapter)
        elif lora is not None:
            trained = _new_adapter(base, lora, seed, task)
            name = _pin_base(trained, str(model)) if folder.source == "hub" else str(model)
        else:
            trained, name = base, ""
        if not ranks.shards_weights():  # which go to their places in parts, when the training begins
            trained = trained.to(
                place
            )  # only now: an adapter's first weights are drawn on the CPU, the same everywhere
    if half is not None:
        _leave_inputs_alone(trained)
    notes = _unused(lora, trained) if folder.adapter is not None and lora is not None else ()
    where = place if ranks.shards_weights() else next(trained.parameters()).device
    return Trainee(trained, tokenizer, name, half, where, notes)


def save_trained(model: Any, tokenizer: Any, folder: Path, base: str, state: dict[str, Any] | None = None) -> None:
    """Write what was trained so that ``peft`` (an adapter) or ``transformers`` (a whole model) loads it as it is.

    Tokenizer and chat template lie beside the weights. The base is named as it was given, a hub model's revision in
    PEFT's own field for it. ``state`` are the weights where the model has no more than a part of them.
    """
    from peft import PeftModel

    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(model, PeftModel):
        settings = model.peft_config[_ADAPTER]
        settings.base_model_name_or_path = base
        if isinstance(settings.target_modules, set):
            settings.target_modules = sorted(settings.target_modules)  # a set is written in another order each time
        if settings.task_type == _PEFT_TASKS["reward"]:
            settings.modules_to_save = [HEAD]  # PEFT adds its names for heads on every loading
        # The vocabulary is never changed; PEFT would ask the hub, by the base's name, whether it was.
        model.save_pretrained(
            folder, selected_adapters=[_ADAPTER], save_embedding_layers=False, state_dict=state, is_main_process=True
        )
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty card; a model's card is written on publishing
    else:
        model.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)


def training_precision(dtype: Precision, device: torch.device) -> Precision:
    """Choose the precision of the products: bfloat16 where the device multiplies it, else float32, if ``auto``.

    Raises:
        ModelError: for float16 on a CPU.
    """
    if dtype == "float16" and device.type == "cpu":
        raise ModelError("float16 cannot be trained on a CPU; say dtype bfloat16 or float32, or auto")
    if dtype == "auto":
        return "bfloat16" if computes_in_bfloat16(device) else "float32"
    return dtype


def _load_quantised(folder: ModelFolder, dtype: str, place: torch.device, tokenizer: Any, task: Task) -> Any:
    from charter.engines.quantising import four_bit_settings, keep_trainable

    if ranks.shards_weights():
        raise ModelError(
            "weights in 4 bits cannot be sharded; leave sft.lora.quantise out, or take training.launch several-gpus"
        )
    how = {"quantization_config": four_bit_settings(dtype), "device_map": {"": place}}
    base = load_base(folder, dtype, tokenizer, task, **how)
    keep_trainable(base)
    return base


def load_base(folder: ModelFolder, dtype: str, tokenizer: Any, task: Task, **settings: Any) -> Any:
    """Load a model's weights for a task; for rewards with a head, of zeros where the weights have none.

    Raises:
        ModelError: for what cannot be loaded, or has no head that rewards can be read off.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    if task == "reward":
        settings["num_labels"] = 1
    kind = AutoModelForCausalLM if task == "text" else AutoModelForSequenceClassification
    with quiet_libraries():
        try:
            model, loaded = kind.from_pretrained(
                folder.path,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                trust_remote_code=folder.trust_remote_code,
                output_loading_info=True,
                **settings,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"the model {folder.name!r} in {folder.path} cannot be loaded: {error}") from error
    if task == "reward":
        put_reward_head(model, tokenizer, is_new=f"{HEAD}.weight" in loaded["missing_keys"])
    return model


def _load_tokenizer(folder: ModelFolder) -> Any:
    from charter.engines.tokenizers import load_tokenizer

    tokenizer = load_tokenizer(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # masked by the attention mask, so that any token will do
    return tokenizer


def base_of(model: Any) -> Any:
    """Give the model that an adapter is on, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def put_adapter(base: Any, adapter: Path, task: Task, *, is_trainable: bool) -> Any:
    """Put an adapter on its base; one that was trained for texts gets the base's head for rewards, to be trained too.

    Args:
        base: as ``load_base`` loaded it for the task.
        adapter: the adapter's folder.
        task: what it is to be used for.
        is_trainable: whether it is trained on.
    """
    from peft import PeftConfig, PeftModel, get_peft_model, load_peft_weights, set_peft_model_state_dict

    settings = PeftConfig.from_pretrained(str(adapter))
    if task == "text" or settings.task_type == _PEFT_TASKS[task]:
        how = {"adapter_name": _ADAPTER, "is_trainable": is_trainable, "torch_device": "cpu"}
        return PeftModel.from_pretrained(base, str(adapter), **how)
    settings.task_type, settings.inference_mode = _PEFT_TASKS[task], not is_trainable
    weights = load_peft_weights(str(adapter), device="cpu")
    weights[f"base_model.model.{HEAD}.weight"] = getattr(base, HEAD).weight.detach().clone()
    model = get_peft_model(base, settings, adapter_name=_ADAPTER)
    set_peft_model_state_dict(model, weights, adapter_name=_ADAPTER)
    return model


def _new_adapter(base: Any, lora: LoraSettings, seed: int, task: Task) -> Any:
    from peft import LoraConfig, get_peft_model

    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    shape = {"r": lora.r, "lora_alpha": lora.alpha, "lora_dropout": lora.dropout}
    settings = LoraConfig(**shape, target_modules=targets, task_type=_PEFT_TASKS[task])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "adapter", "first weights"))
        try:
            return get_peft_model(base, settings)
        except ValueError as error:
            raise ModelError(f"the adapter cannot be put on the model (targets {lora.targets!r}): {error}") from error


def _pin_base(model: Any, name: str) -> str:
    """Put a hub model's revision where PEFT looks for it, and give the name without it."""
    name, _, revision = name.partition("@")
    model.peft_config[_ADAPTER].revision = revision or None
    return name


def _unused(lora: LoraSettings, model: Any) -> tuple[str, ...]:
    """Note that a trained adapter has another shape than what was asked for."""
    has = model.peft_config[_ADAPTER]
    if (has.r, has.lora_alpha) == (lora.r, lora.alpha):
        return ()
    asked = f"r {lora.r} and alpha {lora.alpha} were asked for"
    return (f"the adapter that is trained on keeps its r {has.r} and alpha {has.lora_alpha}; {asked}",)


def _base_name(adapter: Path) -> str:
    return str(json.loads((adapter / _CONFIGURATION).read_text("utf-8"))["base_model_name_or_path"])


def _leave_inputs_alone(model: Any) -> None:
    """Keep PEFT from copying every layer's input to float32, which autocast would only turn back."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.cast_input_dtype_enabled = False
