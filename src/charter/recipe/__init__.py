"""The recipe: one YAML file that says a whole run, strict and typed."""

from charter.recipe.reading import load_recipe
from charter.recipe.settings import Recipe, Stage
from charter.recipe.writing import dump_recipe

__all__ = ["Recipe", "Stage", "dump_recipe", "load_recipe"]
