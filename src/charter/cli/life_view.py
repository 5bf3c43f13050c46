"""One prompt's life as text with styles; where no colours show, changed words carry marks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from charter.cli.styled_page import Page
from charter.records import Preference

if TYPE_CHECKING:
    from charter.lookup import LeftOut, Life
    from charter.records import (
        Comparison,
        Pair,
        Prompt,
        Reading,
        Response,
        RewardedPair,
        Round,
        Trace,
        Unlabelled,
        Verdict,
    )


def view_life(life: Life, *, colours: bool) -> Text:
    """Show a prompt's life, in the order of the stages."""
    page = Page(colours=colours)
    _view_prompt(page, life.prompt)
    for trace in life.traces:
        _view_trace(page, trace)
    if life.sft_rows:
        page.heading("trained on in SFT")
        for row in life.sft_rows:
            page.passage(f"{row.origin} ({row.id}){_open(whole=row.whole)}", row.response)
    labels = {one.pair: one for one in life.preferences} | {one.id: one for one in life.unlabelled}
    rewards = {one.id: one for one in life.rewards}
    for pair in life.pairs:
        label = labels.get(pair.id)
        _view_pair(page, pair, label)
        if label is not None and label.id in rewards:
            _view_rewards(page, rewards[label.id])
    for response in life.responses:
        _view_response(page, response)
    for reading in life.readings:
        _view_reading(page, reading)
    for comparison in life.comparisons:
        _view_comparison(page, comparison)
    for status, words in (("failed", "failed"), ("filtered", "left out")):
        _view_left_out(page, words, [end for end in life.left_out if end.status == status])
    return page.text


def _view_prompt(page: Page, prompt: Prompt) -> None:
    about = ", ".join(part for part in (prompt.kind, prompt.category, prompt.split, prompt.source) if part)
    page.heading(f"prompt {prompt.id} ({about})")
    for turn in prompt.turns:
        page.passage("text" if len(prompt.turns) == 1 else turn.role, turn.content)
    if prompt.reference:
        page.passage("reference", prompt.reference)


def _view_trace(page: Page, trace: Trace) -> None:
    page.heading(f"critique and revision, sample {trace.sample} ({trace.id})")
    page.passage(f"initial response{_flags(trace.initial_flags)}", trace.initial)
    before = trace.initial
    for one in trace.rounds:
        _view_round(page, one, before)
        before = one.revision


def _view_round(page: Page, one: Round, before: str) -> None:
    said = f"round {one.number}, principle {one.principle}"
    if one.critique_request or one.critique:
        page.passage(f"{said}: critique request", one.critique_request)
        page.passage(f"round {one.number}: critique", one.critique)
        said = f"round {one.number}"
    page.passage(f"{said}: revision request", one.revision_request)
    page.changed(f"round {one.number}: revision{_flags(one.flags)}{_checked(one)}", before, one.revision)


def _checked(one: Round) -> str:
    if one.confirmed is None:
        return ""
    p_better = "no valid verdict" if one.p_better is None else f"p {one.p_better:.3f}"
    return f" ({'confirmed' if one.confirmed else 'not confirmed'} by the judge: {p_better})"


def _view_pair(page: Page, pair: Pair, label: Preference | Unlabelled | None) -> None:
    intended = f", meant to be better: {pair.intended}" if pair.intended else ""
    page.heading(f"pair {pair.id} ({pair.source}{intended})")
    page.passage(f"a{_origin(pair.origin_a)}{_open(whole=pair.whole_a)}", pair.a)
    page.passage(f"b{_origin(pair.origin_b)}{_open(whole=pair.whole_b)}", pair.b)
    if label is None:
        page.line("not labelled")
        return
    page.line(_outcome(label))
    _view_verdicts(page, label.verdicts)


def _outcome(label: Preference | Unlabelled) -> str:
    """Say what the judge's verdicts on a pair came to."""
    agrees = {None: "", True: "; the judge agrees with the source", False: "; the judge disagrees with the source"}
    if isinstance(label, Preference):
        return (
            f"chosen: {label.chosen_side} with p {label.p_chosen:.3f} (judge alone {label.p_judge:.3f}), "
            f"position bias {label.position_bias:.3f}{agrees[label.agrees]}{_weight(label.weight)}"
        )
    judge = "" if label.p_a is None else f" (the judge: p(a) {label.p_a:.3f}{agrees[label.agrees]})"
    return f"left out: {label.reason}{judge}"


def _view_rewards(page: Page, one: RewardedPair) -> None:
    known = "held out from it" if one.held_out else "trained on"
    given = f"{one.reward_chosen:.3f} for the chosen side, {one.reward_rejected:.3f} for the other"
    page.line(f"preference model ({known}): {given}")


def _view_response(page: Page, response: Response) -> None:
    page.heading(f"answer of {response.model} ({response.id})")
    flags = f", flags: {', '.join(response.flags)}" if response.flags else ""
    page.line(f"{response.label}, {response.n_tokens} tokens, ended by {response.finish}{flags}")
    page.passage("text", response.text)


def _view_left_out(page: Page, words: str, ends: Sequence[LeftOut]) -> None:
    if ends:
        page.heading(words)
    for end in ends:
        page.line(f"{end.stage} {end.row}: {end.reason}")


def _view_reading(page: Page, reading: Reading) -> None:
    page.heading(f"the judge's reading of the answer of {reading.model} ({reading.id}): did it comply?")
    judge = "no valid verdict" if reading.p_complied is None else f"p {reading.p_complied:.3f} (a: it complied)"
    page.line(f"{judge}, bias {reading.position_bias:.3f}; by the rules: {reading.label}")
    _view_verdicts(page, reading.verdicts)


def _view_comparison(page: Page, comparison: Comparison) -> None:
    page.heading(f"head to head {comparison.model} against {comparison.base} ({comparison.id})")
    if comparison.p_model is None or comparison.win is None:
        page.line("no valid verdict")
    else:
        result = {0.0: f"{comparison.base} wins", 0.5: "a tie", 1.0: f"{comparison.model} wins"}[comparison.win]
        page.line(f"{result}: p {comparison.p_model:.3f} for {comparison.model}, bias {comparison.position_bias:.3f}")
    _view_verdicts(page, comparison.verdicts)


def _view_verdicts(page: Page, verdicts: Iterable[Verdict]) -> None:
    for one in verdicts:
        shown = "a shown first" if one.order == "ab" else "b shown first"
        whose = f"{one.principle}, judge {one.judge}" if one.judge else one.principle
        if one.p_a is None or one.option_mass is None:
            page.line(f"{whose}, {shown}: invalid: {one.invalid}")
        else:
            page.line(f"{whose}, {shown}: p(a) {one.p_a:.3f}, option mass {one.option_mass:.3f}")
        for chain in one.chains:
            page.passage("reasoning", chain)


def _flags(flags: tuple[str, ...]) -> str:
    return f" (flags: {', '.join(flags)})" if flags else ""


def _weight(weight: float) -> str:
    return "" if weight == 1.0 else f"; trained on with weight {weight:.2f}"


def _origin(origin: str) -> str:
    return f" ({origin})" if origin else ""


def _open(*, whole: bool) -> str:
    return "" if whole else ", left open"
