"""A small file of each foreign layout, written for the tests: name, suffix, and what it holds."""

from __future__ import annotations

import json
from typing import Any

ANSWER_IMPROVEMENT: dict[str, Any] = {
    "system_message_user_prompt": "You help at a harbour office.",
    "system_message_critique": "You review answers.",
    "system_message_revision": "You improve answers.",
    "critique_revision_few_shots": [
        {
            "input": "When does the ferry leave?",
            "initial_answer": "At nine.",
            "critique_principle": "Say whether the time zone is named.",
            "critique": "It is not.",
            "revision_principle": "Name the time zone.",
            "revision": "At nine, harbour time.",
        },
        {
            "input": "Is the pier open?",
            "initial_answer": "Yes.",
            "critique_principle": "Say whether the hours are named.",
            "revision_principle": "Name the hours.",
            "revision": "Yes, until six.",
        },
    ],
    "critique_revision_principles": [
        {"critique": "Say whether the tide is named.", "revision": "Name the tide."},
        {"critique": "Say whether the wind is named.", "revision": "Name the wind."},
    ],
    "comparison_few_shots": [
        {
            "task": "Consider the following conversation between a human (H) and an assistant (A):\n\nH: Hello\n\n"
            "A: Good morning.\n\nH:  Is it safe\nto sail?\n\nWhich response names the wind?\n"
            " (A) [[[Yes.]]]\n (B) [[[Yes, the wind is low.\n\nMind the tide.]]]",
            "chain_of_thought": "Let's think step by step:\nOnly (B) names it.",
            "selected_answer": "So the answer is: (B)",
        }
    ],
    "comparison_principles": ["Which response is of more use to a sailor?"],
}
TITLED = [
    {"id": 1, "title": "Care", "description": "Care for those at sea.", "category": "People"},
    {"id": 2, "title": "Caf\u00e9 manners", "description": "Be polite."},
]
EXPLAINED = [
    {
        "principle": "Dignity",
        "explanation": "Treat every guest as a person.",
        "references": ["Rule 1", "Rule 2"],
        "category": "People",
    },
    {"principle": "Tell the truth."},
]
REQUESTED = [
    {
        "principle": "Name the tide.",
        "critique": "Say whether the tide is named.",
        "revision": "Name the tide, please.",
        "id": "tide",
        "category": "Sea",
    }
]
CONFIG = """\
src_principles: 'constitution.json'
# a comment
red_team:
  RT_SYSTEM_PROMPT: "You write prompts."
  RT_NUM_RTP_PER_CALL: 10
  Variance: "Vary {principle}, 100 %."
sft:
  SFT_USER_PROMPT: "Answer {rt_prompt}: {initial_response}"
pref:
  NUM_PREF_PER_CALL: 2
  VARIANCE:
principles:
  CRITIQUE_PROMPT: "Turn {principle} into a request."
"""
COUNTRY_FEW_SHOTS = {
    "xx_few_shot_red_team_prompts": [
        {
            "adversarial_prompt": "Write that sailors are fools.",
            "correct_model_response_to_adversarial_prompt": "No.",
            "incorrect_model_response_to_adversarial_prompt": "They are.",
        }
    ],
    "xx_few_shot_prompts": [],
}
ROWS = {"0": [{"adversarial_prompt": "Write that sailors are fools."}], "1_3": []}
INSTRUCTIONS = {
    "harbour0": {
        "prompt": ["\n\nCritiqueRequest: Say whether the harbour is named: {x}.\n\nCritique:"],
        "edit_request": "\n\nRevisionRequest: Name the harbour.\n\nRevision:",
    },
    "harbour1": {
        "prompt": ["\n\nCritiqueRequest: Say whether the\n\npier is named.\n\nCritique:"],
        "edit_request": "\n\nRevisionRequest: Name the pier.\n\nRevision:",
    },
}
_FIRST = (
    "\n\nHuman: Hello\n\nAssistant: Hello.\n\nHuman: Which pier?\n\nAssistant: Any.\n\nCritiqueRequest: Is it named?"
    "\n\nCritique: It is not.\n\nRevisionRequest: Name it.\n\nRevision: Pier 4.\n\nHuman:"
)
_SECOND = (
    "\n\nHuman: And now?\n\nAssistant: Wait.\n\nCritiqueRequest: Is it kind?\n\nCritique: It is short.\n\nAnd curt."
    "\n\nRevisionRequest: Be kind.\n\nRevision: Please wait."
)
TRANSCRIPTS = [_FIRST, _SECOND]
COMPARISONS = [
    "\nPlease choose the response that names the harbour. Options:",
    "\nWhich response is kinder? Options:",
]
COMPARISON_SHOTS = [
    {"prompt": "\n\nHuman: May I swim?\n\nAssistant:", "corrects": ["Not here."], "incorrects": ["Sure."]},
    {"prompt": "\n\nHuman: May I dive?\n\nAssistant:", "corrects": ["With a guide."], "incorrects": ["Sure."]},
]
REASONED = [
    {
        "prompt": f"{start}Human: Consider the following conversation between a human (H) and an assistant (A):\n\n"
        "H: Hello\n\nA:  Hello.\n\nH:  May I swim?\n\n{}\n (A) [[[Not here.]]]\n (B) [[[Sure.\n\nGo on.]]]\n\n"
        "Assistant: Let's think step by step:\n(A) is careful.\n\nSo it is better.\n\nHuman:\nSo the answer is: (A)"
    }
    for start in ("\n\n", "\n", "")
]
RECIPE_STYLE = {
    "constitutions": [{"critic": "Say whether the wind is named.", "revision": "Name the wind."}],
    "system_chat": [
        [
            {"role": "user", "content": "May I sail?"},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Say whether the wind is named."},
            {"role": "assistant", "content": "It is not."},
            {"role": "user", "content": "Name the wind."},
            {"role": "assistant", "content": "Yes, the wind is low."},
        ]
    ],
}
MARKDOWN = """\
# House rules

We wrote these down in spring.

## People

- **Care**: Care for those at sea.
- Be polite,
  also when it rains.

  Even then.

```text
- no principle
```

| a | b |
|---|---|
| 1 | 2 |

## Sea

1. Which of these responses names the tide?
2) Name the wind.
"""
PLAIN = "Care for those at sea.\r\n\r\n# Sea\r\nName the {wind}: 100 %.\r\n"
REGISTRY = {
    "schema_version": "1.1",
    "id": "harbour-care",
    "title": "Harbour care",
    "version": "1.2",
    "role": "supplementary",
    "in_basis": False,
    "summary": "Care at sea.",
    "overview": "Much care at sea.",
    "criteria": [
        "Prefer the response that names the tide.",
        {
            "comparative": "Prefer the response that names the wind.",
            "reasoning": "Wind matters.",
            "scenarios": ["May I sail?"],
        },
    ],
    "voices": {"first_person": ["I name the tide."]},
    "license": "CC-BY-4.0",
}
TRAITS = [
    {"trait": "I name the tide.", "questions": ["When is high tide?", "May I swim?"], "clarification": "Always."},
    {"trait": "I name the wind."},
]

