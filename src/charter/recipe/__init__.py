"""The recipe: one YAML file that says a whole run, strict and typed."""

from charter.recipe.built_in import built_in_recipes, find_recipe
from charter.recipe.reading import load_recipe
from charter.recipe.settings import Recipe, Stage
from charter.recipe.writing import dump_recipe

__all__ = ["Recipe", "Stage", "built_in_recipes", "dump_recipe", "find_recipe", "load_recipe"]
