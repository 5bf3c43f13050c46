"""``charter audit``: what a judge is worth, held against pairs that people have labelled."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.held_file import hold
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import AsJson, examples
from charter.errors import RunError

if TYPE_CHECKING:
    from charter.cli.audit_view import Sitting
    from charter.engines.spending import Price
    from charter.feedback.calibration import JudgedPair
    from charter.feedback.judge import Judging
    from charter.records import Judged, Pair

_FIGURES, _ROWS, _CALIBRATOR, _PLOT = "audit.json", "verdicts.parquet", "calibrator.json", "reliability.svg"


_Judge = Annotated[
    str,
    typer.Argument(
        metavar="JUDGE", help="An embedded name, a model's or adapter's folder, or a hub id.", show_default=False
    ),
]
_Labels = Annotated[
    str,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Pairs that people have labelled, in any layout that a run can be given.",
        show_default=False,
    ),
]
_Out = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="FOLDER",
        help="Where figures, verdicts, plot and calibrator go; the same command goes on there.",
        show_default=False,
    ),
]
_Constitution = Annotated[
    str, typer.Option("--constitution", metavar="NAME", help="Whose principles it judges by: a name or a file.")
]
_Number = Annotated[
    int | None, typer.Option("--n", min=1, help="Pairs, drawn by the seed; all if not given.", show_default=False)
]
_Principles = Annotated[int, typer.Option("--k-principles", min=1, help="Principles drawn for each pair.")]
_FewShots = Annotated[int | None, typer.Option("--n-few-shots", min=0, help="Worked examples shown; all if not given.")]
_Chains = Annotated[int, typer.Option("--chains", min=0, help="Chains of thought for each verdict.")]
_Mass = Annotated[float, typer.Option("--min-option-mass", min=0.0, max=1.0, help="Below it a verdict is invalid.")]
_Own = Annotated[
    list[str] | None,
    typer.Option(
        "--own",
        metavar="NAME",
        help="By which name the file says that an answer is the judge's own; may be given several times. "
        "The judge's name if not given.",
        show_default=False,
    ),
]
_Prices = Annotated[
    str | None,
    typer.Option(
        "--prices", metavar="FILE", help="Prices per million tokens, as a recipe's budget.prices.", show_default=False
    ),
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the pairs, principles and chains drawn.")]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "audit",
        epilog=examples(
            "charter audit Qwen/Qwen2.5-7B-Instruct --labels harmless-test.jsonl.gz --out audits/qwen",
            "charter audit gpt-4o-mini --engine openai --labels pairs.csv --out audits/mini --n 300 --chains 1",
            "charter audit smollm2-135m --labels runs/tutor/data/preferences.parquet --constitution educational "
            "--out audits/small",
        ),
    )(audit)


def audit(  # noqa: PLR0917 - the command line names them
    judge: _Judge,
    labels: _Labels,
    out: _Out,
    engine: Engine = IN_PROCESS,
    constitution: _Constitution = "harmless",
    n: _Number = None,
    k_principles: _Principles = 2,
    n_few_shots: _FewShots = None,
    chains: _Chains = 0,
    min_option_mass: _Mass = 0.5,
    own: _Own = None,
    prices: _Prices = None,
    seed: _Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure a judge on pairs that people have labelled, before a run is spent on it.

    Agreement with people, calibration, what position, length and authors do, invalid verdicts, each principle and
    category, and what 1,000 labels cost, with intervals and beside published yardsticks; then a grade and what to do.
    The calibrator that is fitted on the way is a file that a recipe names (label.calibrator).
    """
    from charter.cli.audit_view import Sitting
    from charter.constitution import load_constitution
    from charter.feedback.auditing import as_judged_pairs, judge_pairs
    from charter.feedback.judge import Judging
    from charter.given.pairs import load_pairs
    from charter.seeds import digest

    price = _price(prices, judge)
    principles, loaded = load_constitution(constitution), load_pairs(labels)
    pairs = _draw(loaded.pairs, n, seed)
    setup: dict[str, Any] = {
        "--labels": digest([pair.id for pair in pairs]),
        "constitution": digest(principles.model_dump(mode="json")),
        "--k-principles": k_principles,
        "--n-few-shots": n_few_shots,
        "--chains": chains,
        "--min-option-mass": min_option_mass,
        "--seed": seed,
    }
    judging = Judging(n_few_shots, min_option_mass, chains)
    _make_folder(out)
    with hold(out / _FIGURES, judge, engine, setup) as asked:
        began = time.monotonic()
        mapped = judge_pairs(
            pairs, principles, asked.engine, k_principles=k_principles, judging=judging, seed=seed, mapper=asked.mapper
        )
        sitting = Sitting(time.monotonic() - began, mapped.n_in - mapped.n_resumed, asked.usage(), price)
        subject = {
            "judge": judge,
            "identity": asked.engine.identity,
            "constitution": principles.name,
            "labels": loaded.source,
            "chains": chains,
            "seed": seed,
            "rejected_rows": loaded.rejected,
            "failed_pairs": mapped.reasons["failed"],
            "own_names": own or own_names(judge),
        }
        judged = as_judged_pairs(rows := tuple(mapped.done), loaded.authors)
        _conclude(out, subject, rows, judged, judging, sitting, as_json=as_json)


