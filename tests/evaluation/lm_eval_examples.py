"""Tasks of lm-eval that need no hub: questions with options and texts to go on with, in files beside their YAML."""

from __future__ import annotations

import json
from pathlib import Path

QUESTIONS = [
    {
        "question": f"What keeps boat {n // 2} from the rocks?",
        "choices": ["a lamp", "the class", "a pin"],
        "answer": n % 3,
    }
    for n in range(8)
]
QUESTIONS[7] = QUESTIONS[0]  # the same document twice

_CHOICES = """\
task: harbour_choices
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/questions.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""
_TEXTS = """\
task: harbour_texts
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/questions.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}} Answer:"
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {until: ["e"], max_gen_toks: 12, do_sample: false}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
_PASSAGES = """\
task: harbour_passages
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/questions.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list:
  - {metric: word_perplexity}
"""


def write_tasks(folder: Path) -> Path:
    """Write the tasks ``harbour_choices``, ``harbour_texts`` and ``harbour_passages`` into a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "questions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in QUESTIONS), "utf-8")
    for name, text in (("choices", _CHOICES), ("texts", _TEXTS), ("passages", _PASSAGES)):
        (folder / f"{name}.yaml").write_text(text.replace("FOLDER", str(folder)), "utf-8")
    return folder
