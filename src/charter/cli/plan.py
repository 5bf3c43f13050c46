"""``charter plan``: what a run would take on a machine, and with a model, that need not be here."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli import console
from charter.cli.cost_table import write_devices, write_estimate, write_growth
from charter.cli.options import AsJson, Overrides, examples
from charter.errors import UserError

if TYPE_CHECKING:
    from charter.planning.estimate import Place
    from charter.planning.shapes import Shape

_LIST = "list"


class Training(StrEnum):
    """What is trained."""

    lora = "lora"
    qlora = "qlora"
    full = "full"


class Sharding(StrEnum):
    """How a training's weights are spread over devices."""

    none = "none"
    fsdp2 = "fsdp2"
    zero3 = "zero3"


class On(StrEnum):
    """By what rows are shared out, if not by shards."""

    ray = "ray"


Recipe = Annotated[
    Path | None, typer.Argument(metavar="RECIPE", help="The recipe, as for 'charter check'.", show_default=False)
]
Hardware = Annotated[
    str | None,
    typer.Option("--hardware", metavar="NAMExN", help="Devices and how many, such as h200x8; 'list' lists them."),
]
Size = Annotated[
    str | None,
    typer.Option("--size", metavar="SIZE", help="Plan for a model of this size, such as 7b, in the policy's place."),
]
Configured = Annotated[
    str | None,
    typer.Option("--model-config", metavar="MODEL", help="Likewise, for a model whose folder or hub copy is here."),
]
Prompts = Annotated[
    str | None,
    typer.Option(
        "--prompts", metavar="N", help="Red-team prompts to train on, such as 10M; several, with commas, are compared."
    ),
]
Price = Annotated[
    float | None, typer.Option("--price-per-hour", metavar="X", min=0.0, help="Of one device, in place of our example.")
]
OwnFile = Annotated[
    Path | None,
    typer.Option("--hardware-file", metavar="FILE", help="Devices of yours, beside ours or in their place."),
]
CopyTo = Annotated[
    Path | None, typer.Option("--write-hardware", metavar="FILE", help="Write our file of devices, for you to edit.")
]
Trained = Annotated[
    Training | None,
    typer.Option("--training", help="What is trained: an adapter, or all weights.", show_default="as the recipe says"),
]
Spread = Annotated[
    Sharding | None,
    typer.Option(
        "--sharding", help="How weights are spread over devices in training.", show_default="as the recipe says"
    ),
]

Shared = Annotated[
    On | None,
    typer.Option(
        "--on",
        metavar="WHERE",
        help="How several devices share rows: 'ray' plans for 'charter run --on ray'.",
        show_default="as by --shard",
    ),
]
Phases = Annotated[
    bool,
    typer.Option(
        "--phases",
        help="Only list what one process ('alone') and what shards do in turn, where the run is divided.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "plan",
        epilog=examples(
            "charter plan recipes/smoke.yaml --hardware cpu-2",
            "charter plan recipes/smollm2-135m.yaml --hardware h200x8 --size 7b --prompts 100k",
            "charter plan recipes/smollm2-135m.yaml --hardware h200x8 --size 7b --prompts 1k,100k,10M",
            "charter plan recipes/smollm2-135m.yaml --hardware h200x8 --size 7b --on ray",
            "charter plan recipes/smoke.yaml --hardware a100-80x4 --size 8b --training full --sharding zero3 --json",
            "charter plan recipes/smoke.yaml --hardware l4 --model-config smollm2-135m --price-per-hour 0.6",
            "charter plan recipes/paper.yaml --phases",
            "charter plan --hardware list",
        ),
    )(plan)


def plan(  # noqa: PLR0917 - the command line names them
    recipe: Recipe = None,
    overrides: Overrides = None,
    hardware: Hardware = None,
    size: Size = None,
    model_config: Configured = None,
    prompts: Prompts = None,
    training: Trained = None,
    sharding: Spread = None,
    on: Shared = None,
    price_per_hour: Price = None,
    hardware_file: OwnFile = None,
    write_hardware: CopyTo = None,
    phases: Phases = False,
    as_json: AsJson = False,
) -> None:
    """Plan a run on a machine: hours, money and memory.

    Every stage's hours, money and memory are estimated, from least to most, for devices and a model that need not be
    here; what does not fit is named, with the least change that helps. No model and no server is asked.

    The exit code is 2 where something does not fit, or the recipe has an error.
    """
    from charter.planning.hardware import built_in_text, find_machine, read_devices

    if write_hardware is not None:
        _write_new(write_hardware, built_in_text())
        return
    devices = read_devices(hardware_file)
    if hardware == _LIST:
        write_devices(devices, as_json=as_json)
        return
    if recipe is None:
        raise UserError("there is no recipe to plan; name one, or list the devices with --hardware list")
    if phases:
        if any((hardware, size, model_config, prompts, training, sharding, on, price_per_hour is not None)):
            raise UserError("--phases goes by the recipe alone, and plans no machine; leave the other options out")
        _write_phases(recipe, overrides or (), as_json=as_json)
        return
    if training is Training.qlora and sharding not in {None, Sharding.none}:
        raise UserError("weights in 4 bits cannot be spread over devices; leave --sharding or --training qlora out")
    place: Place | None = None
    if hardware is not None:
        from charter.planning.estimate import Place

        machine = find_machine(hardware, devices, price_per_hour)
        place = Place(
            machine,
            training.value if training else None,
            sharding.value if sharding else None,
            _shape(size, model_config),
            "ray" if on is On.ray else "shards",
        )
    elif size or model_config or on or price_per_hour is not None:
        raise UserError("--size, --model-config, --on and --price-per-hour need a machine; name one with --hardware")
    _estimate(recipe, overrides or (), prompts, place, as_json=as_json)


def _estimate(
    recipe: Path, overrides: list[str] | tuple[str, ...], prompts: str | None, place: Place | None, *, as_json: bool
) -> None:
    from charter.planning.estimate import Estimator, read_number
    from charter.recipe import find_recipe, load_recipe

    found = load_recipe(find_recipe(recipe), overrides)
    numbers = [read_number(one) for one in prompts.split(",")] if prompts else [None]
    estimator = Estimator(found, place)
    made = [estimator.estimate(n) for n in numbers]
    if as_json:
        console.write_json({"recipe": found.name, "estimates": [one.to_dict() for one in made]})
    elif len(made) > 1:
        write_growth(made)
    else:
        console.write(f"{recipe}: {found.name}, {made[0].n_prompts:,.0f} red-team prompts to train on")
        write_estimate(made[0])
    if any(one.cost is not None and not one.cost.fits for one in made):
        raise typer.Exit(UserError.exit_code)


def _write_phases(recipe: Path, overrides: list[str] | tuple[str, ...], *, as_json: bool) -> None:
    """Print a phase a line: by whom it is done, and its stages."""
    from charter.recipe import find_recipe, load_recipe
    from charter.sharding.phases import phases_of

    found = load_recipe(find_recipe(recipe), overrides)
    told = [("shards" if one.by_shards else "alone", one.stages) for one in phases_of(found)]
    if as_json:
        console.write_json({"recipe": found.name, "phases": [{"by": by, "stages": stages} for by, stages in told]})
        return
    for by, stages in told:
        console.write(" ".join((by, *stages)))


def _shape(size: str | None, model: str | None) -> Shape | None:
    from charter.planning.shapes import named_shape, shape_of

    if size and model:
        raise UserError("--size and --model-config both say a model's size; give one of them")
    if size:
        return named_shape(size)
    return shape_of(model) if model else None


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UserError(f"{path} is there already; name another file") from error
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    console.write(str(path))
