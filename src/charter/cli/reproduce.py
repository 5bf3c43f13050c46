"""``charter reproduce``: the paper's figures, made again for any model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.evaluating.entrants import read_models
from charter.cli.evaluating.options import JudgeEngine
from charter.cli.held_file import Held, hold_file, journal_of, make_folder
from charter.cli.model_options import IN_PROCESS, Engine, model_spec
from charter.cli.options import AsJson, examples
from charter.cli.running import Done, do_stages
from charter.cli.usage import plain

if TYPE_CHECKING:
    from charter.recipe import Recipe
    from charter.reproduction.desk import Desk, NamedModel
    from charter.reproduction.figure import Figure, Trial
    from charter.reproduction.papers import Told

_PAGE, _RUNS = "reproduction.md", "runs"
_RECIPE = Path("reproduction")

_Figures = Annotated[
    list[str],
    typer.Argument(
        metavar="FIGURE... [KEY=VALUE...]",
        help="2, 3, 4, 5, 6, 7, 8, 9, 10, 12, soft-labels, clamp, chains, or all; settings in place of the recipe's.",
        show_default=False,
    ),
]
_RecipeOption = Annotated[
    Path,
    typer.Option("--recipe", "-r", metavar="RECIPE", help="What the runs behind the figures do: a file or a name."),
]
_Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="M",
        help="[NAME=]M[@ENGINE]: models of several sizes, smallest first, for figures 4, 12 and chains; the recipe's "
        "policy if not given.",
        show_default=False,
    ),
]
_Judge = Annotated[
    str | None,
    typer.Option("--judge", "-j", metavar="J", help="Who judges; the recipe's judge if not given.", show_default=False),
]
_Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="NAME=FILE",
        help="Rows in place of those that come with Charter: choices, identification, kinds.",
        show_default=False,
    ),
]
_Number = Annotated[int, typer.Option("--n", min=2, help="Questions, prompts and pairs that each figure asks about.")]
_Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where figures and the runs behind them go.")]
_Again = Annotated[bool, typer.Option("--again", help="Make figures again that are there; models are not asked again.")]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "reproduce",
        epilog=examples(
            "charter reproduce 5 7",
            "charter reproduce 4 12 -m smollm2-135m -m HuggingFaceTB/SmolLM2-1.7B-Instruct --n 200",
            "charter reproduce 4 9 --data choices=hhh.jsonl",
            "charter reproduce all --recipe mine.yaml --out figures revise.max_tokens=128",
        ),
    )(reproduce)


def reproduce(  # noqa: PLR0917 - the command line names them
    figures: _Figures,
    recipe: _RecipeOption = _RECIPE,
    models: _Models = None,
    judge: _Judge = None,
    judge_engine: JudgeEngine = IN_PROCESS,
    engine: Engine = IN_PROCESS,
    data: _Data = None,
    n: _Number = 100,
    out: _Out = Path("reproduction"),
    again: _Again = False,
    as_json: AsJson = False,
) -> None:
    """Make figures of the paper again, for any model.

    Runs that a figure reads are done first, in the folder's runs/, each of the recipe with a few other settings. Every
    figure leaves its values and points as Parquet, a picture as SVG and PNG, and a caption with what the paper found
    and whether it shows here. The same command goes on where it was stopped.
    """
    from charter.recipe import find_recipe, load_recipe
    from charter.reproduction.names import check_data, find_names

    overrides = [one for one in figures if "=" in one]
    names = find_names([one for one in figures if "=" not in one])
    files = _files(data or ())
    check_data(names, list(files))
    file = find_recipe(recipe)
    loaded = load_recipe(file, overrides)

    from charter.reproduction.figures import FIGURES, find_figures, trials_of  # heavy: what is wrong was told before
    from charter.reproduction.papers import read_told, write_page

    wanted = find_figures(names)
    asked = _models_of(loaded, models or (), engine), _judge_of(loaded, judge, judge_engine)
    _check_rows(files.values())
    make_folder(out, (_PAGE,), _PAGE)
    _check_folder(out, loaded, *asked)
    done = {one.name: _do_trial(one, file, overrides, loaded, out, quiet=as_json) for one in trials_of(wanted)}
    with hold_file(out / _PAGE) as held:
        by = _setup(loaded, wanted, files, n, done)
        for name, setup in _setups(held, loaded, *asked):
            held.require_setup(setup, kept_as=name)
        runs = {name: one.folder for name, one in done.items()}
        every = _desk(held, loaded, *asked, runs=runs, files=files, n=n)
        for figure in wanted:
            desk = replace(every, folder=out / f"figure-{figure.name}")
            _make(figure, desk, by[figure.name], again=again)
        told = read_told(out / f"figure-{name}" for name in FIGURES)
        write_page(out, told)
    _tell(told, wanted, out, as_json=as_json)


def _files(given: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=FILE`` of each.

    Raises:
        UserError: for one without a name or a file.
    """
    from charter.errors import UserError

    found = {}
    for text in given:
        name, is_there, file = text.partition("=")
        if not (name and is_there and file):
            raise UserError(f"--data {text}: expected NAME=FILE, such as choices=hhh.jsonl")
        found[name] = file
    return found


