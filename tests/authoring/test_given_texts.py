from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.authoring.few_shots import read_examples
from charter.authoring.given_texts import PREF, SFT, Section, fill_slots, read_given_texts
from charter.authoring.red_team import FIELDS
from charter.errors import PromptError

CONFIG = """\
src_principles: 'p.json'
red_team:
  RT_SYSTEM_PROMPT: "You write hard questions."
  RT_NUM_RTP_PER_CALL: 4
  RT_USER_PROMPT: "{num_rtp_per_call} on {principle}"
  rt_user_prompt_few_shot: "{num_rtp_per_call} on {principle}, like {few_shot_samples}"
  Variance: "Vary {settings}."
sft:
  SFT_SYSTEM_PROMPT: "x"
"""


def test_slots_are_filled_once_and_verbatim() -> None:
    """What is put in is never looked at again, and other braces stay."""
    values = {"principle": "{few_shot_samples} {0.__class__} %s \\1", "few_shot_samples": "{principle}"}
    text = "{principle}|{few_shot_samples}|{other}|{{principle}}"
    assert fill_slots(text, values) == (
        "{few_shot_samples} {0.__class__} %s \\1|{principle}|{other}|{{few_shot_samples} {0.__class__} %s \\1}"
    )


def test_a_configuration_is_read_in_any_case(tmp_path: Path) -> None:
    """Keys are found in upper, lower and mixed case; the text with examples is used where there are some."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG, "utf-8")
    texts = read_given_texts(path)
    assert texts.system == "You write hard questions."
    assert texts.per_call == 4
    values = {"principle": "truth", "num_rtp_per_call": "2", "few_shot_samples": "[x]"}
    assert texts.request(values, examples=True) == "2 on truth, like [x]\n\nVary {settings}."
    assert texts.request(values, examples=False) == "2 on truth\n\nVary {settings}."
    assert texts.shows_examples(examples=True)
    assert not texts.shows_examples(examples=False)


def test_the_section_is_found_in_any_case(tmp_path: Path) -> None:
    """As whoever reads the file for its principles finds it."""
    path = tmp_path / "config.yaml"
    path.write_text("Red_Team:\n  Rt_User_Prompt: On {principle}\n", "utf-8")
    assert read_given_texts(path).user == "On {principle}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("red_team:\n  VARIANCE: x\n  Variance: y\n", ":3: 'Variance' is there twice, in different case"),
        ("sft: {}", "there is no section 'red_team'"),
        ("red_team:\n  VARIANCE: x\n", ":1: neither RT_USER_PROMPT"),
        ("red_team:\n  RT_USER_PROMPT: [x]\n", ":2: RT_USER_PROMPT is \\['x'\\]; expected a text"),
        ("red_team:\n  RT_USER_PROMPT: x\n  RT_NUM_RTP_PER_CALL: none\n", ":3: RT_NUM_RTP_PER_CALL is 'none'"),
        ("red_team:\n  RT_USER_PROMPT: x\n  RT_NUM_RTP_PER_CALL: 1001\n", ":3: .* a whole number from 1 to 1,000"),
        ("red_team:\n  RT_USER_PROMPT: x\n  RT_NUM_RTP_PER_CALL: true\n", ":3: RT_NUM_RTP_PER_CALL is True"),
        (
            "red_team:\n  RT_USER_PROMPT: On {principel}.\n",
            r":2: RT_USER_PROMPT has no \{principle\}, so that the model",
        ),
        ("red_team:\n\n  rt_user_prompt_few_shot: x\n", r":3: rt_user_prompt_few_shot has no \{principle\}"),
        ("red_team: [RT_USER_PROMPT]\n", ":1: there is no section 'red_team'"),
        ("- red_team\n", ":1: there is no section 'red_team'"),
        ("red_team:\n  RT_USER_PROMPT: &a x\n  VARIANCE: *a\n", ":2: the anchor .* is not allowed"),
        ("red_team:\n  RT_USER_PROMPT: !!python/object:os.system x\n", ":2: the tag .* is not allowed"),
        ("red_team:\n  RT_USER_PROMPT: x\n  RT_USER_PROMPT: y\n", ":3: key .* is used twice"),
    ],
)
def test_a_wrong_configuration_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The file, the line and what was expected are named."""
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(PromptError, match=message):
        read_given_texts(path)


