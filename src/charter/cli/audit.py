"""``charter audit``: what a judge is worth, held against pairs that people have labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.audit_asking import how_asked, read_clamp, sided
from charter.cli.held_file import hold, make_folder
from charter.cli.model_options import IN_PROCESS, SCRIPTED, Engine
from charter.cli.options import AsJson, examples

if TYPE_CHECKING:
    from charter.engines.spending import Price
    from charter.feedback.auditing import Sitting
    from charter.feedback.judge import Judging
    from charter.given.loaded import LoadedPairs
    from charter.records import Judged

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
_Recipe = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="FILE",
        help="A recipe whose judge is asked: constitutions, seed and everything under 'label' that no option sets.",
        show_default=False,
    ),
]
_Constitution = Annotated[
    str | None,
    typer.Option(
        "--constitution",
        metavar="NAME",
        help="Whose principles it judges answers to red-team prompts by: a name or a file; 'harmless' if not given.",
        show_default=False,
    ),
]
_Helpful = Annotated[
    str | None,
    typer.Option(
        "--helpful",
        metavar="NAME",
        help="The same for helpful prompts and benign twins, which a file of ours tells apart; 'helpful' if not given.",
        show_default=False,
    ),
]
_Number = Annotated[
    int | None,
    typer.Option(
        "--n",
        min=1,
        help="Pairs, drawn by the seed; more of them in the same folder go on from fewer. All if not given.",
        show_default=False,
    ),
]
_Principles = Annotated[
    int | None,
    typer.Option(
        "--k-principles",
        min=1,
        help="Principles drawn for each pair, all where there are fewer; 2 if not given.",
        show_default=False,
    ),
]
_FewShots = Annotated[
    int | None,
    typer.Option("--n-few-shots", min=0, help="Worked examples shown; all if not given.", show_default=False),
]
_Chains = Annotated[
    int | None,
    typer.Option("--chains", min=0, help="Chains of thought for each verdict; none if not given.", show_default=False),
]
_Mass = Annotated[
    float | None,
    typer.Option(
        "--min-option-mass",
        min=0.0,
        max=1.0,
        help="Below it a verdict is invalid; 0.5 if not given.",
        show_default=False,
    ),
]
_Clamp = Annotated[
    str | None,
    typer.Option(
        "--clamp",
        metavar="LOW,HIGH",
        help="What probabilities are held to behind chains of thought; 0.4,0.6 if not given.",
        show_default=False,
    ),
]
_ChainTokens = Annotated[
    int | None,
    typer.Option("--max-chain-tokens", min=1, help="At most, of each chain; 160 if not given.", show_default=False),
]
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
_Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", min=0, help="Of the pairs, principles and chains drawn; 0 if not given.", show_default=False
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "audit",
        epilog=examples(
            "charter audit Qwen/Qwen2.5-7B-Instruct --labels harmless-test.jsonl.gz --out audits/qwen",
            "charter audit gpt-4o-mini --engine openai --labels pairs.csv --out audits/mini --n 300 --chains 1",
            "charter audit smollm2-135m --labels pairs.jsonl --recipe recipes/educational.yaml --out audits/small",
        ),
    )(audit)


def audit(  # noqa: PLR0917 - the command line names them
    judge: _Judge,
    labels: _Labels,
    out: _Out,
    engine: Engine = IN_PROCESS,
    recipe: _Recipe = None,
    constitution: _Constitution = None,
    helpful: _Helpful = None,
    n: _Number = None,
    k_principles: _Principles = None,
    n_few_shots: _FewShots = None,
    chains: _Chains = None,
    min_option_mass: _Mass = None,
    clamp: _Clamp = None,
    max_chain_tokens: _ChainTokens = None,
    own: _Own = None,
    prices: _Prices = None,
    seed: _Seed = None,
    as_json: AsJson = False,
) -> None:
    """Measure a judge on pairs that people have labelled, before a run is spent on it.

    Agreement with people, calibration, what position, length and authors do, invalid verdicts, each principle and
    category, and what 1,000 labels cost, with intervals and beside published yardsticks; then a grade and what to do.
    The calibrator that is fitted on the way is a file that a recipe names (label.calibrator).
    """
    from charter.feedback.auditing import Sitting, draw_pairs, own_names
    from charter.feedback.labels import judge_pairs
    from charter.given.pairs import load_pairs

    price = _price(prices, judge)
    given = {
        "k_principles": k_principles,
        "n_few_shots": n_few_shots,
        "chains": chains,
        "min_option_mass": min_option_mass,
        "clamp": None if clamp is None else read_clamp(clamp),
        "max_chain_tokens": max_chain_tokens,
    }
    asking = how_asked(recipe, constitution, helpful, seed, given)
    loaded = load_pairs(labels)
    every = sided(loaded, labels)
    pairs = draw_pairs(every, n, asking.seed)
    make_folder(out, (_FIGURES, _ROWS, _CALIBRATOR, _PLOT), _FIGURES)
    with hold(out / _FIGURES, judge, engine, asking.setup([pair.id for pair in every]), same_model=True) as asked:
        mapped = judge_pairs(
            pairs,
            asking.constitution,
            asked.engine,
            helpful=asking.helpful,
            k_principles=asking.k_principles,
            judging=asking.judging,
            seed=asking.seed,
            mapper=asked.mapper,
            stage="audit",
        )
        sitting = Sitting(asked.seconds(), mapped.n_in - mapped.n_resumed, asked.usage(), price)
        subject = {
            "judge": judge,
            "scripted": engine == SCRIPTED,
            "identity": asked.engine.identity,
            "constitution": asking.constitution.name,
            "helpful_constitution": asking.helpful.name,
            "labels": loaded.source,
            "labels_by": loaded.labels_by,
            "kinds": sorted({row.prompt.kind for row in mapped.done}),
            "chains": asking.judging.chains,
            "n_few_shots": asking.judging.n_few_shots,
            "min_option_mass": asking.judging.min_option_mass,
            "seed": asking.seed,
            "rejected_rows": loaded.left_out_or_undecided,
            "unused_columns": list(loaded.unused),
            "failed_pairs": mapped.reasons["failed"],
            "own_names": own or own_names(judge),
        }
        _conclude(out, subject, tuple(mapped.done), loaded, asking.judging, sitting, as_json=as_json)


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
    loaded: LoadedPairs,
    judging: Judging,
    sitting: Sitting,
    *,
    as_json: bool,
) -> None:
    """Measure, write what there is to be kept, and tell it."""
    from charter.cli.audit_view import describe, write_audit
    from charter.feedback.audit import audit_judge
    from charter.feedback.auditing import as_judged_pairs
    from charter.feedback.calibrator import make_calibrator, write_calibrator
    from charter.files.tables import write_json, write_table
    from charter.records import Judged
    from charter.reporting.reliability import draw_reliability

    write_table(out / _ROWS, rows, Judged)
    clamp = judging.clamp if judging.chains else None
    judged = as_judged_pairs(rows, loaded.p_intended, loaded.authors)
    found = audit_judge(judged, clamp=clamp, own_names=subject["own_names"], seed=subject["seed"])
    told = describe(found, subject, sitting)
    if found.calibration is not None and loaded.labels_by == "people":
        write_calibrator(out / _CALIBRATOR, make_calibrator(found.calibration, subject))
        draw_reliability(out / _PLOT, subject["judge"], found.calibration)
    write_json(out / _FIGURES, told)
    if as_json:
        console.write_json(told)
    else:
        write_audit(found, told)
        console.write(str(out))
