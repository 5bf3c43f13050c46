"""Assemble the page: the templates' slots, a policy that lets nothing in, one atomic write."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from charter.errors import RunError
from charter.files.tables import write_whole
from charter.recipe.stages import in_iteration
from charter.reporting import results_sections, run_sections, wording
from charter.reporting.adherence_section import adherence
from charter.reporting.browsing import MAX_BYTES, MAX_ROWS, Rows, gather
from charter.reporting.categories_section import categories
from charter.reporting.charts import Chart
from charter.reporting.figures import effect_per_round, response_classes, tradeoff
from charter.reporting.iterations_section import iterations
from charter.reporting.label_figures import label_distribution, option_mass, position_bias, principle_agreement
from charter.reporting.markup import Markup, element, fill, join
from charter.reporting.packing import packed
from charter.reporting.ratings_section import ratings
from charter.reporting.reading import RunData, read_run
from charter.reporting.revision_section import revisions
from charter.reporting.reward_section import reward_calibration, rewards
from charter.reporting.training_figures import training_curves
from charter.reporting.verdict import weigh_run
from charter.text_quality import classify_response

_SCRIPTS = ("differences.js", "store.js", "rows.js", "address.js", "browser.js", "life.js", "keys.js")


def report(run: Path, out: Path | None = None, *, max_rows: int | None = None) -> Path:
    """Write a run's report, from what the folder holds and nothing else.

    Args:
        run: a run folder; parts that are missing are named in the page.
        out: the page; None writes ``report.html`` into the folder.
        max_rows: how many rows it lets look at; None holds to the run's recipe.

    Returns:
        The page's path. An earlier page is replaced in one step.

    Raises:
        RunError: if ``run`` is no run folder, or ``out`` is a file that is there, or no page by its name.
    """
    if out is not None:
        _check_target(out)
    data = read_run(run)
    path = out or run / "report.html"
    page = render(data, max_rows=max_rows or _max_rows(data))
    # A lone surrogate in a row's text has no UTF-8; its escape is what JSON calls it.
    write_whole(path, lambda temporary: temporary.write_bytes(page.encode("utf-8", "backslashreplace")))
    return path


def render(data: RunData, *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> str:
    """Render a run as one HTML page that loads nothing.

    Args:
        data: the run.
        max_rows: how many rows the row browser holds; above it, a seeded sample of prompts.
        max_bytes: how large their JSON may become, before it is compressed.
    """
    findings = weigh_run(data)
    classify = functools.cache(classify_response)  # a figure and the row browser ask about the same texts
    gathered = gather(data, classify=classify, max_rows=max_rows, max_bytes=max_bytes)
    style = _template("page.css")
    script = "".join(_template(name) for name in _SCRIPTS)
    sections = (
        _Part("verdict", "Verdict", results_sections.verdict(data, findings)),
        _Part("measurements", "Measurements", results_sections.measurements(data, findings)),
        _Part("ratings", "People's ratings", ratings(data)),
        _Part("categories", "By category", categories(data)),
        _Part("adherence", "Adherence", adherence(data)),
        _Part("figures", "Figures", results_sections.figures(_charts(data, classify))),
        _Part("revisions", "Revisions", revisions(data)),
        _Part("labels", "Label quality", results_sections.label_quality(data)),
        _Part("iterations", "Iterations", iterations(data)),
        *(_rewards(data, number) for number in range(1, data.n_iterations + 1)),
        _Part("data", "Data", run_sections.data_counts(data)),
        _Part("rows", "Rows", run_sections.rows(data, gathered)),
        _Part("recipe", "Recipe", run_sections.recipe(data)),
        _Part("environment", "Environment", run_sections.environment(data)),
        _Part("costs", "Time and tokens", run_sections.costs(data)),
    )
    there = [part for part in sections if part.content is not None]
    return fill(
        _template("page.html"),
        {
            "policy": html.escape(_policy(style, script)),
            "title": join(f"{data.name}: report"),
            "style": style,
            "header": results_sections.header(data, findings),
            "menu": join([[element("a", part.title, href=f"#{part.anchor}"), "\n"] for part in there]),
            "sections": join([part.content for part in there]),
            "rows": _packed(gathered),
            "script": script,
        },
    )


class _Part(NamedTuple):
    """A section and how the menu leads to it; without content neither is there."""

    anchor: str
    title: str
    content: Markup | None


def _rewards(data: RunData, iteration: int) -> _Part:
    anchor, title = in_iteration("rewards", iteration), wording.of_iteration("Preference model", iteration)
    return _Part(anchor, title, rewards(data, iteration))


def _packed(gathered: Rows) -> Markup:
    chunks = [packed(f"rows-chunk-{number}", chunk) for number, chunk in enumerate(gathered.chunks)]
    return join(packed("rows-index", gathered.index), chunks)


def _charts(data: RunData, classify: Callable[[str, str], str]) -> list[Chart]:
    return [
        tradeoff(data),
        response_classes(data),
        effect_per_round(data, classify),
        label_distribution(data),
        position_bias(data),
        principle_agreement(data),
        option_mass(data),
        training_curves(data, "sft"),
        *(chart for number in range(1, data.n_iterations + 1) for chart in _of_feedback(data, number)),
    ]


def _of_feedback(data: RunData, iteration: int) -> Iterator[Chart]:
    """Draw the trainings of an iteration; DPO's place is kept, which a recipe does unless it says otherwise."""
    for stage in ("preference_model", "dpo", "rl"):
        name = in_iteration(stage, iteration)
        if name in data.planned_stages or name == "dpo":
            yield training_curves(data, name)
        if stage == "preference_model" and (calibration := reward_calibration(data, iteration)) is not None:
            yield calibration


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )


def _check_target(out: Path) -> None:
    """Refuse what is no page by its name, what is there, and a folder that is none."""
    if out.suffix.lower() not in {".html", ".htm"}:
        raise RunError(f"{out}: its name ends in {out.suffix!r}; expected .html")
    if out.exists():
        raise RunError(f"{out}: is there; name another file, or remove it")
    if not out.parent.is_dir():
        raise RunError(f"{out}: there is no folder {out.parent}; make it first")


def _hash(text: str) -> str:
    """Name an inline style or script as a Content-Security-Policy does: by the sha256 of its text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _template(name: str) -> str:
    return files("charter.reporting").joinpath("templates", name).read_text("utf-8")


def _max_rows(data: RunData) -> int:
    settings = data.recipe.get("report")
    limit = settings.get("max_rows") if isinstance(settings, dict) else None
    return limit if isinstance(limit, int) and limit > 0 else MAX_ROWS
