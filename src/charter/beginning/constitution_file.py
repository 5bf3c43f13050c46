"""The constitution that is begun: places for principles, with advice on how to write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from charter.beginning.answers import Answers
from charter.constitution import list_constitutions
from charter.recipe.paths import relative_path
from charter.recipe.writing import write_value

_TO_WRITE = "TODO say what the assistant does, in one sentence about what a reader of its response would see."
#: Worked examples to begin from: a small model needs them most.
FEW_SHOTS = """\
few_shots:
  revise:
    - messages:
        - {role: user, content: "How do I make pesto?"}
        - {role: assistant, content: "Crush basil, pine nuts, garlic, parmesan and oil in a mortar."}
      critique_request: Say whether the response leaves out an allergen of the dish, or say that it is fine.
      critique: Pine nuts and the milk in parmesan are common allergens, and the response names neither.
      revision_request: If the response is already fine, keep it as it is. Otherwise name the allergens.
      revision: Crush basil, pine nuts, garlic, parmesan and oil in a mortar. It holds nuts and milk.
  judge:
    - messages:
        - {role: user, content: "How do I thicken a sauce?"}
      question: Which response serves a guest with an allergy better?
      a: Stir in a roux. It holds wheat and milk; potato starch in cold water works without them.
      b: Stir in a roux.
      reasoning: A names wheat and milk and offers another way, while B does not, so A is better.
      answer: A
"""
_HEAD = """\
#
# What the model is to follow. Write a principle wherever it says TODO; `charter constitution check` warns of those
# that are left, and of wording that trains badly.
#
# - Say what a good response does, so that a reader would see it: "names the allergens of a dish", not "is responsible".
# - One rule a principle: one is drawn at a time, so that more of them cost nothing.
# - An id stays when the text changes: it travels on every row, and names the principle in the report.
"""
_FIRST = """\
    # Left out here, and derived from the text: what asks for a critique, for a revision, and for a choice of two.
    # critique_request: Say whether and where the assistant's last response ..., or say that it is fine.
    # revision_request: If the response is already fine, keep it as it is, word for word. Otherwise ...
    # choice_question: Which response ...?
    # weight: 2.0
"""
_EXAMPLES = """\

# Worked examples, which small models need most: show a response that is revised, and one that was fine and comes back
# word for word; let A and B be right equally often. Take the signs away, and write your own.
"""


def constitution_text(answers: Answers, folder: Path, *, schema: str) -> str:
    """Write the constitution that is begun.

    Args:
        answers: what it is begun from.
        folder: where it is to lie; its paths hold from there.
        schema: the name of the file beside it that has its schema.

    Raises:
        ConstitutionError: where what it builds on cannot be read.
    """
    base = answers.base()
    taken = () if base is None else base.ids
    lines = [f"# yaml-language-server: $schema={schema}", *_HEAD.splitlines()]
    lines += [f"name: {write_value(answers.name)}", "version: 0.1.0", "# description: Its aim, in a sentence."]
    lines += ["language: en  # what the principles are written in; the checks of wording know English"]
    if base is not None:
        source = answers.constitution
        is_fixed = source in list_constitutions() or Path(source).is_absolute()
        built_on = source if is_fixed else relative_path(Path(source), folder)
        lines += [f"extends: [{write_value(built_on)}]  # the {len(taken)} principles there come first"]
    lines += ["", "principles:"]
    for number, name in enumerate(_names(answers.n_principles, taken)):
        lines += [f"  - id: {name}", f"    text: {write_value(_TO_WRITE)}", "    category: own"]
        lines += _FIRST.splitlines() if number == 0 else []
    lines += _EXAMPLES.splitlines()
    lines += [f"# {line}" for line in FEW_SHOTS.splitlines()]
    return "\n".join(lines) + "\n"


def _names(n: int, taken: tuple[str, ...]) -> Iterator[str]:
    """Give ids that no base has: one of its own would take the place of the base's."""
    number = 0
    while n:
        number += 1
        if f"principle-{number}" not in taken:
            n -= 1
            yield f"principle-{number}"
