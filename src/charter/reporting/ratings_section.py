"""The section on people's ratings: whose answers they prefer, what each rater is worth, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from charter.errors import UserError
from charter.evaluation.head_to_head import Met, Rating
from charter.rating.agreement import Together
from charter.rating.items import Items
from charter.rating.results import Rater, Results, Side, assess
from charter.reporting import wording
from charter.reporting.layout import Column, rate, section, table
from charter.reporting.markup import Markup, element, join
from charter.reporting.rated_answers import rated_items
from charter.reporting.reading import RunData
from charter.statistics import Interval

_TITLE = "People's ratings"
_LEAD = (
    "People compared two answers to one prompt without knowing whose they are (charter rate). A tie is half a win to "
    "each side, and what was skipped is in no figure. Intervals are of 95 % and take prompts that hang together whole: "
    "several raters of one prompt are not several prompts."
)
_WINS = (
    "How often people prefer the answer of the model that is named first; a half is no preference. Each p-value is of "
    "the test against that half, adjusted (Holm) for all pairs of models in its column."
)
_POINTS = (
    "From who beats whom, in Elo points: 400 are odds of ten to one. Bradley-Terry takes all ratings at once and is "
    "the one to go by. Each kind of prompts has its own: to be harmless and to be helpful are two scales."
)
_RATERS = (
    "Known answers are pairs whose better answer is known, mixed in to check raters; a tie there is wrong. Who takes "
    "the first answer far more often than in half of all pairs looks at the place and not at the text."
)
_AGREEMENT = (
    "Cohen's kappa and Krippendorff's alpha are 1 where they always say the same, and 0 where they do as often as "
    "chance would. People together say what most of them prefer; the judge is the run's, on the same answers."
)
_FOLDED_FROM = 11  # pairs of raters


def ratings(data: RunData) -> Markup | None:
    """Write what people's ratings come to; nothing where nobody rated."""
    if not data.ratings:
        return None
    try:
        items = rated_items(data)
    except UserError as error:
        return section("ratings", _TITLE, element("p", f"{error}.", class_="missing"))
    found = assess(items.items, items.names, data.ratings, data.comparisons)
    sides = _named_sides(found, items)
    return section(
        "ratings",
        _TITLE,
        element("p", wording.tied(_LEAD), class_="lead"),
        element("p", wording.tied(_counted(found, data.n_damaged_ratings))),
        _asked(found.questions),
        _wins(found.names, sides),
        _points(found, sides),
        _raters(found),
        _agreement(found),
    )


def _named_sides(found: Results, items: Items) -> dict[str, Side]:
    """Name what was rated by the kind of prompts; all together are a part only where kinds are several."""
    kinds = {name: side for name, side in found.sides.items() if name != "all"}
    named = found.sides if len(kinds) > 1 else kinds
    if found.sides and not kinds:  # all items are of one kind
        named = {items.items[0].match.prompt.kind: found.sides["all"]}
    return {wording.subset(name).capitalize(): side for name, side in named.items()}


def _counted(found: Results, n_damaged: int) -> str:
    n = sum(one.n for one in found.raters)
    n_skipped = sum(one.n_skipped for one in found.raters)
    asides = [
        (n_skipped, "skipped"),
        (found.n_gone, "of answers that are no longer the run's"),
        (n_damaged, "in damaged lines"),
    ]
    told = wording.listing([f"{wording.count(number)} {what}" for number, what in asides if number])
    pairs = f"{wording.count(found.n_rated)} of {wording.counted(found.n_items, 'pair')} of answers"
    raters = wording.counted(len(found.raters), "rater")
    return f"{wording.counted(n, 'rating')} of {pairs}, by {raters}.{f' In no figure: {told}.' if told else ''}"


def _asked(questions: Sequence[str]) -> Markup | None:
    """Quote what people were asked, and say so where it was not one thing."""
    if not questions:
        return None
    what = "The question was" if len(questions) == 1 else "Raters were asked different questions"
    return element("p", f"{what}: {'; '.join(questions)}")


def _wins(names: Sequence[str], sides: Mapping[str, Side]) -> Markup | None:
    """Write how often each model's answers are preferred to those of each model before it, by the kind of prompts."""
    met = {title: {(one.name, one.other): one for one in side.met} for title, side in sides.items()}
    pairs = [
        (model, base) for base, model in combinations(names, 2) if any((model, base) in own for own in met.values())
    ]
    if not pairs:
        return None
    rows = [
        [f"{model} against {base}", *(_win(own.get((model, base))) for own in met.values())] for model, base in pairs
    ]
    longer = ["The longer answer", *(_rate(side.longer_wins, "all are of one length") for side in sides.values())]
    columns = [Column("Preferred"), *(Column(title, numeric=True) for title in sides)]
    note = element("p", _WINS, class_="small")
    return join(element("h3", "Whose answers people prefer"), note, table(columns, [*rows, longer]))


