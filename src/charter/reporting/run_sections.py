"""The sections that say how it came about: data counts, rows, recipe, environment, times and tokens."""

from __future__ import annotations

from collections import Counter

from charter.reporting import wording
from charter.reporting.browsing import Rows
from charter.reporting.layout import Column, free_value, section, table
from charter.reporting.markup import Markup, element
from charter.reporting.reading import RunData
from charter.reporting.told import StageResult, Usage


def data_counts(data: RunData) -> Markup:
    """Write what became of every row, stage by stage, and how many rows each file holds."""
    results = list(data.stages.values())
    gaps = [_gap(data, stage) for stage in data.unfinished_stages]
    columns = [Column("Stage"), Column("Rows in", numeric=True), Column("Done", numeric=True)]
    columns += [Column("Filtered, by reason"), Column("Failed, by reason"), Column("Every row accounted for")]
    rows = [
        [
            result.stage,
            wording.count(result.n_in),
            wording.count(result.n_done),
            _reasons(result.filtered),
            _reasons(result.failed),
            _accounted(result),
        ]
        for result in results
    ]
    files = {
        "prompts": data.prompts,
        "traces": data.traces,
        "sft": data.sft,
        "pairs": data.pairs,
        "preferences": data.preferences,
        "pairs without a label": data.unlabelled,
        "responses": data.responses,
        "comparisons": data.comparisons,
        "readings": data.readings,
    }
    held = wording.listing([f"{wording.count(len(found))} {name}" for name, found in files.items()])
    return section(
        "data",
        "Data",
        element(
            "p", "A stage's rows in are its rows done, filtered and failed; nothing is dropped silently.", class_="lead"
        ),
        table(columns, rows) if rows else None,
        element("ul", [element("li", gap) for gap in gaps], class_="missing") if gaps else None,
        element("p", f"The data files hold {held}."),
        [_counts(result) for result in results if result.counts],
    )


def _gap(data: RunData, stage: str) -> str:
    part = f"stages/{stage}.json"
    return f"{stage}: {data.why_missing(part)}" if part in data.unreadable else f"{stage}: not finished."


def _reasons(counts: dict[str, int]) -> object:
    if not counts:
        return "0"
    items = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    total = wording.count(sum(counts.values()))
    listed = [element("li", f"{reason}: {wording.count(n)}") for reason, n in items]
    return [total, element("ul", listed, class_="reasons")]


def _accounted(result: StageResult) -> object:
    missing = result.n_unaccounted
    if missing == 0:
        return "yes"
    text = f"no: {wording.count(missing)} missing" if missing > 0 else f"no: {wording.count(-missing)} counted twice"
    return element("strong", text, class_="mark worse")


def _counts(result: StageResult) -> Markup:
    return element("details", element("summary", f"Counts of {result.stage}"), free_value(result.counts))


def rows(data: RunData, gathered: Rows) -> Markup:
    """Write the row browser's place; the script fills it."""
    if gathered.n_rows == 0:
        parts = ("data/traces.parquet", "data/pairs.parquet", "data/responses.parquet")
        why = [element("li", data.why_missing(part)) for part in parts]
        return section("rows", "Rows", element("ul", why, class_="missing"))
    rows, prompts = wording.counted(gathered.n_rows, "row"), wording.counted(gathered.n_prompts, "prompt")
    note = f"All {rows} about {prompts}."
    if gathered.is_sample:
        note = (
            f"A sample: {wording.count(gathered.n_rows)} of {wording.count(gathered.n_all_rows)} rows, all those about "
            f"{wording.count(gathered.n_prompts)} of {wording.count(gathered.n_all_prompts)} prompts (drawn with seed "
            f"{gathered.seed}). The run's data folder holds the rest; the figures above are over all rows."
        )
    return section(
        "rows",
        "Rows",
        element("p", f"{note} Opening a row shows its prompt's whole life in the run.", class_="lead"),
        element("noscript", element("p", "The row browser needs JavaScript; the rest of the page does not.")),
        element("div", id="browser"),
    )


def recipe(data: RunData) -> Markup:
    """Write the recipe as it was given, and as it was resolved."""
    given = element("pre", data.recipe_text, class_="source", tabindex="0") if data.recipe_text else None
    missing = None if given else element("p", data.why_missing("recipe.yaml"), class_="missing")
    resolved = None
    if data.resolved_text:
        text = element("pre", data.resolved_text, class_="source", tabindex="0")
        resolved = element("details", element("summary", "Every setting, defaults included"), text)
    return section("recipe", "Recipe", given, missing, resolved)


