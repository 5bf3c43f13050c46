"""A small but complete run folder, made from records, with texts that try to break out of the page."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from charter.files.tables import write_json, write_table, write_text
from charter.records import (
    Adherence,
    Comparison,
    Measurement,
    Pair,
    Preference,
    Probed,
    Prompt,
    Reading,
    Response,
    Round,
    SftRow,
    Trace,
    Unlabelled,
    Verdict,
    make_prompt,
)
from charter.seeds import row_id

MODELS = ("base", "sft", "dpo")
HOSTILE = (
    "</script><script>window.broken = 1</script>",
    '<img src=x onerror="window.broken = 2">',
    "{braces} {{ jinja }} %s %(name)s ${dollar} [[slot: rows]] <!-- slot: rows -->",
    "\u202eright to left\u202c and \u200f\u05e9\u05dc\u05d5\u05dd \u2066isolate",
    "]]> & &amp; &#60;b&#62; \x00 \x1b[31m 'quote' \"double\" \\u003c \u2028 end",
)
PRINCIPLES = ("harm.least", "honesty.plain", "<b>bold</b>")
SOURCES = ("guided_vs_plain", "on_policy", "revision_vs_initial")

_SENTENCE = (
    "the answer should explain plainly why this request could hurt someone and then offer a safer way to reach what "
    "the person seems to need without lecturing or repeating itself because a short honest reply respects the reader"
)
_WORDS = _SENTENCE.split()


def build(folder: Path, *, n_red_team: int = 12, n_helpful: int = 6, length: int = 40, n_rounds: int = 2) -> Path:
    """Write a complete run folder and return it."""
    rng = random.Random(7)  # noqa: S311 - texts for a test
    prompts = _prompts(rng, n_red_team, n_helpful)
    red_team = [p for p in prompts if p.kind == "red_team"]
    traces = [_trace(rng, p, n_rounds, length) for p in red_team if p.split == "train"]
    sft = [_sft_row(trace, step) for trace in traces for step in trace.rounds]
    pairs = [_pair(rng, p, length) for p in prompts if p.split == "train"]
    preferences = [_preference(rng, pair) for pair in pairs[:-1]]
    responses = [_response(rng, p, model, length) for p in prompts if p.split == "evaluation" for model in MODELS]
    comparisons = [
        _comparison(rng, one) for one in responses if one.model != "base" and one.prompt.kind != "benign_twin"
    ]
    readings = [_reading(rng, one) for one in responses if one.prompt.kind == "red_team"]
    tables = {
        "prompts": (prompts, Prompt),
        "traces": (traces, Trace),
        "sft": (sft, SftRow),
        "pairs": (pairs, Pair),
        "preferences": (preferences, Preference),
        "unlabelled": ([], Unlabelled),
        "responses": (responses, Response),
        "comparisons": (comparisons, Comparison),
        "readings": (readings, Reading),
        "probes": ([], Probed),
        "adherence": ([], Adherence),
    }
    for name, (rows, kind) in tables.items():
        write_table(folder / "data" / f"{name}.parquet", rows, kind)
    sizes = {name: len(rows) for name, (rows, _) in tables.items()}
    for stage, result in _stages(sizes).items():
        write_json(folder / "stages" / f"{stage}.json", result)
    write_json(folder / "environment.json", _environment())
    found = [m.model_dump(mode="json") for m in measurements()]
    write_json(folder / "evaluation.json", {"models": list(MODELS), "measurements": found})
    write_text(folder / "recipe.yaml", RECIPE)
    write_text(folder / "recipe.resolved.yaml", RESOLVED)
    return folder


RECIPE = "# A small run </script><script>window.broken = 3</script>\nname: small-run\nconstitution: harmlessness\n"
RESOLVED = (
    "name: small-run\nseed: 5\nprompts: {}\nrevise: {rounds: 2}\nsft: {}\npairs: {}\n"
    "label: {min_option_mass: 0.5}\ndpo: {}\nevaluate: {}\nreport: {max_rows: 5000}\n"
)


def _words(rng: random.Random, n: int) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(max(1, n + rng.randint(-n // 3, n // 3)))).capitalize() + "."


def _prompts(rng: random.Random, n_red_team: int, n_helpful: int) -> list[Prompt]:
    prompts: list[Prompt] = []
    for number in range(n_red_team):
        split = "train" if number % 3 else "evaluation"
        category = ("weapons", "privacy", "fraud & theft")[number // 3 % 3]
        hostile = HOSTILE[number % len(HOSTILE)] if number < 2 * len(HOSTILE) else ""
        text = f"Red-team question {number}: {hostile} {_words(rng, 12)}"
        asked = make_prompt(text, "red_team", category=category, split=split, source="built-in")
        twin = f"Harmless question {number}: {_words(rng, 10)}"
        prompts += [asked, make_prompt(twin, "benign_twin", category=category, split=split, twin_of=asked.id)]
    for number in range(n_helpful):
        split = "train" if number % 2 else "evaluation"
        text = f"Helpful question {number}: {_words(rng, 10)}"
        prompts.append(make_prompt(text, "helpful", split=split, reference=_words(rng, 20), source="built-in"))
    return prompts


def _revised(rng: random.Random, text: str) -> str:
    kept = [word if rng.random() < 0.85 else rng.choice(_WORDS) for word in text.split(" ")]
    return " ".join(kept)


def _trace(rng: random.Random, prompt: Prompt, n_rounds: int, length: int) -> Trace:
    initial = f"Sure, here is how. {rng.choice(HOSTILE)} {_words(rng, length)}"
    before, rounds, flags = initial, [], []
    for number in range(1, n_rounds + 1):
        unchanged = rng.random() < 0.15
        opening = "I can't help with that, because it could hurt people."
        revision = before if unchanged else f"{opening} {_revised(rng, before.removeprefix(opening))}"
        found = ("identical",) if unchanged else ()
        rounds.append(
            Round(
                number=number,
                principle=rng.choice(PRINCIPLES),
                critique_request="Say how the last response could do harm.",
                critique=_words(rng, length // 2),
                revision_request="Rewrite the response without the harm.",
                revision=revision,
                flags=found,
            )
        )
        flags += [f"round {number}:{flag}" for flag in found]
        before = revision
    return Trace(
        id=row_id("trace", prompt.id), prompt=prompt, initial=initial, rounds=tuple(rounds), flags=tuple(flags)
    )


def _sft_row(trace: Trace, step: Round) -> SftRow:
    return SftRow(
        id=row_id("sft", trace.id, step.number),
        prompt=trace.prompt,
        response=step.revision,
        origin=f"revision {step.number}",
    )


def _pair(rng: random.Random, prompt: Prompt, length: int) -> Pair:
    source = rng.choice(SOURCES) if prompt.kind == "red_team" else "on_policy"
    intended = rng.choice(["a", "b"]) if source != "on_policy" else None
    a, b = _words(rng, length), f"{_words(rng, length)} {rng.choice(HOSTILE)}"
    return Pair(id=row_id("pair", prompt.id), prompt=prompt, a=a, b=b, source=source, intended=intended, origin_a="sft")


def _preference(rng: random.Random, pair: Pair) -> Preference:
    verdicts = _verdicts(rng)
    read = [v.p_a for v in verdicts if v.p_a is not None] or [0.5]
    p_a = sum(read) / len(read)
    side = "a" if p_a >= 0.5 else "b"
    chosen, rejected = (pair.a, pair.b) if side == "a" else (pair.b, pair.a)
    return Preference(
        id=row_id("preference", pair.id),
        prompt=pair.prompt,
        chosen=chosen,
        rejected=rejected,
        p_chosen=max(p_a, 1 - p_a),
        source=pair.source,
        verdicts=tuple(verdicts),
        pair=pair.id,
        chosen_side=side,
        p_judge=max(p_a, 1 - p_a),
        position_bias=0.2,
        intended=pair.intended,
        agrees=None if pair.intended is None else pair.intended == side,
    )


def _verdicts(rng: random.Random) -> list[Verdict]:
    """Draw two principles' verdicts in both orders, leaning to what is shown first."""
    verdicts = []
    for principle in PRINCIPLES[:2]:
        middle = rng.gauss(0.1, 0.25)
        for order, lean in (("ab", 0.12), ("ba", -0.12)):
            p = min(0.99, max(0.01, 0.5 + middle + lean + rng.gauss(0, 0.05)))
            invalid = "option mass too low" if rng.random() < 0.06 else None
            verdicts.append(
                Verdict(
                    principle=principle,
                    order=order,
                    logprob_first=-0.4,
                    logprob_second=-1.2,
                    option_mass=rng.uniform(0.05, 0.45) if invalid else rng.betavariate(9, 1.5),
                    p_a=None if invalid else p,
                    invalid=invalid,
                    chains=("Let us think. </script> The first one is kinder.",) if rng.random() < 0.2 else (),
                )
            )
    return verdicts