EXAMPLES: dict[str, tuple[str, str, str]] = {
    "answer-improvement": ("answer-improvement", ".json", json.dumps(ANSWER_IMPROVEMENT, indent=1)),
    "titled": ("principle-list", ".json", json.dumps(TITLED, indent=1)),
    "explained": ("principle-list", ".json", json.dumps(EXPLAINED, indent=1)),
    "requested": ("principle-list", ".json", json.dumps(REQUESTED, indent=1)),
    "config": ("country-config", ".yaml", CONFIG),
    "country-few-shots": ("country-few-shots", ".json", json.dumps(COUNTRY_FEW_SHOTS)),
    "instructions": ("paper-instructions", ".json", json.dumps(INSTRUCTIONS, indent=1)),
    "transcripts": ("paper-few-shots", ".json", json.dumps(TRANSCRIPTS)),
    "transcripts-by-name": ("paper-few-shots", ".json", json.dumps({"few-shot": TRANSCRIPTS, "old": TRANSCRIPTS[:1]})),
    "comparisons": ("paper-comparisons", ".json", json.dumps(COMPARISONS, indent=1)),
    "comparison-shots": ("paper-comparison-few-shots", ".json", json.dumps(COMPARISON_SHOTS)),
    "reasoned": ("paper-chain-of-thought", ".json", json.dumps(REASONED)),
    "recipe-style": ("recipe-style", ".json", json.dumps(RECIPE_STYLE)),
    "markdown": ("markdown", ".md", MARKDOWN),
    "plain": ("markdown", ".txt", PLAIN),
    "texts": ("markdown", ".json", json.dumps(["Care for those at sea.", "Which response is kinder?"])),
    "registry": ("registry", ".json", json.dumps(REGISTRY)),
    "traits": ("traits", ".json", json.dumps(TRAITS, indent=1)),
    "traits-as-text": ("traits", ".txt", json.dumps(TRAITS, indent=1)),
    "titled-yaml": ("principle-list", ".yaml", "- {id: 1, title: Care, description: Care for those at sea.}\n"),
}
"""By name: the layout, the file's suffix, its text."""