def _win(met: Met | None) -> Markup:
    if met is None:
        return join("not rated")
    return join(
        rate(met.win_rate),
        element("span", wording.tied(f"p {wording.p_value(met.p_adjusted)}, adjusted"), class_="under"),
        element("span", wording.counted(met.n_ties, "tie"), class_="under"),
    )


def _points(found: Results, sides: Mapping[str, Side]) -> Markup | None:
    """Write the models' ratings, as head to head has them; nothing where no kind of prompts gives any."""
    rated = {title: {one.name: one for one in side.ratings} for title, side in sides.items() if side.ratings}
    names = [name for name in found.names if name != found.anchor and any(name in own for own in rated.values())]
    if not names:
        return None
    rows = [[name, *(_rated(own.get(name)) for own in rated.values())] for name in names]
    columns = [Column("Model"), *(Column(title, numeric=True) for title in rated)]
    return join(
        element("h3", f"Points above {found.anchor}"),
        element("p", wording.tied(_POINTS), class_="small"),
        table(columns, rows),
    )


def _rated(one: Rating | None) -> Markup:
    if one is None:
        return join("not rated")
    elo = f"Elo {_points_of(one.elo.value)} ({_points_between(one.elo)})"
    told = f"{_points_between(one.bradley_terry)}; {wording.size(one.bradley_terry.n, one.bradley_terry.n_groups)}"
    return join(
        element("span", _points_of(one.bradley_terry.value), class_="value"),
        element("span", wording.tied(told), class_="under"),
        element("span", wording.tied(elo), class_="under"),
    )


def _points_of(value: float) -> str:
    return wording.signed(value, 0)


def _points_between(found: Interval) -> str:
    if found.low is None or found.high is None:
        return wording.NO_INTERVAL
    return f"{_points_of(found.low)} to {_points_of(found.high)}"


def _raters(found: Results) -> Markup:
    """Write what each rater did, and what known answers and places say of them."""
    names = ("Compared", "Ties", "Skipped", "Right of known answers", "Prefers the first answer", "Median time")
    rows = [_rater(one) for one in found.raters]
    if len(rows) > 1:
        rows.append(["all raters", "", "", "", "", _rate(found.left, "no preference"), ""])
    return join(
        element("h3", "Raters"),
        element("p", wording.tied(_RATERS), class_="small"),
        table([Column("Rater"), *(Column(name, numeric=True) for name in names)], rows),
    )


def _rater(one: Rater) -> list[object]:
    return [
        one.name,
        wording.count(one.n),
        wording.count(one.n_ties),
        wording.count(one.n_skipped),
        _rate(one.gold, "none asked"),
        _rate(one.left, "no preference"),
        _seconds(one.seconds),
    ]


def _seconds(found: Interval | None) -> Markup:
    if found is None:
        return join("not known")
    bounds = wording.NO_INTERVAL
    if found.low is not None and found.high is not None:
        bounds = f"{wording.duration(found.low)} to {wording.duration(found.high)}"
    told = f"{bounds}; {wording.size(found.n, found.n_groups)}"
    return join(wording.duration(found.value), element("span", wording.tied(told), class_="under"))


def _agreement(found: Results) -> Markup | None:
    """Write how far raters agree beyond chance, every two and all together, and people with the judge."""
    rows = [_together(one) for one in found.agreement]
    columns = [Column("Who"), Column("The same", numeric=True), Column("Beyond chance (kappa)", numeric=True)]
    folded = None
    if len(rows) >= _FOLDED_FROM:
        folded = element(
            "details", element("summary", f"Every two of {len(found.raters)} raters"), table(columns, rows)
        )
        rows = []
    if found.alpha is not None:
        rows.append(["all raters, Krippendorff's alpha", "", _score(found.alpha)])
    if found.judge is not None:
        rows.append(_together(found.judge))
    if not rows:
        return None
    note = element("p", wording.tied(_AGREEMENT), class_="small")
    return join(element("h3", "Agreement"), note, table(columns, rows), folded)


def _together(one: Together) -> list[object]:
    return [f"{one.one} and {one.other}", rate(one.same), _score(one.kappa)]


def _rate(found: Interval | None, otherwise: str) -> Markup:
    return join(otherwise) if found is None else rate(found)


def _score(found: Interval) -> Markup:
    span = wording.tied(wording.span(found.low, found.high, "score", found.n, found.n_groups))
    return join(wording.signless(found.value, 2), element("span", span, class_="under"))