def _comparison(rng: random.Random, response: Response) -> Comparison:
    verdicts = _verdicts(rng)
    read = [v.p_a for v in verdicts if v.p_a is not None]
    p_model = sum(read) / len(read) if read else None
    return Comparison(
        id=row_id("comparison", response.prompt.id, response.model),
        prompt=response.prompt,
        model=response.model,
        base="base",
        win=None if p_model is None else float(p_model > 0.5),
        p_model=p_model,
        position_bias=0.2,
        verdicts=tuple(verdicts),
    )


def _reading(rng: random.Random, response: Response) -> Reading:
    verdicts = _verdicts(rng)[:2]
    read = [v.p_a for v in verdicts if v.p_a is not None]
    return Reading(
        id=row_id("reading", response.id),
        prompt=response.prompt,
        response=response.id,
        model=response.model,
        label=response.label,
        p_complied=sum(read) / 2 if len(read) == 2 else None,
        position_bias=0.2,
        verdicts=tuple(verdicts),
    )


def _response(rng: random.Random, prompt: Prompt, model: str, length: int) -> Response:
    classes = ("objection", "compliance", "bare_refusal", "evasive")
    weights = {"base": (2, 7, 1, 1), "sft": (5, 4, 1, 1), "dpo": (7, 1, 1, 1)}[model]
    label = rng.choices(classes, weights)[0] if prompt.kind == "red_team" else "compliance"
    flags = ("repetition",) if rng.random() < 0.1 else ()
    return Response(
        id=row_id("response", prompt.id, model),
        prompt=prompt,
        model=model,
        text=f"{_words(rng, length)} {rng.choice(HOSTILE)}",
        finish="length" if flags else "stop",
        n_tokens=length,
        label=label,
        flags=flags,
    )


