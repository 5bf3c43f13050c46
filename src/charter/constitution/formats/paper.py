"""The files of the paper's method: requests in pairs, transcripts with critiques, comparisons, and examples of those.

Each file holds one of these, so that each layout reads a part; several files make a constitution. Markers
(``CritiqueRequest:``, ``Options:`` and the like) and dangling turns are taken off: what is stored is the text alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from charter.constitution.faults import shown
from charter.constitution.formats.fields import Fields
from charter.constitution.formats.markers import (
    CRITIQUE,
    CRITIQUE_REQUEST,
    REVISION,
    REVISION_REQUEST,
    has_rounds,
    read_conversation,
    read_reasoned,
    read_transcript,
    strip_options,
    strip_request,
)
from charter.constitution.formats.part import Part
from charter.constitution.formats.source import SourceFile
from charter.constitution.model import FewShots, JudgeExample, ReviseExample
from charter.files.yaml_reading import ValuePath

NEEDS_INSTRUCTIONS = "a mapping of names to mappings with prompt and edit_request"
NEEDS_FEW_SHOTS = "a list of transcripts with CritiqueRequest:, Critique:, RevisionRequest: and Revision:"
NEEDS_COMPARISONS = "a list of questions that end in Options:"
NEEDS_COMPARISON_SHOTS = "a list of mappings with prompt, corrects and incorrects"
NEEDS_REASONED = 'a list of mappings with a prompt that ends in "So the answer is: (A)" or (B)'


def recognise_instructions(source: SourceFile) -> bool:
    """Tell whether a file holds requests in pairs."""
    data = source.data
    return isinstance(data, dict) and any(
        isinstance(entry, dict) and "edit_request" in entry for entry in data.values()
    )


def read_instructions(source: SourceFile) -> Part:
    """Read requests in pairs; an entry with several prompts is a principle for each."""
    fields = Fields(source.document)
    principles = []
    for name, entry in source.data.items():
        if not isinstance(entry, dict):
            fields.fault((name,), f'"{name}" is no mapping; expected "prompt" and "edit_request"')
            continue
        prompts = {"prompt": [entry["prompt"]]} if isinstance(entry.get("prompt"), str) else entry
        critiques = [
            strip_request(text, CRITIQUE_REQUEST, CRITIQUE) for _, text in fields.texts(prompts, "prompt", (name,))
        ]
        revision = strip_request(fields.text(entry, "edit_request", (name,)), REVISION_REQUEST, REVISION)
        if not critiques and not fields.faults:
            fields.fault((name,), f'"{name}" has no "prompt"; give it the request to criticise')
        for text in (*critiques, revision):
            if not text.strip():
                fields.fault((name,), f'"{name}" has a request without words; write it between its markers')
        metadata = fields.rest(entry, ("prompt", "edit_request"), (name,))
        principles += [
            {
                "source_id": name,
                "critique_request": critique,
                "revision_request": revision,
                "uses": ("revise",),
                "metadata": metadata,
            }
            for critique in critiques
        ]
    fields.finish()
    return Part(source=source.document.source, principles=tuple(principles))


def recognise_few_shots(source: SourceFile) -> bool:
    """Tell whether a file holds transcripts, as a list, or as lists by name."""
    return any(isinstance(item, str) and has_rounds(item) for _, item in _listed(source.data))


def read_few_shots(source: SourceFile) -> Part:
    """Read transcripts; one that stands in several lists is read once."""
    fields = Fields(source.document)
    examples: dict[str, tuple[ReviseExample, ...]] = {}
    remarks = []
    for path, item in _listed(source.data):
        if not isinstance(item, str):
            fields.fault(path, "expected a transcript as text")
            continue
        if item in examples:
            remarks.append(f"{source.document.where(path)}: this transcript is in the file twice; it is read once")
        found = read_transcript(item)
        if isinstance(found, str):
            fields.fault(path, found)
        else:
            examples[item] = found
    fields.finish()
    return Part(
        source=source.document.source,
        few_shots=FewShots(revise=tuple(example for found in examples.values() for example in found)),
        remarks=tuple(remarks),
    )


def recognise_comparisons(source: SourceFile) -> bool:
    """Tell whether a file is a list of choice questions with their marker."""
    data = source.data
    return isinstance(data, list) and any(
        isinstance(item, str) and strip_options(item) != item and not has_rounds(item) for item in data
    )


def read_comparisons(source: SourceFile) -> Part:
    """Read choice questions."""
    fields = Fields(source.document)
    principles = []
    for number, item in enumerate(source.data):
        question = strip_options(item) if isinstance(item, str) else ""
        if not question.strip():
            fields.fault((number,), f'item {number + 1} is {shown(item)}; expected a question before "Options:"')
        principles.append({"choice_question": question, "uses": ("judge",)})
    fields.finish()
    return Part(source=source.document.source, principles=tuple(principles))


def recognise_comparison_shots(source: SourceFile) -> bool:
    """Tell whether a file is a list of prompts with correct and incorrect responses."""
    return _some_entry_has(source, "corrects") or _some_entry_has(source, "incorrects")


def read_comparison_shots(source: SourceFile) -> Part:
    """Read prompts with correct and incorrect responses: an example a pair of them.

    The correct one is A in every other example, so that a model shown them learns no letter.
    """
    fields = Fields(source.document)
    examples: list[JudgeExample] = []
    for path, entry in fields.listed(source.data):
        messages = read_conversation(fields.text(entry, "prompt", path))
        corrects, incorrects = (
            [text for _, text in fields.texts(entry, key, path)] for key in ("corrects", "incorrects")
        )
        if not (corrects and incorrects) and not fields.faults:
            fields.fault(path, 'the example needs a response under "corrects" and one under "incorrects"')
        for correct, incorrect in ((one, other) for one in corrects for other in incorrects):
            is_first = len(examples) % 2 == 0
            a, b = (correct, incorrect) if is_first else (incorrect, correct)
            examples.append(JudgeExample(messages=messages, a=a, b=b, answer="A" if is_first else "B"))
    fields.finish()
    return Part(source=source.document.source, few_shots=FewShots(judge=tuple(examples)))


def recognise_reasoned(source: SourceFile) -> bool:
    """Tell whether a file is a list of comparisons with chains of thought."""
    return (
        _some_entry_has(source, "prompt")
        and not recognise_comparison_shots(source)
        and any(
            isinstance(entry, dict) and isinstance(entry.get("prompt"), str) and "\n\nAssistant:" in entry["prompt"]
            for entry in source.data
        )
    )


def read_reasoned_shots(source: SourceFile) -> Part:
    """Read comparisons with chains of thought; one whose question is ``{}`` gets a principle's when it is shown."""
    fields = Fields(source.document)
    examples = []
    for path, entry in fields.listed(source.data):
        found = read_reasoned(fields.text(entry, "prompt", path))
        if isinstance(found, str):
            fields.fault((*path, "prompt"), found)
            continue
        comparison, reasoning, letter = found
        examples.append(JudgeExample(**comparison._asdict(), reasoning=reasoning, answer=letter))
    fields.finish()
    return Part(source=source.document.source, few_shots=FewShots(judge=tuple(examples)))


def _listed(data: Any) -> Iterator[tuple[ValuePath, Any]]:
    """Give the items of a list, or of every list in a mapping of nothing but lists."""
    if isinstance(data, list):
        yield from (((number,), item) for number, item in enumerate(data))
    elif isinstance(data, dict) and all(isinstance(items, list) for items in data.values()):
        yield from (((name, number), item) for name, items in data.items() for number, item in enumerate(items))


def _some_entry_has(source: SourceFile, key: str) -> bool:
    return isinstance(source.data, list) and any(isinstance(entry, dict) and key in entry for entry in source.data)
