"""A run of a tiny model that reinforcement learning can begin in: its prompts, chains and preferences are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from charter.files.tables import write_table
from charter.recipe import load_recipe
from charter.records import Preference, Prompt, Round, Trace, make_prompt
from charter.runs.folder import Run, open_run
from training.training_rows import preference

RECIPE = """\
name: tiny
constitution: harmless
models:
  policy: {{name: {model}, dtype: float32, device: cpu}}
  second_judge: {{name: {model}, dtype: float32, device: cpu, max_rows: 2}}
sft: {{helpful_ratio: 0, twin_ratio: 0, batch_size: 2, guard: null, lora: {{r: 4, alpha: 8}}}}
label: {{held_out: 0.4, n_few_shots: 0, min_option_mass: 0}}
preference_model: {{batch_size: 2, learning_rate: 5e-3}}
dpo: null
rl:
  n: 5
  batch_size: 4
  n_samples: 2
  max_tokens: 6
  learning_rate: 1e-2
  rewards: {{preference_model: 1, judge: 0.5, length: 0.1, most_tokens: 3}}
  guard: {{every: 2, n_prompts: 2, max_tokens: 6, distinct: 0, repetition: 1, endings: 1, length: [0, 100], kl: 99,
           second_judge: 0.5}}
evaluate: {{harm: false, head_to_head: [], max_tokens: 4}}
"""


def trace(prompt: Prompt) -> Trace:
    """Make a chain of one round."""
    asked = {"critique_request": "", "critique": "", "revision_request": ""}
    one = Round(number=1, principle="x", revision=f"No: {prompt.text[:12]}", **asked)
    return Trace(id=f"trace-{prompt.id}", prompt=prompt, sample=0, initial="Yes.", rounds=(one,))


@contextmanager
def opened(folder: Path, model: Path, *overrides: str) -> Iterator[Run]:
    """Open a run whose prompts, chains and preferences are there already."""
    text = RECIPE.format(model=model)
    (folder / "tiny.yaml").write_text(text)
    recipe = load_recipe(folder / "tiny.yaml", overrides)
    with open_run(recipe, folder / "run", recipe_text=text) as run:
        red = [make_prompt(f"Harm number {number}: how is it done?", "red_team") for number in range(6)]
        plain = [make_prompt(f"Everyday thing {number}: how is it done?", "helpful") for number in range(6)]
        twins = [make_prompt("What looks like harm?", "benign_twin")]
        aside = [
            make_prompt(f"What is held out for evaluation as {kind}?", kind).model_copy(update={"split": "evaluation"})
            for kind in ("helpful", "red_team")
        ]
        write_table(run.data("prompts"), [*red, *plain, *twins, *aside], Prompt)
        write_table(run.data("traces"), [trace(prompt) for prompt in red[:4]], Trace)
        write_table(run.data("preferences"), [preference(n, 0.5 + n / 30) for n in range(8)], Preference)
        yield run
