"""The recipes that come with Charter, by name, and where a recipe that a person names is.

Their one source is the folder ``recipes`` of the repository. The wheel holds a copy of it inside the package; an
installation that runs from a checkout reads the folder itself.
"""

from __future__ import annotations

from pathlib import Path

from charter.errors import RecipeError
from charter.spelling import nearest

_PACKAGE = Path(__file__).parents[1]


def built_in_recipes() -> dict[str, Path]:
    """Name the recipes that come with Charter, in alphabetical order, each with its file."""
    packed, checkout = _PACKAGE / "recipes", _PACKAGE.parents[1] / "recipes"
    folder = packed if packed.is_dir() else checkout
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def find_recipe(named: Path) -> Path:
    """Find a recipe: a file, else a bare name of one in the folder ``recipes`` here, else of a built-in one.

    Raises:
        RecipeError: where there is none, with the names that there are.
    """
    if named.exists() and not named.is_dir():
        return named
    built_in = built_in_recipes()
    if named.parent == Path() and named.suffix not in {".yaml", ".yml"}:  # a name may have a dot, as of 1.7b
        here = Path("recipes") / f"{named}.yaml"
        if here.is_file():
            return here
        if named.name in built_in:
            return built_in[named.name]
    near = nearest(named.stem, built_in)
    hint = f" (did you mean {near!r}?)" if near else ""
    what = "is a folder" if named.is_dir() else "no such file"
    raise RecipeError(
        f"{named}: {what}{hint}; name a recipe's YAML file, or one that comes with Charter: {', '.join(built_in)}"
    )
