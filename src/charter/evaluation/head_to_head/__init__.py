"""Head to head: models answer the same prompts, a judge prefers, in both orders, and who beats whom rates them."""

from charter.evaluation.head_to_head.contested_prompts import ContestedPrompts, choose_prompts
from charter.evaluation.head_to_head.games import Game
from charter.evaluation.head_to_head.given_answers import GivenAnswers, load_answers
from charter.evaluation.head_to_head.length_control import length_controlled_rate
from charter.evaluation.head_to_head.matches import (
    Match,
    compare,
    compare_one,
    matches,
    measure_win_rate,
    round_robin,
)
from charter.evaluation.head_to_head.ratings import Rating, rate
from charter.evaluation.head_to_head.standings import Met, Standing, Standings, every_met, standings

__all__ = [
    "ContestedPrompts",
    "Game",
    "GivenAnswers",
    "Match",
    "Met",
    "Rating",
    "Standing",
    "Standings",
    "choose_prompts",
    "compare",
    "compare_one",
    "every_met",
    "length_controlled_rate",
    "load_answers",
    "matches",
    "measure_win_rate",
    "rate",
    "round_robin",
    "standings",
]
