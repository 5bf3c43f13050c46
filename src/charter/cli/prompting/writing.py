"""What the verbs share that have a model write: their options, what these name, and the account of what was written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charter.cli import console
from charter.errors import EngineError

if TYPE_CHECKING:
    from charter.authoring.coverage import Axes
    from charter.authoring.few_shots import Values
    from charter.authoring.written import WrittenSet
    from charter.records import Prompt, PromptKind

_ASKED_BY_OPTION = ("form", "temperature", "max_tokens", "seed")

Constitution = Annotated[
    str, typer.Argument(metavar="CONSTITUTION", help="A built-in name, or a file.", show_default=False)
]
Target = Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="Where the prompts go.", show_default=False)]
Model = Annotated[
    str,
    typer.Option("--model", metavar="M", help="An embedded name, a model's or adapter's folder, or a hub id."),
]
PerCall = Annotated[
    int | None, typer.Option("--per-call", min=1, help="Asked for in one call, at most: 5, labelled 1.")
]
FewShots = Annotated[
    Path | None, typer.Option("--few-shots", metavar="FILE", help="Worked examples instead of our own.")
]
NFewShots = Annotated[int, typer.Option("--n-few-shots", min=0, help="Worked examples shown, the first.")]
Against = Annotated[
    Path | None,
    typer.Option("--against", metavar="FILE", help="Prompts that no new one may resemble; their holes go first."),
]
Settings = Annotated[
    Path | None,
    typer.Option(
        "--settings", metavar="FILE", help="Your own settings, registers, lengths, languages, categories: YAML lists."
    ),
]
Languages = Annotated[str, typer.Option("--languages", metavar="L,L", help="Such as en,ro.")]
Form = Annotated[
    Literal["json", "labelled"], typer.Option("--form", help="json, or labelled: lines that a small model can follow.")
]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, max=10.0, help="Of every answer.")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="For each prompt that is asked for.")]
Threshold = Annotated[
    float, typer.Option("--threshold", min=0.1, max=1.0, help="The least similarity of texts that count as one.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="What the plan and the answers are drawn from.")]


def read_axes_given(settings: Path | None, languages: str) -> Axes:
    """Read what prompts vary by: the file's lists, and the languages that the option names."""
    from dataclasses import replace

    from charter.authoring.coverage import Axes, read_axes

    named = tuple(dict.fromkeys(one.strip() for one in languages.split(",") if one.strip()))
    axes = Axes() if settings is None else read_axes(settings)
    return replace(axes, languages=named) if named else axes


def read_given(path: Path | None, kind: PromptKind) -> tuple[Prompt, ...]:
    """Read the prompts that new ones are held against."""
    from charter.prompts import load_prompts

    return () if path is None else load_prompts(str(path), kind).prompts


def file_digest(path: Path | None) -> str:
    """Give what stands for a file's content in a setup; nothing for what is no file."""
    return "" if path is None or not path.is_file() else text_digest(path.read_bytes().decode("latin-1"))


def text_digest(text: str) -> str:
    """Give what stands for a text in a setup."""
    from charter.seeds import digest_text

    return digest_text(text)


def read_shots(path: Path | None, fields: Any) -> tuple[Values, ...] | None:
    """Read worked examples; None takes our own."""
    from charter.authoring.few_shots import read_examples

    return None if path is None else read_examples(path, fields)


def shared_setup(arguments: Mapping[str, Any], *, few_shots: Path | None, against: Path | None) -> dict[str, Any]:
    """Tell what determines the answers, of what both kinds of prompts are written by: a changed one is named."""
    from charter.seeds import digest

    axes = {name: list(values) for name, values in vars(arguments["axes"]).items()}
    asking = {name: value for name, value in vars(arguments["asking"]).items() if name in _ASKED_BY_OPTION}
    own = {name: arguments[name] for name in ("per_call", "n_few_shots", "twins") if name in arguments}
    return {
        "--few-shots": file_digest(few_shots),
        "--against": file_digest(against),
        "--settings or --languages": digest(axes),
        **named_as_options(own | asking),
    }


def named_as_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give settings under the names of their options, as a setup tells them."""
    return {f"--{name.replace('_', '-')}": value for name, value in values.items()}


def conclude(target: Path, result: WrittenSet, asked: int, *, as_json: bool) -> None:
    """Save what was written, and say what became of everything that was asked for.

    Raises:
        EngineError: where there is nothing to save.
    """
    from charter.authoring.written import write_rows

    if not result.written:
        raise EngineError(f"nothing usable was written: {account(result.summary)}; {remedy(result.summary)}")
    write_rows(target, result.written)
    if as_json:
        console.write_json({"file": str(target), "asked": asked, **result.summary})
        return
    console.write(f"{target}: {result.summary['kept']} of {asked} prompts asked for{_and_twins(result.summary)}")
    tell_account(result.summary)
    _write_grid(result)


def tell_account(summary: Mapping[str, Any]) -> None:
    """Print what became of calls and rows, with the near-duplicates that were left out."""
    console.write(account(summary))
    for example in summary["near_duplicates"]["examples"]:
        console.write(f'  left out ({example["similarity"]:.2f}): "{_short(example["dropped"])}"')
        console.write(f'    it is near to: "{_short(example["for"])}"')


def _write_grid(result: WrittenSet) -> None:
    from charter.authoring.coverage import grid_lines

    grid = result.grid
    header, *rows = grid_lines(grid)
    console.write(f"coverage: {len(grid.cells) - len(grid.holes)} of {len(grid.cells)} cells, a dot is a hole")
    console.write_columns(header, rows, right=range(2, len(header)))
    for number, setting in enumerate(grid.settings, start=1):
        console.write(f"  {number:>2} {setting}")


def account(summary: Mapping[str, Any]) -> str:
    """Tell in one line what became of calls and rows."""
    duplicates = summary["near_duplicates"]
    parts = [
        f"{summary['calls']} calls ({summary['repaired']} repaired)",
        reasons("malformed answers", summary["malformed"]),
        reasons("failed calls", summary["failed"]),
        reasons("lost rows", summary["lost_rows"]),
        f"{duplicates['within'] + duplicates['against']} near-duplicates left out at {duplicates['threshold']:g}",
    ]
    return ", ".join(part for part in parts if part)


def reasons(what: str, counts: Mapping[str, int]) -> str:
    """Tell how many there are of something, and why; nothing where there is none."""
    told = "; ".join(f"{n} {reason}" for reason, n in counts.items())
    return f"{sum(counts.values())} {what} ({told})" if counts else ""


def remedy(summary: Mapping[str, Any]) -> str:
    """Say what to do where nothing usable was written."""
    if summary["near_duplicates"]["against"]:
        return "ask for more (--n), or draw anew (--seed) into another file"
    return "take a larger model, or --form labelled, which small ones can follow"


def _and_twins(summary: Mapping[str, Any]) -> str:
    return f", with {summary['twins']} benign twins" if summary["twins"] else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:97]}..."
