"""``charter prompts read``: what a recipe would read of a file of prompts, and what it would leave out."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.options import AsJson, examples
from charter.cli.prompting.built_in import Kind

if TYPE_CHECKING:
    from charter.prompts import LoadedPrompts
    from charter.recipe.settings import PromptSource

_SHOWN = 3


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "read",
        epilog=examples(
            "charter prompts read xstest.csv benign_twin",
            "charter prompts read attacks.csv column=text 'where={language: [en, fr]}' limit=200 seed=0",
            "charter prompts read red_team.json principles=honest --n 10 --json",
        ),
    )(read)


def read(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A file, a saved folder or a dataset.", show_default=False)
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KIND] [KEY=VALUE]...",
            help="red_team (if not given), benign_twin or helpful; and keys of a source, as a recipe has them.",
            show_default=False,
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=0, metavar="N", help="So many prompts are shown.")] = _SHOWN,
    as_json: AsJson = False,
) -> None:
    """Read a file of prompts as a recipe would: its layout, what is kept, and what is left out and why."""
    from charter.prompts import load_prompts

    words = list(arguments or ())
    kind = _kind(words.pop(0)) if words and "=" not in words[0] else Kind.red_team
    loaded = load_prompts(kind=kind.value, **_source(source, words).model_dump())
    if as_json:
        console.write_json(_values(loaded, kind, n))
    else:
        _show(loaded, kind, n)


def _kind(word: str) -> Kind:
    from charter.errors import PromptError
    from charter.spelling import hint

    known = [kind.value for kind in Kind]
    if word not in known:
        raise PromptError(f"{word!r} is no kind of prompt, which are {', '.join(known)}{hint(word, known)}")
    return Kind(word)


def _source(source: str, words: list[str]) -> PromptSource:
    """Read keys and values as those of a recipe's source of prompts."""
    from pydantic import ValidationError

    from charter.errors import RecipeError
    from charter.files.yaml_reading import parse_argument
    from charter.recipe.faults import shown
    from charter.recipe.settings import PromptSource
    from charter.spelling import hint

    values: dict[str, Any] = {"source": source}
    for word in words:
        key, is_there, text = word.partition("=")
        if not is_there or key not in PromptSource.model_fields:
            near = hint(key, PromptSource.model_fields)
            raise RecipeError(f"{word!r} is no KEY=VALUE of a source of prompts{near} (see docs/recipes.md, prompts)")
        values[key] = parse_argument(text, word, error=RecipeError)
    try:
        return PromptSource.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        found = error.errors()[0]
        problem = f"{found['msg'][0].lower()}{found['msg'][1:]}"
        key = ".".join(map(str, found["loc"][:2]))
        remedy = "; in '{key: value}' a space stands behind the colon" if found["input"] is None else ""
        raise RecipeError(f"{key!r} is {shown(found['input'])}: {problem}{remedy}") from error


def _values(loaded: LoadedPrompts, kind: Kind, n: int) -> dict[str, Any]:
    return {
        "source": loaded.source,
        "layout": loaded.layout,
        "kind": kind.value,
        "n_rows": loaded.n_rows,
        "n_prompts": len(loaded.prompts),
        "rejected": loaded.rejected,
        "mended": dict(loaded.mended),
        "categories": dict(sorted(Counter(prompt.category for prompt in loaded.prompts).items())),
        "prompts": [prompt.model_dump(mode="json") for prompt in loaded.prompts[:n]],
    }


def _show(loaded: LoadedPrompts, kind: Kind, n: int) -> None:
    console.write(f"{loaded.source}: {loaded.n_rows} rows of the layout {loaded.layout}")
    counts = [("kept", str(len(loaded.prompts))), *((why, str(count)) for why, count in loaded.rejected.items())]
    counts += [(f"of the kept: {what}", str(count)) for what, count in loaded.mended.items()]
    console.write_columns((f"as {kind.value}", "rows"), counts, right=(1,))
    for prompt in loaded.prompts[:n]:
        principle = prompt.principle and f"principle {prompt.principle}"
        twin = prompt.twin_of and f"twin of {prompt.twin_of}"
        told = (prompt.category, principle, prompt.setting, twin)
        about = "  ".join(part for part in (prompt.id, *told) if part)
        console.write(f"\n{about}\n  {loaded.places.get(prompt.id, '')}".rstrip())
        for turn in prompt.turns:
            console.write(f"  {turn.role}: {turn.content}")