@pytest.mark.parametrize(
    ("section", "text", "message"),
    [
        (SFT, "red_team: {}\n", "there is no section 'sft'; expected SFT_SYSTEM_PROMPT, SFT_USER_PROMPT"),
        (SFT, "sft:\n  SFT_USER_PROMPT: Critique '{rt_prompt}' by {principle}.\n", r":2: .* no \{initial_response\},"),
        (SFT, "sft:\n  SFT_NUM_SFT_PER_CALL: 0\n", ":2: SFT_NUM_SFT_PER_CALL is 0; expected a whole number"),
        (PREF, "PREF:\n  PREF_USER_PROMPT: Answer twice.\n", r":2: .* has no \{principle\}, \{rt_prompt\}, so that"),
        (PREF, "pref:\n  PREF_SYSTEM_PROMPT: 3\n", ":2: PREF_SYSTEM_PROMPT is 3; expected a text"),
        (PREF, f"pref:\n  VARIANCE: {[list(range(99))] * 9}\n", r":2: VARIANCE is \[\[0, 1, .{88,94}\.\.\.; expected"),
    ],
)
def test_a_wrong_section_is_refused(tmp_path: Path, section: Section, text: str, message: str) -> None:
    """The wording of revisions and of preferences is held to the slots that it needs."""
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(PromptError, match=message):
        read_given_texts(path, section)


def test_every_section_is_read(tmp_path: Path) -> None:
    """Each has its own keys, and VARIANCE may be empty."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "sft:\n  SFT_SYSTEM_PROMPT: You criticise.\n  SFT_NUM_SFT_PER_CALL: 1\n"
        '  sft_user_prompt: "{rt_prompt}|{initial_response}|{principle}"\n'
        '  SFT_USER_PROMPT_FEW_SHOT: "{rt_prompt}|{initial_response}|{principle}|{few_shot_samples}"\n'
        "pref:\n  NUM_PREF_PER_CALL: 2\n  VARIANCE:\n"
        '  PREF_USER_PROMPT: "{num_pref_per_call} {principle} {rt_prompt}"\n',
        "utf-8",
    )
    sft, pref = read_given_texts(path, SFT), read_given_texts(path, PREF)
    assert (sft.system, sft.per_call, pref.per_call, pref.variance) == ("You criticise.", 1, 2, "")
    values = {"rt_prompt": "{principle}", "initial_response": "b", "principle": "c", "few_shot_samples": "d"}
    assert (sft.request(values, examples=False), sft.request(values, examples=True)) == (
        "{principle}|b|c",
        "{principle}|b|c|d",
    )
    assert pref.request({**values, "num_pref_per_call": "2"}, examples=False) == "2 c {principle}"


def test_examples_of_a_country_are_read(tmp_path: Path) -> None:
    """Lists under any name, with the long keys or the short ones."""
    path = tmp_path / "few.json"
    rows = [
        {
            "adversarial_prompt": "Who?",
            "correct_model_response_to_adversarial_prompt": "No {one}.",
            "incorrect_model_response_to_adversarial_prompt": "She.",
        },
        {"adversarial_prompt": "Why?", "correct_response": "So.", "incorrect_response": "Because."},
    ]
    path.write_text(json.dumps({"xx_few_shot_red_team_prompts": rows, "xx_few_shot_prompts": [{"a": "b"}]}), "utf-8")
    assert read_examples(path, FIELDS) == (
        {"prompt": "Who?", "aligned": "No {one}.", "misaligned": "She."},
        {"prompt": "Why?", "aligned": "So.", "misaligned": "Because."},
    )


def test_examples_in_json_lines_are_read(tmp_path: Path) -> None:
    """The rows that the command writes serve as examples; those of twins are passed over."""
    path = tmp_path / "few.jsonl"
    rows = [
        {"prompt": "Who?", "aligned": "No.", "misaligned": "She.", "principle": "truth", "number": 3},
        {"prompt": "What?", "kind": "benign_twin", "twin_of": "x"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (example,) = read_examples(path, FIELDS)
    assert example == {"prompt": "Who?", "aligned": "No.", "misaligned": "She.", "principle": "truth"}


def test_an_example_without_a_response_is_refused(tmp_path: Path) -> None:
    """The place and the missing text are named."""
    path = tmp_path / "few.jsonl"
    path.write_text('{"prompt": "Who?", "aligned": "No."}\n', "utf-8")
    with pytest.raises(PromptError, match=r"few\.jsonl:1: the example has no text under 'misaligned'"):
        read_examples(path, FIELDS)