def _check_rows(files: Iterable[str]) -> None:
    """Read files of questions, before runs are done that take hours.

    Raises:
        PromptError: for one that cannot be read.
    """
    from charter.evaluation.harm import load_questions

    for file in files:
        load_questions(file)


def _check_folder(out: Path, recipe: Recipe, models: Sequence[NamedModel], judge: NamedModel) -> None:
    """Refuse a folder of another recipe, or of other models of the same names, before runs are done in it."""
    if not journal_of(out / _PAGE).exists():
        return
    with hold_file(out / _PAGE) as held:
        for name, setup in _setups(held, recipe, models, judge):
            held.check_setup(setup, kept_as=name)


def _do_trial(trial: Trial, file: Path, overrides: Sequence[str], recipe: Recipe, out: Path, *, quiet: bool) -> Done:
    """Do a run that figures read, as far as they do; models' answers are taken over from runs that are there."""
    from charter.recipe.stages import policies_of
    from charter.runs.place import RESOLVED, is_run

    settings = [*trial.settings, *_fewer_principles(trial, recipe, out)]
    own = {one.partition("=")[0] for one in settings}
    given = [one for one in overrides if one.partition("=")[0] not in own]
    if len(given) < len(overrides):
        unused = ", ".join(one for one in overrides if one not in given)
        console.note(f"{trial.name}: its figures need {', '.join(settings)}; not used there: {unused}")
    folder = out / _RUNS / trial.name
    others = [one.parent for one in sorted((out / _RUNS).glob(f"*/{RESOLVED}")) if one.parent != folder]
    return do_stages(
        file,
        [*given, *settings],
        folder,
        trial.until or policies_of(recipe)[-1],
        answers_of=[] if is_run(folder) else others,
        quiet=quiet,
        putting=False,  # several runs, and one place for a model
    )


def _fewer_principles(trial: Trial, recipe: Recipe, out: Path) -> list[str]:
    """Write the constitution of a trial that has one of its own, and give the setting that takes it."""
    if trial.n_principles is None:
        return []
    from charter.constitution import load_constitution
    from charter.recipe.paths import is_path
    from charter.reproduction.subsets import write_subset

    source = recipe.constitution.source
    whole = load_constitution(source)
    named = str(Path(source).resolve()) if is_path(source) else source
    path = write_subset(out / "constitutions", named, whole, trial.n_principles, recipe.seed)
    return [f"constitution.source={path}"]


def _models_of(recipe: Recipe, texts: Sequence[str], engine: str) -> list[NamedModel]:
    """Name the models of several sizes, or the policy alone."""
    from charter.engines.specs import ModelSpec
    from charter.reproduction.desk import NamedModel

    if texts:
        return [NamedModel(one.name, one.asked) for one in read_models(texts, engine)]
    policy = ModelSpec(**recipe.models.policy.model_dump())
    return [NamedModel(policy.label, policy)]


