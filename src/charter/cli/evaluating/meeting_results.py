"""What a head to head leaves: its figures as plain values, and its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.cli.model_options import SCRIPTED

if TYPE_CHECKING:
    from charter.cli.evaluating.entrants import Entrant
    from charter.cli.evaluating.meeting import Answered, Contest, Preferred
    from charter.evaluation.head_to_head import Standings

FIGURES = "head-to-head.json"
_ANSWERS, _COMPARISONS, _PLOTS = "answers.jsonl", "comparisons.parquet", ("ratings.svg", "ratings.png")
FILES = (FIGURES, _ANSWERS, _COMPARISONS, *_PLOTS)


def describe(contest: Contest, answers: Mapping[str, Answered], preferred: Preferred) -> dict[str, Any]:
    """Give everything that was found, and how, as plain values."""
    audit = contest.audit
    return {
        "models": [_told_entrant(one, answers[one.name], contest) for one in contest.entrants],
        "judge": contest.judge.source,
        "judge_engine": contest.judge.engine,
        "judge_identity": preferred.identity,
        "audit": None if audit is None else {**asdict(audit), "same_judge": audit.identity == preferred.identity},
        "anchor": contest.anchor,
        "against": contest.against,
        "prompts": contest.source,
        "left_out": contest.prompts.left_out,
        "k_principles": contest.k_principles,
        "temperature": contest.temperature,
        "max_tokens": contest.max_tokens,
        "seed": contest.seed,
        "sides": {
            side.name: {
                "constitution": side.standard.name,
                **_told_side(preferred.standings[side.name], preferred.failed[side.name]),
            }
            for side in contest.sides
            if side.name in preferred.standings
        },
    }


def keep(
    folder: Path,
    contest: Contest,
    answers: Mapping[str, Answered],
    preferred: Preferred,
    told: Mapping[str, Any],
) -> None:
    """Write every answer beside its prompt, every comparison, the plot where there are both sides, and the figures."""
    from charter.files.tables import write_json, write_table, write_text
    from charter.records import Comparison

    write_text(folder / _ANSWERS, "".join(f"{line}\n" for line in _answer_lines(contest, answers)))
    write_table(folder / _COMPARISONS, preferred.comparisons, Comparison)
    _draw(folder, contest, preferred.standings)
    write_json(folder / FIGURES, told)


def _told_entrant(one: Entrant, answered: Answered, contest: Contest) -> dict[str, Any]:
    given = contest.given.get(one.name)
    return {
        "name": one.name,
        "source": one.source,
        "engine": one.engine or None,
        "scripted": one.engine == SCRIPTED,
        "n_answers": len(answered.by_prompt),
        "n_cut": None if given else sum(finish == "length" for finish in answered.finish.values()),
        "unanswered": dict(answered.missing),
        "n_other_answers": given.n_other if given else 0,
    }


def _told_side(found: Standings, failed: Mapping[str, int]) -> dict[str, Any]:
    """Give one side's figures as plain values."""
    plain = asdict(found)
    rates = win_rates(plain.pop("met"))
    for one in plain["models"]:
        rating = one.pop("rating") or {"bradley_terry": None, "elo": None}
        one.update({name: rating[name] for name in ("bradley_terry", "elo")})
    return {**plain, "win_rates": rates, "failed": dict(failed)}


def win_rates(met: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Put how models met, as plain values, by the model that beats and the one that is beaten."""
    rates: dict[str, dict[str, Any]] = {}
    for one in met:
        told = {name: one[name] for name in ("n_ties", "p_value", "p_adjusted")}
        rates.setdefault(one["name"], {})[one["other"]] = {**one["win_rate"], **told}
    return rates


def _answer_lines(contest: Contest, answers: Mapping[str, Answered]) -> Iterator[str]:
    from charter.seeds import canonical_json

    for name, one in answers.items():
        for prompt in contest.prompts.prompts:
            if prompt.id in one.by_prompt:
                yield canonical_json(
                    {
                        "model": name,
                        "id": prompt.id,
                        "kind": prompt.kind,
                        "prompt": prompt.text,
                        "response": one.by_prompt[prompt.id],
                        "finish": one.finish.get(prompt.id),
                    }
                )


def _draw(folder: Path, contest: Contest, found: Mapping[str, Standings]) -> None:
    """Draw the models that have both ratings, where there are both sides."""
    from charter.reporting.ratings_plot import RatedModel, draw_ratings

    ratings = {
        side: {one.name: one.rating.bradley_terry for one in of_side.models if one.rating}
        for side, of_side in found.items()
    }
    helpful, harmless = (ratings.get(side, {}) for side in ("helpfulness", "harmlessness"))
    rated = [name for name in contest.names if name in helpful.keys() & harmless.keys()]
    both = [RatedModel(name, helpful[name], harmless[name]) for name in rated]
    if both:
        draw_ratings([folder / name for name in _PLOTS], both, anchor=contest.anchor, judge=contest.judge.source)
