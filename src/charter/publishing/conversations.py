"""Layouts of lists of messages, or of plain texts: TRL, the alignment handbook, Axolotl, LLaMA-Factory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from charter.publishing.contents import Column, json_document, json_lines
from charter.publishing.layout import (
    File,
    Layout,
    Options,
    Part,
    Written,
    hub_splits,
    message,
    messages,
    parted,
    prompt_of,
    sift,
)
from charter.records import Preference, Prompt, SftRow

Row = dict[str, Any]

_PROMPTS = frozenset({"prompt", "turns", "split"})
_SFT = _PROMPTS | {"response"}
_PREFERENCES = _PROMPTS | {"chosen", "rejected"}
_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system"}


def _lines(rows: Sequence[Any], _: Options, *, name: str, make: Callable[[Any], Row], is_text: bool = False) -> Written:
    kept, left_out = sift(rows, is_text=is_text)
    files = {f"{part}.jsonl": File(len(some), json_lines(map(make, some))) for part, some in parted(name, kept)}
    return Written(files, left_out)


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


#: Those of the datasets that its recipes name: a split has all of them, so that a folder loads with all its splits.
_HANDBOOK_COLUMNS: Mapping[str, Column] = {
    "prompt": "text",
    "prompt_id": "text",
    "chosen": "messages",
    "rejected": "messages",
    "messages": "messages",
}


def _handbook(rows: Sequence[Any], _: Options, *, kind: str, make: Callable[[Any], Row]) -> Written:
    def whole(row: Any) -> tuple[str, Row]:
        prompt = prompt_of(row)
        return prompt.split, {"prompt": prompt.text, "prompt_id": prompt.id, **make(row)}

    return Written(hub_splits(_HANDBOOK_COLUMNS, map(whole, rows), kind))


def _whole(row: SftRow) -> list[Row]:
    return [*messages(row.prompt.turns), *_answer(row.response)]


def _handbook_sft(row: SftRow) -> Row:
    return {"chosen": [], "rejected": [], "messages": _whole(row)}


def _handbook_preference(row: Preference) -> Row:
    turns = messages(row.prompt.turns)
    chosen = [*turns, *_answer(row.chosen)]
    return {"chosen": chosen, "rejected": [*turns, *_answer(row.rejected)], "messages": chosen}


ALIGNMENT_HANDBOOK: Layout = {
    "sft": Part(partial(_handbook, kind="sft", make=_handbook_sft), _SFT | {"prompt_id"}),
    "preferences": Part(partial(_handbook, kind="prefs", make=_handbook_preference), _PREFERENCES | {"prompt_id"}),
}


def _axolotl_sft(row: SftRow) -> Row:
    """Say of each message whether it is to be learnt: left to itself it learns what the assistant said earlier, too."""
    spoken = [{**turn, "train": False} for turn in messages(row.prompt.turns)]
    return {"messages": [*spoken, {**message("assistant", row.response), "train": True}]}


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
    return {"conversations": [_speech(one) for one in _whole(row)]}


def _factory_preference(row: Preference) -> Row:
    return {
        "conversations": [_speech(one) for one in messages(row.prompt.turns)],
        "chosen": {"from": "gpt", "value": row.chosen},
        "rejected": {"from": "gpt", "value": row.rejected},
    }


def _factory(rows: Sequence[Any], _: Options, *, name: str, make: Callable[[Any], Row]) -> Written:
    """Write lists of conversations, and what ``dataset_info.json`` is to say of each."""
    kept, left_out = sift(rows, alternates=True)
    ranked = {"chosen": "chosen", "rejected": "rejected"} if name == "preferences" else {}
    files: dict[str, File] = {}
    entries: dict[str, Row] = {}
    for part, some in parted(name, kept):
        files[f"{part}.json"] = File(len(some), json_document([make(row) for row in some]))
        entries[f"charter_{part}"] = {
            "file_name": f"{part}.json",
            "formatting": "sharegpt",
            **({"ranking": True} if ranked else {}),
            "columns": {"messages": "conversations", **ranked},
        }
    return Written(files, left_out, shared={"dataset_info.json": entries})


LLAMA_FACTORY: Layout = {
    "sft": Part(partial(_factory, name="sft", make=_factory_sft), _SFT),
    "preferences": Part(partial(_factory, name="preferences", make=_factory_preference), _PREFERENCES),
}
