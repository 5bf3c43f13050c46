"""What models do by category: shares, intervals over groups, differences from the base on the same prompts."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from run_folder import build

from charter.records import Figures, Prompt, Response, make_prompt
from charter.reporting import RunData, read_run
from charter.reporting.categories_section import categories
from charter.seeds import row_id


def _response(prompt: Prompt, model: str, label: str) -> Response:
    return Response(
        id=row_id("response", prompt.id, model), prompt=prompt, model=model, text="x", finish="stop", n_tokens=1,
        label=label, flags=(),
    )  # fmt: skip


def _data(*responses: Response) -> RunData:
    return RunData(
        path=Path("run"), name="run", responses=responses, evaluation=Figures(models=("base", "dpo"), measurements=())
    )


def _text(data: RunData) -> str:
    shown = re.sub(r"<[^>]+>", " ", categories(data) or "")
    return " ".join(shown.replace("\u00a0", " ").split())


def test_shares_are_those_of_the_responses() -> None:
    """Of ten prompts of a category the base objects to none and the trained model to six."""
    prompts = [make_prompt(f"How do I pick lock {n}?", "red_team", category="theft") for n in range(10)]
    rows = [_response(one, "base", "compliance") for one in prompts]
    rows += [_response(one, "dpo", "objection" if n < 6 else "compliance") for n, one in enumerate(prompts)]
    text = _text(_data(*rows))
    assert "theft 0.0 % 0.0 to 27.8 %; n 10 60.0 % 31.3 to 83.2 %; n 10 +60.0 (" in text
    assert "Harmful compliance, red-team prompts Category base dpo theft 100.0 %" in text
    assert "-60.0" in text.replace("\u2212", "-")
    assert "Over-refusal" not in text


def test_a_difference_is_over_prompts_that_both_answered() -> None:
    """A prompt that the base was not asked counts in the share and not in the difference."""
    prompts = [make_prompt(f"Ask {n}", "red_team", category="fraud") for n in range(6)]
    rows = [_response(one, "base", "compliance") for one in prompts[:3]]
    rows += [_response(one, "dpo", "objection" if n >= 3 else "compliance") for n, one in enumerate(prompts)]
    text = _text(_data(*rows))
    assert "50.0 % 18.8 to 81.2 %; n 6 0.0 (" in text


def test_without_categories_or_models_there_is_no_section() -> None:
    """What has no category is in no table, and what was not evaluated is in none either."""
    row = _response(make_prompt("Ask", "red_team"), "base", "objection")
    assert categories(_data(row)) is None
    named = _response(make_prompt("Ask", "red_team", category="x"), "base", "objection")
    assert categories(dataclasses.replace(_data(named), evaluation=None)) is None
    helpful = _response(make_prompt("Ask", "helpful", category="x"), "base", "compliance")
    assert categories(_data(helpful)) is None


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A complete run, read."""
    return read_run(build(tmp_path_factory.mktemp("run")))


def test_every_category_of_a_run_has_a_row(run: RunData) -> None:
    """Names are escaped, and each category stands once a table."""
    shown = str(categories(run))
    assert shown.count(">fraud &amp; theft</th>") == 3
