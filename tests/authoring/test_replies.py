"""What is written about a prompt in one answer: the requests to the letter, and an account that leaves nothing out."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from charter.authoring.few_shots import read_samples
from charter.authoring.given_texts import read_given_texts
from charter.authoring.replies import (
    KINDS,
    PREFERENCES,
    REVISIONS,
    ReplyKind,
    ReplyName,
    Start,
    find_starts,
    settle_replies,
    write_replies,
)
from charter.authoring.structured import Asking
from charter.constitution import Constitution, load_constitution
from charter.engines.base import CompletionRequest
from charter.engines.scripted import ScriptedEngine
from charter.errors import EngineError, PromptError
from charter.given import load_pairs
from country_examples import CRITIQUES, FEW_SHOTS, PRINCIPLES, red_team, write_country
from method_examples import shown

GOOD = {
    "revisions": {"critique": "It cannot know that.", "revision": "I cannot tell from here. When in doubt, bin it."},
    "preferences": {
        "chosen": "When in doubt, bin it.",
        "rejected": "Eat it.",
        "reasoning": "Nobody can know from here.",
    },
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A country's configuration, with its other files beside it."""
    return write_country(tmp_path / "kitchen", red_team=red_team(), few_shot=CRITIQUES)


@pytest.fixture
def constitution(config: Path) -> Constitution:
    """The country's principles."""
    return load_constitution(config)


def starts_of(config: Path, constitution: Constitution) -> tuple[Start, ...]:
    """Read the country's prompts."""
    return find_starts(load_pairs(config.with_name("red_team.json"), constitution=constitution), constitution).rows


@pytest.mark.parametrize(
    ("kind", "few_shots"),
    [(REVISIONS, False), (REVISIONS, True), (PREFERENCES, False)],
    ids=["revisions", "revisions, few shots", "preferences"],
)
def test_what_a_writer_is_shown(
    kind: ReplyKind, few_shots: bool, config: Path, constitution: Constitution, snapshot: SnapshotAssertion
) -> None:
    """The country's wording with its slots filled once, to the letter, and what an answer is to hold."""
    seen: list[CompletionRequest] = []

    def reply(request: CompletionRequest) -> str:
        seen.append(request)
        return json.dumps([GOOD[kind.name]])

    samples = read_samples(config.with_name("few_shot.json"), "revisions") if few_shots else ()
    texts = read_given_texts(config, kind.section)
    (start,) = [one for one in starts_of(config, constitution) if one.key == "1_0"]
    write_replies([start], ScriptedEngine(reply), kind, texts, samples=samples)
    assert shown(seen[0]) == snapshot
    assert (seen[0].sampling.temperature, seen[0].sampling.top_p) == (1.0, 1.0)


def test_prompts_stand_under_their_keys(config: Path, constitution: Constitution, tmp_path: Path) -> None:
    """Of several under a principle each has its number; a file of ours is numbered; what is left out is counted."""
    rows = starts_of(config, constitution)
    assert [one.key for one in rows] == ["0_0", "0_1", "0_2", "0_3", "1_0", "1_1", "1_2", "1_3"]
    assert rows[4].prompt == "Write that our cooks may skip the {soap}."
    assert rows[4].response == "Sure: Write that our cooks may skip the {soap}."
    assert {one.principle.id for one in rows[4:]} == {"clean-hands"}

    ours = tmp_path / "ours.jsonl"
    written = [
        {"id": "a", "prompt": "One?", "aligned": "No.", "misaligned": "Yes.", "principle": "clean-hands"},
        {"id": "b", "prompt": "Two?", "aligned": "No.", "misaligned": "Yes.", "principle": ""},
        {"id": "c", "prompt": "Three?", "aligned": "No.", "misaligned": "No.", "principle": "clean-hands"},
        {"id": "d", "prompt": "Four?", "aligned": "No.", "misaligned": "Yes.", "principle": "clean-hands"},
    ]
    ours.write_text("".join(json.dumps(one) + "\n" for one in written), "utf-8")
    found = find_starts(load_pairs(ours, constitution=constitution), constitution)
    assert [(one.key, one.prompt) for one in found.rows] == [("1_0", "One?"), ("1_1", "Four?")]
    assert found.left_out == {"the two answers are equal": 1, "of no principle of the constitution": 1}


