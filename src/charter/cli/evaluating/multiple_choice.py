"""``charter evaluate multiple-choice``: which of a question's options a model finds likeliest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charter.cli import console
from charter.cli.evaluating.options import KeptIn
from charter.cli.held_file import hold, keeping_folder
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import examples

if TYPE_CHECKING:
    from charter.cli.held_file import Writing
    from charter.evaluation.multiple_choice import Asking, ChoiceAnswer, ChoiceRow, Chosen
    from charter.rows import Mapped

_FIGURES, _ANSWERS = "multiple-choice.json", "answers.jsonl"
_FEW = 5  # examples where nobody says how many, as in CAI §2

_Mode = Literal["letters", "text", "few-shot", "chain", "rewards"]
_Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="JSON lines of {prompt, corrects, incorrects} or {question, choices, answer}, BIG-bench tasks, or one of "
        "the built-in harm-pairs, harm-identification and harm-kinds.",
        show_default=False,
    ),
]
_Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="M",
        help="An embedded name, a model's or adapter's folder, or a hub id; of --mode rewards a preference model.",
        show_default=False,
    ),
]
_ModeOption = Annotated[
    _Mode,
    typer.Option(
        "--mode",
        help="What is read: the letters' log-probabilities; each option's whole text's, per token; the letters after "
        "worked examples; after chains of thought; or a preference model's rewards.",
    ),
]
_LayoutOption = Annotated[
    Literal["text", "chat"],
    typer.Option("--layout", help="Show questions as the file has them, or through the model's chat template."),
]
_FewShots = Annotated[
    int | None,
    typer.Option(
        "--few-shots",
        min=0,
        help=f"Worked examples before each question; {_FEW} of --mode few-shot and none of others if not given.",
        show_default=False,
    ),
]
_From = Annotated[
    str | None,
    typer.Option(
        "--few-shots-from",
        metavar="FILE",
        help="Where these come from, a file or a built-in name; the file itself if not given. Questions of their "
        "contexts are not asked.",
        show_default=False,
    ),
]
_Chains = Annotated[int, typer.Option("--chains", min=1, help="Chains of thought in each order, averaged.")]
_ChainTokens = Annotated[int, typer.Option("--max-chain-tokens", min=1, help="At most, of each chain.")]
_Number = Annotated[
    int | None,
    typer.Option("--n", min=1, help="Questions of each file, drawn by the seed; all if not given.", show_default=False),
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the questions, examples and chains drawn.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line for each file, instead of text.")]


def add_to(app: typer.Typer) -> None:
    """Add the measurement."""
    app.command(
        "multiple-choice",
        epilog=examples(
            "charter evaluate multiple-choice hhh.jsonl --model smollm2-135m",
            "charter evaluate multiple-choice harm-pairs harm-identification harm-kinds --model smollm2-135m --n 10",
            "charter evaluate multiple-choice hhh.jsonl bbq.json --model Qwen/Qwen2.5-7B-Instruct --mode chain --json",
            "charter evaluate multiple-choice hhh.jsonl --model runs/one/models/preference_model --mode rewards",
        ),
    )(multiple_choice)


def multiple_choice(  # noqa: PLR0917 - the command line names them
    files: _Files,
    model: _Model,
    mode: _ModeOption = "letters",
    engine: Engine = IN_PROCESS,
    layout: _LayoutOption = "text",
    few_shots: _FewShots = None,
    few_shots_from: _From = None,
    chains: _Chains = 1,
    max_chain_tokens: _ChainTokens = 200,
    n: _Number = None,
    seed: _Seed = 0,
    out: KeptIn = None,
    as_json: _AsJson = False,
) -> None:
    """Measure which of a question's options a model finds likeliest.

    Options are shown in both orders, so that no letter wins by itself. Beside accuracy and calibration error stands
    what would be right without reading: a place, the longest option, chance. Questions of one context count as one.
    """
    from charter.errors import UserError
    from charter.evaluation.harm import load_questions
    from charter.evaluation.multiple_choice import Asking, choose_questions, require_readable

    if few_shots and mode in {"text", "rewards"}:
        raise UserError(f"--few-shots {few_shots}: --mode {mode} shows no worked examples; leave it out")
    n_shown = few_shots if few_shots is not None else _FEW * (mode == "few-shot")
    asking = Asking("letters" if mode == "few-shot" else mode, layout, (), chains, max_chain_tokens, seed)
    others = load_questions(few_shots_from) if few_shots_from else ()
    chosen = {}
    for file in files:
        rows = load_questions(file)
        require_readable(file, rows, asking)
        chosen[file] = choose_questions(rows, n=n, n_examples=n_shown, others=others, seed=seed)
    given = {"mode": mode, "model": model, "layout": layout, "chains": chains if mode == "chain" else 0, "seed": seed}
    with (
        keeping_folder(out, (_FIGURES, _ANSWERS), _FIGURES) as folder,
        hold(
            folder / _FIGURES,
            model,
            engine,
            _setup(asking, chosen),
            same_model=True,
            rows=_keys(chosen),
            kept=out is not None,
        ) as asked,
    ):
        answer = _answering(asked, model, asking)
        found = []
        for file, questions in chosen.items():
            mapped = answer(file, questions)
            told = {"file": file, **given, **_figures(questions, mapped), "n_few_shots": len(questions.examples)}
            found.append((told, tuple(mapped.done)))
            _tell(told, as_json=as_json)
        _keep(folder, found, chosen.values())
        if out is not None and not as_json:
            console.write(str(out))


def _setup(asking: Asking, chosen: Mapping[str, Chosen]) -> dict[str, Any]:
    """Name what determines the answers, as a person knows it."""
    from charter.seeds import digest

    shown = [[one.text, one.corrects] for questions in chosen.values() for one in questions.examples]
    behind_chains = {"--chains": asking.chains, "--max-chain-tokens": asking.max_chain_tokens, "--seed": asking.seed}
    return {
        "--mode": asking.mode,
        "--layout": asking.layout,
        "worked examples": digest(shown),
        **(behind_chains if asking.mode == "chain" else {}),
    }


def _keys(chosen: Mapping[str, Chosen]) -> dict[str, Any]:
    """Give what is right of each question, and its conversations, by its id, which is made of what it asks."""
    return {row.id: [row.corrects, row.conversations] for questions in chosen.values() for row in questions.rows}


def _answering(asked: Writing, model: str, asking: Asking) -> Callable[[str, Chosen], Mapped[ChoiceAnswer]]:
    """Give what answers the questions of a file: the engine, or a preference model that is loaded when first asked."""
    from charter.evaluation.multiple_choice import answer, answer_with_rewards, require_able

    if asking.mode == "rewards":
        from charter.training.rewards import late_rewards

        rewards = late_rewards(model, lambda: console.note(f"loading {model}"))
        return lambda file, chosen: answer_with_rewards(chosen.rows, model, rewards, file=file, mapper=asked.mapper)

    def ask(file: str, chosen: Chosen) -> Mapped[ChoiceAnswer]:
        require_able(asked.engine, asking)
        shown = replace(asking, examples=chosen.examples)
        return answer(chosen.rows, model, asked.engine, file=file, mapper=asked.mapper, asking=shown)

    return ask


def _figures(chosen: Chosen, mapped: Mapped[ChoiceAnswer]) -> dict[str, Any]:
    """Give one file's figures as plain values.

    Raises:
        RunError: where no question was answered.
    """
    from charter.errors import RunError
    from charter.evaluation.multiple_choice import assess

    if not mapped.done:
        reasons = "; ".join(f"{n:,}: {reason}" for reason, n in mapped.reasons["failed"].items())
        raise RunError(f"no question could be answered ({reasons}); see --help for what a mode asks of a model")
    found = assess(chosen.rows, mapped.done)
    kept = found.same_place
    return {
        "n": found.accuracy.n,
        "n_contexts": found.accuracy.n_groups,
        "accuracy": found.accuracy.value,
        "interval": [found.accuracy.low, found.accuracy.high],
        "ece": found.ece,
        "ece_by_chance": list(found.ece_by_chance),
        "baselines": dict(found.baselines),
        "n_both_orders": found.n_both_orders,
        "same_place": None if kept is None else kept.value,
        "same_place_interval": None if kept is None else [kept.low, kept.high],
        "n_unread": found.n_unread,
        "left_out": {"shares its context with a worked example": chosen.n_left_out} if chosen.n_left_out else {},
        "failed": mapped.reasons["failed"],
    }


def _keep(
    folder: Path, found: Sequence[tuple[dict[str, Any], Sequence[ChoiceAnswer]]], asked: Iterable[Chosen]
) -> None:
    """Write the figures, and every answer beside its question."""
    from charter.files.tables import write_json, write_text
    from charter.seeds import canonical_json

    questions = {row.id: row for chosen in asked for row in chosen.rows}
    lines = (
        canonical_json({"file": told["file"], **_shown(questions[one.id]), **one.model_dump(mode="json")})
        for told, answers in found
        for one in answers
    )
    write_text(folder / _ANSWERS, "".join(f"{line}\n" for line in lines))
    write_json(folder / _FIGURES, [told for told, _ in found])


def _shown(row: ChoiceRow) -> dict[str, Any]:
    return {"question": row.text, "right": row.corrects, "context": row.context}


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    """Print the figures of a file."""
    if as_json:
        console.write_json(told)
        return
    contexts = "" if told["n_contexts"] is None else f" in {told['n_contexts']:,} contexts"
    console.write(f"{told['file']}: {told['n']:,} questions{contexts}, {told['mode']}, {told['model']}")
    console.write(f"  right               {100 * told['accuracy']:.1f} %{_bounds(told['interval'])}")
    mean, most = told["ece_by_chance"]
    by_chance = f"(true probabilities: {mean:.3f}, at most {most:.3f} in 95 %)"
    console.write(f"  calibration error   {told['ece']:.3f} {by_chance}")
    if told["same_place"] is not None:
        share = f"{100 * told['same_place']:.1f} %{_bounds(told['same_place_interval'])}"
        console.write(f"  the same place in both orders  {share} of {told['n_both_orders']:,}")
    for name, share in told["baselines"].items():
        console.write(f"  without reading, {name}  {100 * share:.1f} %")
    if told["n_unread"]:
        console.write(f"  without an answer that can be read, counted as wrong  {told['n_unread']:,}")
    for what, reasons in (("left out", told["left_out"]), ("failed", told["failed"])):
        for reason, n in reasons.items():
            console.write(f"  {what}, {n:,}: {reason}")


def _bounds(interval: Sequence[float | None]) -> str:
    low, high = interval
    return "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
