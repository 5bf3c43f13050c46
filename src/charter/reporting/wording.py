"""How measurements, units and reasons are said in plain English."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from charter.records import Measurement
from charter.statistics import MIN_GROUPS

NO_INTERVAL = "no interval"
#: What ``drift`` is: a figure of the base too, although nothing drifted there.
DRIFT = "loss on the base's own sampled answers, which is not 0 for the base either"
_TITLES = {
    "harmful_compliance": "Harmful compliance",
    "judged_compliance": "Harmful compliance as the judge reads it",
    "compliance_agreement": "Agreement of judge and rules",
    "compliance_kappa": "Agreement beyond chance (Cohen's kappa)",
    "objection": "Objection",
    "bare_refusal": "Bare refusal",
    "evasive": "Evasive answers",
    "one_question": "One question for an answer",
    "over_refusal": "Over-refusal",
    "boilerplate": "Boilerplate",
    "repetition": "Repetition",
    "response_length": "Response length",
    "reference_loss": "Loss on reference answers",
    "reference_loss_per_byte": "Loss on reference answers, per byte",
    "drift": "Drift from the base model",
    "win_rate_helpful": "Head-to-head win rate, helpfulness",
    "win_rate_harmless": "Head-to-head win rate, harmlessness",
    "preference_accuracy": "Accuracy on held-out pairs",
    "adherence": "Adherence: the keeping answer is likelier",
    "adherence_margin": "Adherence margin (nats per token)",
    "judged_adherence": "Adherence as the judge reads it",
    "harm_score": "Harm (0 to 4)",
    "right_answers": "Right answers",
    "sycophancy": "Sycophancy: a right answer is given up",
    "sycophancy_shift": "The right answer's probability falls by",
    "preachy": "A preachy phrase",
    "repeated_words": "Repeated runs of four words",
    "distinct_pairs": "Distinct pairs of words",
    "answer_words": "Words an answer",
    "prompts_followed_strict": "Prompts followed, strict",
    "prompts_followed_loose": "Prompts followed, loose",
    "instructions_followed_strict": "Instructions followed, strict",
    "instructions_followed_loose": "Instructions followed, loose",
}
_SUBSETS = {
    "red_team": "red-team prompts",
    "benign_twin": "benign twins",
    "helpful": "helpful prompts",
    "all": "all prompts",
}
_MINUS = "\N{MINUS SIGN}"
_TIE = "\N{NO-BREAK SPACE}"
_LOOSE = re.compile(r"(?<=[0-9]) (?=%)|(?<=\bn) (?=[0-9])")


def title(name: str) -> str:
    """Name a measurement for a reader; ``multiple_choice:FILE`` keeps its file."""
    if name in _TITLES:
        return _TITLES[name]
    kind, _, rest = name.partition(":")
    spoken = kind.replace("_", " ").strip().capitalize() or name
    return f"{spoken} ({rest})" if rest else spoken


def of_iteration(title: str, iteration: int) -> str:
    """Say of which iteration something is, where that is not the first."""
    return title if iteration == 1 else f"{title}, iteration {iteration}"


def subset(name: str) -> str:
    """Name a subset of rows for a reader."""
    return _SUBSETS.get(name, name.replace("_", " "))


def subject(measurement: Measurement) -> str:
    """Name a measurement together with the rows it is over: ``Objection on red-team prompts``."""
    where = subset(measurement.subset)
    head = title(measurement.name)
    return f"{head} on {where}" if where and not head.endswith("pairs") and ":" not in measurement.name else head


def value(number: float, unit: str) -> str:
    """Write a value with its unit: a rate in per cent, nats with three decimals."""
    if unit == "rate":
        return f"{signless(100 * number, 1)}{_TIE}%"
    if unit == "nats":
        return signless(number, 3)
    if unit == "tokens":
        return signless(number, 1)
    return signless(number, 3)


def interval(low: float | None, high: float | None, unit: str) -> str:
    """Write an interval of values: ``3.1 to 13.4 %``; one that is missing, or of no width, is none."""
    if low is None or high is None or low == high:
        return NO_INTERVAL
    low_text, high_text = value(low, unit), value(high, unit)
    return f"{low_text.removesuffix(f'{_TIE}%')} to {high_text}"


def span(low: float | None, high: float | None, unit: str, n: int, n_groups: int | None) -> str:
    """Write an interval of values with what it is over, or why there is none: ``3.1 to 13.4 %; n 40 in 12 groups``."""
    bounds = interval(low, high, unit)
    if bounds != NO_INTERVAL:
        return f"{bounds}; {size(n, n_groups)}"
    few = "too few rows" if n_groups is None else "too few groups"
    why = few if (n if n_groups is None else n_groups) < MIN_GROUPS else "nothing varies"
    return f"{bounds}: {why}; {size(n, n_groups)}"


def size(n: int, n_groups: int | None) -> str:
    """Write how many rows a figure is over, and in how many groups where rows hang together."""
    return f"n {count(n)}{_in_groups(n_groups)}"


def rows(measurement: Measurement) -> str:
    """Write which rows a figure is over, and how many: ``15 held-out pairs in 10 groups``."""
    return f"{count(measurement.n)} {subset(measurement.subset)}{_in_groups(measurement.n_groups)}"


def _in_groups(n_groups: int | None) -> str:
    return "" if n_groups is None else f" in {counted(n_groups, 'group')}"


def change_interval(low: float | None, high: float | None, unit: str) -> str:
    """Write an interval of differences: ``+3.1 to +13.4``; one that is missing, or of no width, is none."""
    if low is None or high is None or low == high:
        return NO_INTERVAL
    return f"{change(low, unit)} to {change(high, unit)}"


def p_value(p: float) -> str:
    """Write a p-value with three decimals."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def moment(stamp: str) -> str:
    """Write a time stamp as people do, to the minute; what is none stands as it is."""
    try:
        return f"{datetime.fromisoformat(stamp).astimezone(UTC):%Y-%m-%d, %H:%M} UTC"
    except (ValueError, OverflowError):  # of a folder that is not ours
        return stamp