def _judge_of(recipe: Recipe, judge: str | None, engine: str) -> NamedModel:
    from charter.reproduction.desk import NamedModel
    from charter.runs.roles import role_specs

    spec = role_specs(recipe)["judge"] if judge is None else model_spec(judge, engine)
    return NamedModel(spec.label, spec)


def _setup(
    recipe: Recipe, figures: Sequence[Figure], files: Mapping[str, str], n: int, done: Mapping[str, Done]
) -> dict[str, dict[str, Any]]:
    """Give what determines each figure, beside the models that are asked."""
    from charter.reproduction.names import WANTS

    return {
        one.name: {
            "recipe": _digest(recipe),
            "n": n,
            "data": {name: _content(file) for name, file in files.items() if name in WANTS[one.name]},
            "runs": {trial.name: _state(done[trial.name]) for trial in one.trials},
        }
        for one in figures
    }


def _state(done: Done) -> str:
    """Fingerprint what a run came to by what its stages said of themselves: one that is done again says otherwise."""
    told = [(done.folder / "stages" / f"{stage}.json").read_bytes() for stage in done.stages]
    return hashlib.sha256(b"\n".join(told)).hexdigest()


def _digest(recipe: Recipe) -> str:
    from charter.recipe.writing import recipe_values
    from charter.seeds import digest

    return digest(recipe_values(recipe))


def _content(file: str) -> str:
    """Fingerprint a file; a built-in name or a dataset's is its own."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if Path(file).is_file() else file


def _setups(
    held: Held, recipe: Recipe, models: Sequence[NamedModel], judge: NamedModel
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what a folder's answers are held to, each by the name that the journal keeps it under."""
    yield "setup", {"--recipe": _digest(recipe)}
    for one in models:
        yield f"setup of {one.name}", {f"model called {one.name}": _identified(held, one)}
    yield f"setup of the judge {judge.name}", {"--judge": _identified(held, judge)}


def _identified(held: Held, model: NamedModel) -> list[str]:
    return [model.spec.name, model.spec.engine, str(model.spec.server), *held.weights(model.spec).values()]


def _desk(
    held: Held,
    recipe: Recipe,
    models: Sequence[NamedModel],
    judge: NamedModel,
    *,
    runs: Mapping[str, Path],
    files: Mapping[str, str],
    n: int,
) -> Desk:
    from charter.progress import step_bar
    from charter.reproduction.desk import Desk

    return Desk(
        folder=held.target.parent,
        recipe=recipe,
        runs=runs,
        models=models,
        judge=judge,
        data=files,
        n=n,
        lend=held.lend,
        mapper=held.mapper,
        on_step=lambda label: step_bar(held.progress, label),
        stop=held.stop,
    )


def _make(figure: Figure, desk: Desk, by: Mapping[str, Any], *, again: bool) -> None:
    """Make a figure, unless the same one is there."""
    from charter.reproduction.papers import keep, kept

    by = dict(by) | {"models": [one.name for one in desk.models], "judge": desk.judge.name}
    if not again and kept(desk.folder, by):
        console.note(f"figure {figure.name}: is there; --again makes it anew")
        return
    keep(desk.folder, figure, figure.make(desk), by)


def _tell(told: Sequence[Told], wanted: Sequence[Figure], out: Path, *, as_json: bool) -> None:
    """Print what the figures that were asked for came to."""
    names = {one.name for one in wanted}
    asked = [one for one in told if one.name in names]
    if as_json:
        console.write_json([one.to_json() for one in asked])
        return
    for one in asked:
        console.write(f"{one.name}: {one.title}")
        console.write_columns(("claim", "here", ""), list(_rows(one)))
        console.write()
    console.write(str(out / _PAGE))


def _rows(one: Told) -> Iterator[tuple[str, str, str]]:
    for claim in one.claims:
        yield plain(claim.statement), claim.shows, plain(claim.told)
