"""How a judge is asked in an audit, from options and recipe, and about which pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charter.constitution import Constitution
    from charter.feedback.judge import Judging
    from charter.given.loaded import LoadedPairs
    from charter.records import Pair

_EVEN = 0.5


@dataclass(frozen=True)
class Asking:
    """How a judge is asked: by which constitutions, and what else the label stage sets."""

    constitution: Constitution
    helpful: Constitution
    k_principles: int
    judging: Judging
    seed: int

    def setup(self, pairs: Sequence[str]) -> dict[str, Any]:
        """Name what determines the answers about pairs, as a person knows it."""
        from charter.seeds import digest

        judging = self.judging
        behind_chains = {"--clamp": list(judging.clamp), "--max-chain-tokens": judging.max_chain_tokens}
        return {
            "--labels": digest(list(pairs)),
            "constitution": digest(self.constitution.model_dump(mode="json")),
            "helpful constitution": digest(self.helpful.model_dump(mode="json")),
            "--k-principles": self.k_principles,
            "--n-few-shots": judging.n_few_shots,
            "--chains": judging.chains,
            "--min-option-mass": judging.min_option_mass,
            "--seed": self.seed,
            **(behind_chains if judging.chains else {}),
        }


def how_asked(
    file: Path | None, constitution: str | None, helpful: str | None, seed: int | None, given: Mapping[str, Any]
) -> Asking:
    """Take what options say, else what the recipe does, else what any recipe does."""
    from charter.constitution import load_constitution
    from charter.feedback.judge import Judging
    from charter.recipe import find_recipe, load_recipe
    from charter.recipe.settings import LabelSettings

    recipe = None if file is None else load_recipe(find_recipe(file))
    settings = LabelSettings() if recipe is None else recipe.label
    taken = {name: getattr(settings, name) if value is None else value for name, value in given.items()}
    k_principles = taken.pop("k_principles")
    of_recipe = (recipe.constitution.source, recipe.constitution.helpful) if recipe else ("harmless", "helpful")
    own, other = constitution or of_recipe[0], helpful or of_recipe[1]
    drawn = seed if seed is not None else recipe.seed if recipe else 0
    return Asking(load_constitution(own), load_constitution(other), k_principles, Judging(**taken), drawn)


def read_clamp(text: str) -> tuple[float, float]:
    """Read the two ends of a clamp.

    Raises:
        UserError: where they are none, or do not hold a half.
    """
    from charter.errors import UserError

    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0.0 <= low <= _EVEN <= high <= 1.0:
        raise UserError(f"--clamp is {text!r}; expected two probabilities with 0.5 between them, such as 0.4,0.6")
    return low, high


def sided(loaded: LoadedPairs, labels: str) -> Sequence[Pair]:
    """Give the pairs of which it is said which answer is better.

    Raises:
        PromptError: where there is none.
    """
    from charter.errors import PromptError

    if not loaded.sided:
        raise PromptError(
            f"{labels}: none of its {len(loaded.pairs):,} pairs says which answer is better, and there is nothing to "
            "hold a judge against; give pairs that people have labelled"
        )
    return loaded.sided