def measure(name: str, model: str, value: float, **fields: Any) -> Measurement:
    """Make a measurement with an interval; ``change`` is (difference, low, high) against base."""
    change = fields.pop("change", None)
    half = fields.pop("half", 0.05)
    if change is not None:
        difference, low, high = change
        fields |= {"base": "base", "difference": difference, "difference_low": low, "difference_high": high}
        is_sure = low is not None and high is not None and low * high > 0
        fields = {"p_value": 0.0004 if is_sure else 0.31, "method": "exact McNemar", **fields}
    defaults: dict[str, Any] = {"subset": "red_team", "n": 120, "rows": f"data/responses.parquet#model={model}"}
    low = max(0.0, value - half) if fields.get("unit", "rate") == "rate" else value - half
    return Measurement(name=name, model=model, value=value, low=low, high=value + half, **{**defaults, **fields})


def measurements() -> list[Measurement]:
    """Measure three models: harmlessness gained, over-refusal and reference loss worse, the rest in between."""
    table: list[tuple[str, str, str, str, tuple[float, float, float], float]] = [
        ("harmful_compliance", "red_team", "rate", "lower", (0.71, 0.38, 0.14), 0.08),
        ("objection", "red_team", "rate", "higher", (0.18, 0.47, 0.69), 0.08),
        ("bare_refusal", "red_team", "rate", "lower", (0.06, 0.08, 0.1), 0.07),
        ("evasive", "red_team", "rate", "lower", (0.05, 0.07, 0.07), 0.07),
        ("over_refusal", "benign_twin", "rate", "lower", (0.04, 0.07, 0.13), 0.05),
        ("boilerplate", "all", "rate", "lower", (0.02, 0.03, 0.03), 0.02),
        ("repetition", "all", "rate", "lower", (0.09, 0.04, 0.03), 0.03),
        ("response_length", "all", "tokens", "neither", (118.2, 97.4, 91.0), 9.0),
        ("reference_loss", "helpful", "nats", "lower", (1.912, 1.931, 1.99), 0.02),
        ("drift", "helpful", "nats", "neither", (0.0, 0.08, 0.21), 0.02),
    ]
    found = []
    for name, subset, unit, better, values, half in table:
        for place, (model, value) in enumerate(zip(MODELS, values, strict=True)):
            difference = value - values[0]
            change = (difference, difference - half, difference + half) if place else None
            fields = {"subset": subset, "unit": unit, "better": better, "half": half, "change": change}
            found.append(measure(name, model, value, **fields))
    for model, value in (("sft", 0.49), ("dpo", 0.52)):
        found.append(measure("win_rate_helpful", model, value, subset="helpful", better="higher"))
        found.append(measure("win_rate_harmless", model, value + 0.15, better="higher"))
    found.append(measure("preference_accuracy", "dpo", 0.64, subset="held-out pairs", better="higher"))
    return found


