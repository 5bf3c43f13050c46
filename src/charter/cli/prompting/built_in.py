"""``charter prompts list`` and ``show``: the built-in prompts."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Annotated

import typer

from charter.cli import console
from charter.cli.options import AsJson, examples


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("list", epilog=examples("charter prompts list", "charter prompts list --json"))(list_kinds)
    app.command("show", epilog=examples("charter prompts show red_team", "charter prompts show helpful --json"))(show)


class Kind(StrEnum):
    """What prompts are for."""

    red_team = "red_team"
    benign_twin = "benign_twin"
    helpful = "helpful"


def list_kinds(as_json: AsJson = False) -> None:
    """Count the built-in prompts by kind and category."""
    from charter.prompts import load_prompts

    counts = {
        kind.value: dict(
            sorted(Counter(prompt.category for prompt in load_prompts("built-in", kind.value).prompts).items())
        )
        for kind in Kind
    }
    if as_json:
        console.write_json(counts)
        return
    rows = [(kind, category, str(n)) for kind, by_category in counts.items() for category, n in by_category.items()]
    console.write_columns(("kind", "category", "prompts"), rows, right=(2,))


def show(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="red_team, benign_twin or helpful.")],
    category: Annotated[
        str | None, typer.Option("--category", metavar="C", help="Of this category alone.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show built-in prompts with their ids."""
    from charter.errors import PromptError
    from charter.prompts import load_prompts

    prompts = load_prompts("built-in", kind.value).prompts
    chosen = [prompt for prompt in prompts if category in (None, prompt.category)]
    if not chosen:
        known = ", ".join(sorted({prompt.category for prompt in prompts}))
        raise PromptError(f"no {kind.value} prompt has the category {category!r}; there are {known}")
    if as_json:
        console.write_json([prompt.model_dump(mode="json") for prompt in chosen])
        return
    for prompt in chosen:
        console.write(f"{prompt.id}  {prompt.category}\n  {prompt.text}")