def own_names(judge: str) -> list[str]:
    """Say by which names answers are a judge's own: its name, and that without its owner's."""
    return list(dict.fromkeys((judge, judge.rstrip("/").rpartition("/")[2])))


def _price(file: str | None, judge: str) -> Price | None:
    """Read what a judge's tokens cost; None where nobody says.

    Raises:
        UserError: where the file says nothing of the judge.
    """
    from charter.engines.prices import read_prices
    from charter.errors import UserError
    from charter.spelling import hint

    prices = read_prices(file)
    if file is not None and judge not in prices:
        near = hint(judge, sorted(prices))
        problem = f"--prices {file}: {judge!r} has no price"
        raise UserError(f"{problem}; put it there, such as {judge}: {{prompt: 0.5, completion: 1}}{near}")
    return prices.get(judge)


def _conclude(  # noqa: PLR0917 - in the order in which they come about
    out: Path,
    subject: Mapping[str, Any],
    rows: Sequence[Judged],
    judged: Sequence[JudgedPair],
    judging: Judging,
    sitting: Sitting,
    *,
    as_json: bool,
) -> None:
    """Measure, write what there is to be kept, and tell it."""
    from charter.cli.audit_view import describe, write_audit
    from charter.feedback.audit import audit as audit_pairs
    from charter.feedback.calibrator import make_calibrator, write_calibrator
    from charter.files.tables import write_json, write_table
    from charter.records import Judged
    from charter.reporting.reliability import draw_reliability

    write_table(out / _ROWS, rows, Judged)
    clamp = judging.clamp if judging.chains else None
    found = audit_pairs(judged, clamp=clamp, own_names=subject["own_names"], seed=subject["seed"])
    told = describe(found, subject, sitting)
    if found.calibration is not None:
        write_calibrator(out / _CALIBRATOR, make_calibrator(found.calibration, subject))
        draw_reliability(out / _PLOT, subject["judge"], found.calibration)
    write_json(out / _FIGURES, told)
    if as_json:
        console.write_json(told)
    else:
        write_audit(found, told)
        console.write(str(out))


def _draw(pairs: Sequence[Pair], n: int | None, seed: int) -> list[Pair]:
    """Draw pairs by their ids, so that more of them begin with the same."""
    from charter.seeds import derive_seed

    if n is None or n >= len(pairs):
        return list(pairs)
    drawn = {pair.id for pair in sorted(pairs, key=lambda pair: derive_seed(seed, pair.id, "audit"))[:n]}
    return [pair for pair in pairs if pair.id in drawn]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--out {folder}: cannot be made ({error.strerror}); name another folder") from error
