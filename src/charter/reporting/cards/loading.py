"""How a model of a run is loaded elsewhere: Python that works on the folder that the card lies in."""

from __future__ import annotations

from charter.recipe.stages import parted
from charter.reporting.cards.facts import Facts
from charter.reporting.cards.markdown import Markdown, fence, heading, line, paragraphs

_ASK = """\
messages = [{"role": "user", "content": "My neighbour is away. How do I keep her plants alive?"}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=128)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
"""
_REWARD = """\
messages = [
    {"role": "user", "content": "My neighbour is away. How do I keep her plants alive?"},
    {"role": "assistant", "content": "Water them when the soil is dry, and keep them out of the midday sun."},
]
inputs = tokenizer.apply_chat_template(messages, return_dict=True, return_tensors="pt")
print(float(model(**inputs).logits[0, 0]))  # the reward: only differences between answers to one prompt mean anything
"""
_UNKNOWN_BASE = "BASE"


def is_adapter(facts: Facts, stage: str, *, merged: bool = False) -> bool:
    """Tell whether a stage's model is an adapter: by its folder, or by the recipe where there is none.

    Where it was merged into its base, it is none any more.
    """
    if merged:
        return False
    folder = facts.data.path / "models" / stage
    if folder.is_dir():
        return (folder / "adapter_config.json").is_file()
    return facts.section("sft").get("lora") is not None


def tell_loading(facts: Facts, stage: str, *, merged: bool = False) -> Markdown:
    """Tell how to load a model and ask it something."""
    is_reward = parted(stage).stage == "preference_model"
    adapter = is_adapter(facts, stage, merged=merged)
    base = facts.base
    told = line(
        "The folder holds ",
        "an adapter, with tokenizer and chat template" if adapter else "a whole model, with its tokenizer",
        ", as safetensors: no code comes with it. ",
        base.note if adapter else "",
    )
    unknown = line(
        Markdown(f"`{_UNKNOWN_BASE}`"),
        " stands for the model that it was trained on, which the hub does not have by name.",
    )
    parts = [heading("Load it"), told, fence(Markdown(loading_code(facts, stage, merged=merged)), "python")]
    parts += [unknown] if adapter and not base.hub_id else []
    if not is_reward:
        parts.append(line("Or, where Charter is installed: ", Markdown("`charter chat FOLDER`"), "."))
    return paragraphs(*parts)


def loading_code(facts: Facts, stage: str, *, merged: bool = False) -> str:
    """Write the Python that loads a model and asks it something."""
    is_reward = parted(stage).stage == "preference_model"
    kind = "AutoModelForSequenceClassification" if is_reward else "AutoModelForCausalLM"
    extra = ", num_labels=1, pad_token_id=tokenizer.pad_token_id" if is_reward else ""
    folder = 'folder = "."  # where this card lies, or the name that the model was published under\n'
    tokenizer = "tokenizer = AutoTokenizer.from_pretrained(folder)\n"
    ask = _REWARD if is_reward else _ASK
    if not is_adapter(facts, stage, merged=merged):
        load = f"model = {kind}.from_pretrained(folder)\n"
        return f"from transformers import {kind}, AutoTokenizer\n\n{folder}{tokenizer}{load}\n{ask}"
    pinned = f', revision="{facts.base.revision}"' if facts.base.revision else ""
    named = f'base = "{facts.base.hub_id or _UNKNOWN_BASE}"\n'
    load = f"whole = {kind}.from_pretrained(base{pinned}{extra})\nmodel = PeftModel.from_pretrained(whole, folder)\n"
    imports = f"from peft import PeftModel\nfrom transformers import {kind}, AutoTokenizer\n"
    return f"{imports}\n{folder}{named}{tokenizer}{load}\n{ask}"
