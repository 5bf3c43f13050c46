"""Well-formed answers without a model, to try a command of this room: rows of made-up prose in the form asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from charter.engines.base import CompletionRequest
from charter.engines.scripted import draw_prose
from charter.seeds import digest

_KEYS = re.compile(r'^- "(\w+)": ', re.MULTILINE)
_LABELS = re.compile(r"^([A-Z][a-z]+(?: [a-z]+)?): ", re.MULTILINE)
_HOW_MANY = re.compile(r"^Write (?:up to )?(\d+) (?:objects|rows)\b", re.MULTILINE)
_PASSAGE = re.compile(r"The passage:\n\n(.*?[.!?](?=\s)|.*)")


def dry_answer(request: CompletionRequest) -> str:
    """Answer a request for rows: as many as are asked for, with a drawn text in each field."""
    turns = [turn.content for turn in request.messages or ()]
    shown = "\n\n".join(turns) if turns else request.text or ""
    counts = _HOW_MANY.findall(shown)
    n = int(counts[-1]) if counts else 1
    seed = digest([shown, request.sampling.seed])
    keys = _KEYS.findall(shown)
    if keys:
        passage = _PASSAGE.search(shown)
        quoted = passage[1] if passage else ""
        rows = [{key: _text(key, f"{seed} {place}", quoted) for key in dict.fromkeys(keys)} for place in range(n)]
        return json.dumps(rows)
    labels = _labels(turns[0] if turns else shown, begun=not turns)
    written = "\n\n".join(
        "\n".join(f"{label}: {_text(label, f'{seed} {place}', '')}" for label in labels) for place in range(n)
    )
    return written if turns else written.removeprefix(f"{labels[0]}:" if labels else "")


def _labels(shown: str, *, begun: bool) -> Sequence[str]:
    """Read which labels a row has: of the form that is described, or of the example before text that is begun."""
    if not begun:
        return tuple(dict.fromkeys(_LABELS.findall(shown)))
    first = shown.rpartition("\n")[2].partition(":")[0]
    examples = shown.split("\n####\n")[:-1]
    labels = _LABELS.findall(examples[-1]) if examples else []
    return labels[labels.index(first) :] if first in labels else (first,)


def _text(name: str, seed: str, quoted: str) -> str:
    prose = draw_prose(f"{seed} {name}")
    match name:
        case "quotation":
            return quoted
        case "title" | "category":
            return " ".join(prose.split()[:3]).strip(",.")
        case "choice_question" | "Choice question":
            return "Which response keeps to the principle better?"
        case "critique_request" | "Critique request":
            return "Does the last response keep to the principle? Say whether it does, and why."
        case _:
            return prose