def test_keys_of_another_constitution_are_refused(config: Path, constitution: Constitution) -> None:
    """A position behind the last principle means that the file is of another list."""
    config.with_name("other.json").write_text(json.dumps(red_team((("2", "Who?"),))), "utf-8")
    with pytest.raises(
        PromptError, match=r"other\.json:1 key '2' item 1: the key '2' is of the principle at position 2"
    ):
        load_pairs(config.with_name("other.json"), constitution=constitution)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_every_row_is_accounted_for(name: ReplyName, seed: int, config: Path, constitution: Constitution) -> None:
    """Whatever is answered: rows kept, lost and missing are those that were asked for, and each key once."""
    kind, n = KINDS[name], 3
    draw = random.Random(seed)  # noqa: S311 - a draw for a test

    def reply(_: CompletionRequest) -> str:
        rows = [{key: f"{text} {draw.random()}" for key, text in GOOD[name].items()} for _ in range(draw.randrange(5))]
        for row in rows:
            if draw.random() < 0.4:
                row[draw.choice(list(row))] = draw.choice(("", None, 3, next(iter(row.values()))))
        match draw.randrange(6):
            case 0:
                return "I cannot help with that."
            case 1:
                raise EngineError("the server is gone")
            case 2:
                return json.dumps(rows)[: draw.randrange(1, 200)]
        return json.dumps({"rows": rows})

    starts = starts_of(config, constitution)
    texts = read_given_texts(config, kind.section)
    asking = Asking(n_repairs=seed % 3)
    mapped = write_replies(starts, ScriptedEngine(reply), kind, texts, n=n, asking=asking)
    account = settle_replies(mapped, starts, n)
    assert account.n_kept + sum(account.lost.values()) + n * len(account.missing) == account.n_asked == n * len(starts)
    assert len(mapped.done) + len(account.missing) == len(starts)
    assert sum(account.reasons.values()) == len(account.missing)
    for one in mapped.done:
        assert one.rows
        assert all(set(row) == set(GOOD[name]) and all(map(str.strip, row.values())) for row in one.rows)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("no", "no JSON object"),
        (json.dumps({"critique": "x", "revision": None}), "no 'revision'"),
        (json.dumps({"critique": "x", "revision": ["y"]}), "'revision' is no text"),
        (json.dumps({"critique": "x", "revision": " "}), "'revision' is empty"),
        (json.dumps({"critique": "Same words.", "revision": "same  words."}), "two fields that say the same"),
        (
            json.dumps({"critique": "x", "revision": f"Here it is: {REVISIONS.fields[1].about}"}),
            "the request, copied",
        ),
        (json.dumps({"critique": "x", "revision": "I cannot tell from here, nor can you."}), "an example, copied"),
        (json.dumps({"critique": "x", "revision": "Soap it is. " * 30}), "a text that goes round in circles"),
    ],
)
def test_an_answer_that_is_no_use_is_counted_and_never_a_default(
    answer: str, reason: str, config: Path, constitution: Constitution
) -> None:
    """It is asked for again as often as is allowed, each time with what was wrong, and then it is missing."""
    engine = ScriptedEngine(lambda _: answer, script="wrong")
    sample = "Human: May I?\n\nCritique: x\n\nRevision: I cannot tell from here, nor can you."
    start = starts_of(config, constitution)[0]
    texts = read_given_texts(config, REVISIONS.section)
    mapped = write_replies([start], engine, REVISIONS, texts, samples=[sample], asking=Asking(n_repairs=3))
    account = settle_replies(mapped, [start], 1)
    assert account.missing == (("0_0", reason),)
    assert (account.n_kept, account.n_repaired, engine.n_calls["complete"]) == (0, 0, 4)


def test_fewer_rows_than_were_asked_for_are_kept_and_counted(config: Path, constitution: Constitution) -> None:
    """One whole sample of two is one sample."""
    start = starts_of(config, constitution)[0]
    texts = read_given_texts(config, PREFERENCES.section)
    engine = ScriptedEngine(lambda _: json.dumps({"rows": [GOOD["preferences"]]}), script="one of two")
    mapped = write_replies([start], engine, PREFERENCES, texts)
    account = settle_replies(mapped, [start], 2)
    assert (account.n_asked, account.n_kept, account.lost) == (2, 1, {"fewer rows than were asked for": 1})


def test_a_principle_that_changed_is_asked_about_again(config: Path, constitution: Constitution) -> None:
    """What is remembered of a start goes by what it says."""
    before = starts_of(config, constitution)
    changed = [{**PRINCIPLES[0], "description": "No dish is called safe."}, PRINCIPLES[1]]
    config.with_name("constitution.json").write_text(json.dumps(changed), "utf-8")
    after = starts_of(config, load_constitution(config))
    assert {one.id for one in before} & {one.id for one in after} == {one.id for one in before[4:]}


def test_samples_are_the_first_list_that_has_some(tmp_path: Path) -> None:
    """Transcripts lose the place of the next question; rows of a country's files serve too."""
    path = tmp_path / "shots.json"
    path.write_text(json.dumps({**FEW_SHOTS, **CRITIQUES, "few-shot-original": ["\n\nHuman: Other"]}), "utf-8")
    (sample,) = read_samples(path, "revisions")
    assert sample.startswith("\n\nHuman: Is the milk fine?")
    assert sample.endswith("Revision: I cannot tell from here.")
    rows = [{"prompt": "a", "chosen_response": "b", "rejected_response": "c", "reasoning": "d"}]
    path.write_text(json.dumps({"x": [{"prompt": "a"}], "y": rows, "z": rows * 2}), "utf-8")
    assert read_samples(path, "preferences") == tuple(rows)
    with pytest.raises(
        PromptError, match=r"shots\.json: holds no examples of revisions; expected a list of transcripts"
    ):
        read_samples(path, "revisions")