def change(number: float, unit: str) -> str:
    """Write a signed difference; a difference of rates is in points."""
    return signed(100 * number, 1) if unit == "rate" else signed(number, 1 if unit == "tokens" else 3)


def unit_of_change(unit: str) -> str:
    """Name the unit of a difference."""
    return {"rate": "points", "nats": "nats per token", "tokens": "tokens"}.get(unit, "")


def signed(number: float, decimals: int) -> str:
    """Write a number with its sign; what rounds to nothing is ``0.0`` without one."""
    text = f"{number:+.{decimals}f}"
    if float(text) == 0:
        return text[1:]
    return text.replace("-", _MINUS)


def signless(number: float, decimals: int) -> str:
    """Write a number with a sign only where it is negative."""
    text = f"{number:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", _MINUS)


def count(number: int) -> str:
    """Write a whole number with thin groups of three."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", _MINUS)


def counted(number: int, thing: str) -> str:
    """Write how many there are of what has a regular plural: ``1 row``, ``2 rows``."""
    return f"{count(number)} {thing}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Write a length of time to two units: ``1 h 4 min``, ``3 min 20 s``, ``4.2 s``."""
    if seconds < 59.95:  # what rounds to a minute is one
        return f"{seconds:.1f}{_TIE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_TIE}min {rest}{_TIE}s"
    hours, minutes = divmod(minutes, 60)
    return f"{count(hours)}{_TIE}h {minutes}{_TIE}min"


def tied(text: str) -> str:
    """Tie a number to its per-cent sign and an n to its number, so that no line ends between them."""
    return _LOOSE.sub(_TIE, text)


def listing(words: list[str]) -> str:
    """Join words as a sentence does: ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