def environment(data: RunData) -> Markup:
    """Write where the run ran: system, models with their fingerprints, package versions."""
    env = data.environment
    if env is None:
        return section(
            "environment", "Environment", element("p", data.why_missing("environment.json"), class_="missing")
        )
    facts = [
        ["Charter", env.charter],
        ["Python", env.python],
        ["Platform", env.platform],
        ["Processor", env.processor],
        ["Processor cores", "" if env.n_cpus is None else str(env.n_cpus)],
        *([["GPUs", wording.listing(env.gpus)]] if env.gpus else []),
        ["Started", env.started],
    ]
    models = [[role, model.name, element("code", model.fingerprint)] for role, model in env.models.items()]
    packages = [[name, version] for name, version in sorted(env.packages.items())]
    return section(
        "environment",
        "Environment",
        element("dl", [[element("dt", key), element("dd", value or "not recorded")] for key, value in facts]),
        table([Column("Role"), Column("Model"), Column("Fingerprint")], models) if models else None,
        element(
            "details",
            element("summary", f"Package versions ({len(packages)})"),
            table([Column("Package"), Column("Version")], packages),
        )
        if packages
        else None,
    )


def costs(data: RunData) -> Markup:
    """Write what each stage took: time, calls and tokens, per model."""
    results = list(data.stages.values())
    if not results:
        return section("costs", "Time and tokens", element("p", "No stage has finished.", class_="missing"))
    seconds = sum(result.seconds for result in results)
    times = [[r.stage, wording.duration(r.seconds), _trained(r)] for r in results]
    times.append(["total", wording.duration(seconds), ""])
    used = [_usage_row(r.stage, model, usage) for r in results for model, usage in r.usage.items()]
    total = _total([usage for r in results for usage in r.usage.values()])
    names = ("Calls", "From cache", "Prompt tokens", "Of them from a shared prefix", "Completion tokens")
    columns = [Column("Stage"), Column("Model"), *(Column(name, numeric=True) for name in names)]
    columns += [Column("Money", numeric=True)] if total.money is not None else []
    used = [row[: len(columns)] for row in (*used, _usage_row("total", "all", total))] if used else []
    return section(
        "costs",
        "Time and tokens",
        table([Column("Stage"), Column("Time", numeric=True), Column("Training")], times),
        table(columns, used) if used else None,
        element("p", "Money is what models behind servers cost, by the prices in the recipe.")
        if total.money is not None
        else None,
        element("p", _failed_tries(total)) if total.failed_tries else None,
    )


def _failed_tries(usage: Usage) -> str:
    causes = ", ".join(f"{cause} {wording.count(n)}" for cause, n in Counter(usage.failed_tries).most_common())
    return f"Tries of calls to servers that failed and were made again, or given up: {causes}."


def _trained(result: StageResult) -> object:
    t = result.training
    if t is None:
        return ""
    if t.skipped:
        return f"skipped: {t.skipped}"
    speed = f", {wording.count(round(t.n_tokens / t.seconds))} tokens/s" if t.seconds > 0 else ""
    done = f"{wording.count(t.n_rows)} rows, {wording.count(t.n_tokens)} tokens in {wording.duration(t.seconds)}{speed}"
    rejected = [f"{wording.count(n)} rows rejected: {reason}" for reason, n in sorted(t.rejected.items())]
    remarks = [element("li", remark) for remark in (*rejected, *t.notes)]
    return [done, element("ul", remarks, class_="reasons")] if remarks else done


def _usage_row(stage: str, model: str, usage: Usage) -> list[object]:
    u = usage
    numbers = (u.n_calls, u.n_cached, u.n_prompt_tokens, u.n_prompt_tokens_from_prefix, u.n_completion_tokens)
    money = "" if u.money is None else f"{u.money:.4g}"
    return [stage, model, *(wording.count(number) for number in numbers), money]


def _total(usages: list[Usage]) -> Usage:
    known = [usage.money for usage in usages if usage.money is not None]
    counts = [name for name in Usage.model_fields if name not in {"money", "failed_tries"}]
    counted = {name: sum(getattr(usage, name) for usage in usages) for name in counts}
    failed: Counter[str] = Counter()
    for usage in usages:
        failed.update(usage.failed_tries)
    return Usage(**counted, money=sum(known) if known else None, failed_tries=dict(failed))