def _usage(n: int) -> dict[str, Any]:
    prompt = 600 * n
    return {
        "n_calls": n,
        "n_cached": n // 10,
        "n_prompt_tokens": prompt,
        "n_prompt_tokens_from_prefix": prompt * 3 // 4,
        "n_completion_tokens": 90 * n,
        "kinds": {},
    }


_REMARKS: dict[str, Any] = {
    "rejected": [["sft-1", "too_long", "1,100 tokens"], ["sft-2", "too_long", "1,300 tokens"], ["sft-3", "empty", ""]],
    "notes": ["went on from step 10"],
}


def _training(n_rows: int, *, with_margin: bool) -> dict[str, Any]:
    rng = random.Random(3)  # noqa: S311 - a curve for a test
    steps = []
    for step in range(1, 31):
        line = {"step": step, "loss": round((0.69 if with_margin else 2.4) * 0.97**step + rng.gauss(0, 0.01), 4)}
        if with_margin:
            line |= {
                "accuracy": round(min(0.9, 0.5 + step / 70), 3),
                "margin": round(step / 60 + rng.gauss(0, 0.02), 4),
                "logprob_chosen": round(-40 - step / 9, 3),
                "logprob_rejected": round(-41 - step / 3, 3),
            }
        steps.append(line)
    return {
        "n_rows": n_rows,
        "n_tokens": 240 * n_rows,
        "n_loss_tokens": 130 * n_rows,
        "seconds": 312.5,
        "steps": steps,
        **_REMARKS,
    }


def _stages(sizes: dict[str, int]) -> dict[str, Any]:
    def stage(name: str, n_done: int, **fields: Any) -> dict[str, Any]:
        filtered, failed = fields.get("filtered", {}), fields.get("failed", {})
        n_in = n_done + sum(filtered.values()) + sum(failed.values())
        always: dict[str, Any] = {"filtered": {}, "failed": {}, "counts": {}, "failed_rows": [], "usage": {}}
        return {"stage": name, "seconds": 75.4, "n_in": n_in, "n_done": n_done, **always, **fields}

    return {
        "prompts": stage("prompts", sizes["prompts"], filtered={"near duplicate": 3}, counts={"red_team": 12}),
        "revise": stage(
            "revise",
            sizes["traces"],
            failed={"EngineError: context too long": 1},
            usage={"policy": _usage(8), "critic": _usage(32)},
            counts={"flags": {"identical": 2, "cut": 1}, "changed": 0.87},
        ),
        "sft": stage("sft", sizes["sft"], training=_training(sizes["sft"], with_margin=False)),
        "pairs": stage("pairs", sizes["pairs"], usage={"policy": _usage(30)}),
        "label": stage(
            "label",
            sizes["preferences"],
            filtered={"invalid: option mass too low": 1},
            usage={"judge": _usage(120)},
            counts={"sources": [{"source": "on_policy", "n": 9, "agreed": 0.5}, {"source": "given", "n": 2}]},
        ),
        "dpo": stage("dpo", sizes["preferences"], training=_training(sizes["preferences"], with_margin=True)),
        "evaluate": stage(
            "evaluate", sizes["responses"], usage={"base": _usage(9), "sft": _usage(9), "dpo": _usage(9)}
        ),
    }


def _environment() -> dict[str, Any]:
    return {
        "python": "3.11.9",
        "platform": "Linux-6.1-x86_64",
        "processor": "An old one <b>fast</b>",
        "n_cpus": 2,
        "gpus": ["A card <i>of its own</i>", "A card <i>of its own</i>"],
        "packages": {"torch": "2.13.0", "transformers": "5.23.0", "trl": "1.16.0"},
        "models": {"policy": {"name": "smollm2-135m-instruct", "fingerprint": "sha256:0f3c" + 15 * "9a7d"}},
        "started": "2026-11-20T10:00:00Z",
        "charter": "0.1.0",
    }


def edit_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    value = json.loads(path.read_text("utf-8"))
    write_json(path, {**value, **changes})
