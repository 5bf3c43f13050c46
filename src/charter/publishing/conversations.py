"""Layouts of lists of messages, or of plain texts: TRL, the alignment handbook, Axolotl, LLaMA-Factory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from charter.publishing.contents import json_document, json_lines
from charter.publishing.layout import File, Layout, Options, Part, Written, message, messages, sift
from charter.records import Preference, Prompt, SftRow

Row = dict[str, Any]

_SFT = frozenset({"prompt", "turns", "response"})
_PREFERENCES = frozenset({"prompt", "turns", "chosen", "rejected"})
_PROMPTS = frozenset({"prompt", "turns"})
_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system"}


def _lines(rows: Sequence[Any], _: Options, *, name: str, make: Callable[[Any], Row], is_text: bool = False) -> Written:
    kept, left_out = sift(rows, is_text=is_text)
    return Written({f"{name}.jsonl": File(len(kept), json_lines(map(make, kept)))}, left_out)


def _answer(text: str) -> list[Row]:
    return [message("assistant", text)]


def _trl_sft(row: SftRow) -> Row:
    return {"prompt": messages(row.prompt.turns), "completion": _answer(row.response)}


def _trl_preference(row: Preference) -> Row:
    return {
        "prompt": messages(row.prompt.turns),
        "chosen": _answer(row.chosen),
        "rejected": _answer(row.rejected),
    }


def _trl_prompt(row: Prompt) -> Row:
    return {"prompt": messages(row.turns)}


TRL: Layout = {
    "prompts": Part(partial(_lines, name="prompts", make=_trl_prompt), _PROMPTS),
    "sft": Part(partial(_lines, name="sft", make=_trl_sft), _SFT),
    "preferences": Part(partial(_lines, name="preferences", make=_trl_preference), _PREFERENCES),
}


def _standard_sft(row: SftRow) -> Row:
    return {"prompt": row.prompt.text, "completion": row.response}


def _standard_preference(row: Preference) -> Row:
    return {"prompt": row.prompt.text, "chosen": row.chosen, "rejected": row.rejected}


TRL_STANDARD: Layout = {
    "prompts": Part(partial(_lines, name="prompts", make=lambda row: {"prompt": row.text}, is_text=True), _PROMPTS),
    "sft": Part(partial(_lines, name="sft", make=_standard_sft, is_text=True), _SFT),
    "preferences": Part(partial(_lines, name="preferences", make=_standard_preference, is_text=True), _PREFERENCES),
}


def _handbook_sft(row: SftRow) -> Row:
    turns = messages(row.prompt.turns)
    return {"prompt": row.prompt.text, "prompt_id": row.prompt.id, "messages": [*turns, *_answer(row.response)]}


def _handbook_preference(row: Preference) -> Row:
    turns = messages(row.prompt.turns)
    return {
        "prompt": row.prompt.text,
        "prompt_id": row.prompt.id,
        "chosen": [*turns, *_answer(row.chosen)],
        "rejected": [*turns, *_answer(row.rejected)],
    }


ALIGNMENT_HANDBOOK: Layout = {
    "sft": Part(partial(_lines, name="sft", make=_handbook_sft), _SFT | {"prompt_id"}),
    "preferences": Part(partial(_lines, name="preferences", make=_handbook_preference), _PREFERENCES | {"prompt_id"}),
}


def _axolotl_sft(row: SftRow) -> Row:
    return {"messages": [*messages(row.prompt.turns), *_answer(row.response)]}


def _axolotl_preference(row: Preference) -> Row:
    return {
        "messages": messages(row.prompt.turns),
        "chosen": message("assistant", row.chosen),
        "rejected": message("assistant", row.rejected),
    }


AXOLOTL: Layout = {
    "sft": Part(partial(_lines, name="sft", make=_axolotl_sft), _SFT),
    "preferences": Part(partial(_lines, name="preferences", make=_axolotl_preference), _PREFERENCES),
}


def _speech(one: Mapping[str, str]) -> Row:
    return {"from": _SPEAKERS[one["role"]], "value": one["content"]}


def _factory_sft(row: SftRow) -> Row:
    return {"conversations": [_speech(one) for one in _axolotl_sft(row)["messages"]]}


def _factory_preference(row: Preference) -> Row:
    return {
        "conversations": [_speech(one) for one in messages(row.prompt.turns)],
        "chosen": {"from": "gpt", "value": row.chosen},
        "rejected": {"from": "gpt", "value": row.rejected},
    }


def _factory(rows: Sequence[Any], _: Options, *, name: str, make: Callable[[Any], Row]) -> Written:
    """Write a list of conversations, and what ``dataset_info.json`` is to say of it."""
    ranked = {"chosen": "chosen", "rejected": "rejected"} if name == "preferences" else {}
    information = {
        f"charter_{name}": {
            "file_name": f"{name}.json",
            "formatting": "sharegpt",
            **({"ranking": True} if ranked else {}),
            "columns": {"messages": "conversations", **ranked},
        }
    }
    made = [make(row) for row in rows]
    return Written(
        {f"{name}.json": File(len(made), json_document(made))},
        shared={"dataset_info.json": information},
    )


LLAMA_FACTORY: Layout = {
    "sft": Part(partial(_factory, name="sft", make=_factory_sft), _SFT),
    "preferences": Part(partial(_factory, name="preferences", make=_factory_preference), _PREFERENCES),
}
