"""The country layout: JSON objects of lists, by the position of a principle, or of a principle and a prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from charter.constitution.model import Constitution
from charter.given.principles import split_key
from charter.publishing.cai_conversation import earlier_rounds
from charter.publishing.contents import json_document
from charter.publishing.layout import File, Layout, Options, Part, Written, sift
from charter.records import Preference, Prompt, Trace

NO_PRINCIPLE = "of no principle of the constitution"
NOT_RED_TEAM = "no red-team prompt"
_SOURCE_ID = "source_id"

Keyed = dict[str, list[dict[str, str]]]


class _Positions:
    """Where principles stand: in the constitution, or else in the order in which they are met."""

    def __init__(self, constitution: Constitution | None) -> None:
        self._known = {} if constitution is None else {name: n for n, name in enumerate(constitution.ids)}
        self._is_closed = constitution is not None

    def find(self, principle: str) -> int | None:
        """Give a principle's position by its id, or by a key that begins with it; None where there is none."""
        if principle not in self._known:
            key = split_key(principle)
            if key is not None:
                return key[0]  # of the constitution that a given file was made with
            if self._is_closed:
                return None
            self._known[principle] = len(self._known)
        return self._known[principle]


def red_team_row(prompt: str, correct: str, incorrect: str) -> dict[str, str]:
    """Make a row of a red team."""
    return {
        "adversarial_prompt": prompt,
        "correct_model_response_to_adversarial_prompt": correct,
        "incorrect_model_response_to_adversarial_prompt": incorrect,
    }


def revision_row(prompt: str, response: str, critique: tuple[str, str], revision: tuple[str, str]) -> dict[str, str]:
    """Make a row of a critique and a revision, each with the request that it answers before it."""
    return {
        "initial_prompt": prompt,
        "initial_response": response,
        "critique_prompt": critique[0],
        "critique_response": critique[1],
        "revision_prompt": revision[0],
        "revision_response": revision[1],
    }


def preference_row(prompt: str, chosen: str, rejected: str, reasoning: str) -> dict[str, str]:
    """Make a row of a preference."""
    return {"prompt": prompt, "chosen_response": chosen, "rejected_response": rejected, "reasoning": reasoning}


def keyed_file(keyed: Keyed) -> File:
    """Write rows under keys such as ``"0"`` and ``"0_3"``, in the order of their numbers."""
    ordered = dict(sorted(keyed.items(), key=lambda item: tuple(map(int, item[0].split("_")))))
    return File(sum(map(len, ordered.values())), json_document(ordered))


def _prompts(rows: Sequence[Prompt], options: Options) -> Written:
    red_team = [row for row in rows if row.kind == "red_team"]
    kept, left_out = sift(red_team, is_text=True)
    left_out[NOT_RED_TEAM] += len(rows) - len(red_team)
    positions = _Positions(options.constitution)
    keyed: Keyed = {}
    for prompt in kept:
        position = positions.find(prompt.principle)
        if position is None:
            left_out[NO_PRINCIPLE] += 1
        else:
            keyed.setdefault(str(position), []).append(red_team_row(prompt.text, prompt.reference or "", ""))
    return _written("red_team.json", keyed, left_out)


def _traces(rows: Sequence[Trace], options: Options) -> Written:
    kept, left_out = sift(rows, is_text=True, has_rounds=True)
    made = [(trace, trace.prompt.principle or trace.rounds[-1].principle, _of_trace(trace)) for trace in kept]
    return _keyed("sft.json", made, left_out, options, earlier_rounds(kept))


def _of_trace(trace: Trace) -> dict[str, str]:
    last = trace.rounds[-1]
    return revision_row(
        trace.prompt.text,
        trace.initial,
        (last.critique_request, last.critique),
        (last.revision_request, last.revision),
    )


def _preferences(rows: Sequence[Preference], options: Options) -> Written:
    kept, left_out = sift(rows, is_text=True)
    made = [(one, one.prompt.principle or _judged_by(one), _of_preference(one)) for one in kept]
    return _keyed("preferences.json", made, left_out, options)


def _judged_by(one: Preference) -> str:
    return one.verdicts[0].principle if one.verdicts else ""


def _of_preference(one: Preference) -> dict[str, str]:
    chains = [chain for verdict in one.verdicts for chain in verdict.chains]
    return preference_row(one.prompt.text, one.chosen, one.rejected, chains[0] if chains else "")


def _keyed(
    name: str,
    made: Sequence[tuple[Any, str, dict[str, str]]],
    left_out: Counter[str],
    options: Options,
    lost: tuple[str, ...] = (),
) -> Written:
    """Put rows under ``principle_prompt``: under the key that they came with, where it is of that principle."""
    positions = _Positions(options.constitution)
    keyed: Keyed = {}
    n_of: Counter[int] = Counter()
    for row, principle, values in made:
        position = positions.find(principle)
        if position is None:
            left_out[NO_PRINCIPLE] += 1
            continue
        came_with = split_key(row.prompt.source_id)
        if came_with is None or came_with[0] != position:
            key = f"{position}_{n_of[position]}"
            lost = lost if _SOURCE_ID in lost or not row.prompt.source_id else (*lost, _SOURCE_ID)
        else:
            key = row.prompt.source_id
        n_of[position] += 1
        keyed.setdefault(key, []).append(values)
    return _written(name, keyed, left_out, lost)


def _written(name: str, keyed: Keyed, left_out: Counter[str], lost: tuple[str, ...] = ()) -> Written:
    return Written({name: keyed_file(keyed)}, +left_out, lost)


_SHARED = frozenset({"prompt", "turns", "principle"})
COUNTRY: Layout = {
    "prompts": Part(_prompts, _SHARED | {"reference"}),
    "traces": Part(_traces, _SHARED | {_SOURCE_ID, "initial", "rounds"}),
    "preferences": Part(_preferences, _SHARED | {_SOURCE_ID, "chosen", "rejected"}),
}
