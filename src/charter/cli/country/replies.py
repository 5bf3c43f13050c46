"""``charter country sft`` and ``preferences``: what a model writes about each prompt of a country's red team."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charter.cli import console
from charter.cli.country.options import Config, FewShots, Principles, Temperature, Tries
from charter.cli.held_file import check_target, hold
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import AsJson, examples
from charter.cli.prompting import writing
from charter.errors import EngineError

if TYPE_CHECKING:
    from charter.authoring.replies import ReplyAccount, ReplyName, Starts, WrittenReplies
    from charter.publishing.country import Keyed
    from charter.rows import Mapped

_MOST_TOLD = 10  # keys without a row

RedTeam = Annotated[
    Path,
    typer.Argument(metavar="RED_TEAM", help="The prompts, with the responses to begin from.", show_default=False),
]
Target = Annotated[Path, typer.Argument(metavar="OUT.json", help="Where the rows go.", show_default=False)]
N = Annotated[
    int | None,
    typer.Option("--n", min=1, max=1_000, help="Rows for each prompt; as CONFIG says if not given, or 1."),
]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="For each row that is asked for.")]


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb, what is written by it, and what its help says: what it does, what it asks with, and examples."""

    name: str
    rows: ReplyName
    does: str
    request: str
    shown: str

    @property
    def help(self) -> str:
        """Say what it does, and what holds of both verbs."""
        return (
            f"{self.does}\n\nThe request is CONFIG's: {self.request}. Stopped at any moment, the same command goes on; "
            "where RED_TEAM has grown it writes what is new. A larger --tries asks again where no answer could be used."
        )


_VERBS = (
    Verb(
        "sft",
        "revisions",
        "Have a model criticise the incorrect response to each prompt by the prompt's principle, and revise it.",
        "SFT_SYSTEM_PROMPT, then SFT_USER_PROMPT, or with examples SFT_USER_PROMPT_FEW_SHOT",
        examples(
            "charter country sft config.yaml red_team.json sft.json --model gpt-4o --engine openai",
            "charter country sft config.yaml red_team.json sft.json --model M --engine openai --few-shots shots.json",
            "charter country sft config.yaml red_team.json dry.json --model demo --engine scripted",
        ),
    ),
    Verb(
        "preferences",
        "preferences",
        "Have a model write a chosen and a rejected response to each prompt, and why it chose so.",
        "PREF_SYSTEM_PROMPT, then PREF_USER_PROMPT, or with examples PREF_USER_PROMPT_FEW_SHOT",
        examples(
            "charter country preferences config.yaml red_team.json preferences.json --model gpt-4o --engine openai",
            "charter country preferences config.yaml red_team.json more.json --model M --engine openai --n 3",
            "charter country preferences config.yaml red_team.json dry.json --model demo --engine scripted",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Files:
    """What is read, and where the rows go."""

    config: Path
    principles: Path | None
    red_team: Path
    few_shots: Path | None
    target: Path


def add_to(app: typer.Typer) -> None:
    """Add both verbs."""
    for verb in _VERBS:
        _add(app, verb)


def _add(app: typer.Typer, verb: Verb) -> None:
    @app.command(verb.name, help=verb.help, epilog=verb.shown)
    def write(  # noqa: PLR0917 - the command line names them
        config: Config,
        red_team: RedTeam,
        target: Target,
        model: writing.Model,
        engine: Engine = IN_PROCESS,
        n: N = None,
        few_shots: FewShots = None,
        principles: Principles = None,
        tries: Tries = 3,
        form: writing.Form = "json",
        temperature: Temperature = 1.0,
        max_tokens: MaxTokens = 1_024,
        seed: writing.Seed = 0,
        as_json: AsJson = False,
    ) -> None:
        asking = {"form": form, "temperature": temperature, "max_tokens": max_tokens, "seed": seed}
        files = Files(config, principles, red_team, few_shots, target)
        _write(verb.rows, files, model=model, engine=engine, n=n, tries=tries, asking=asking, as_json=as_json)


def _write(
    name: ReplyName,
    files: Files,
    *,
    model: str,
    engine: str,
    n: int | None,
    tries: int,
    asking: dict[str, Any],
    as_json: bool,
) -> None:
    from charter.authoring.few_shots import read_samples
    from charter.authoring.replies import KINDS, find_starts, settle_replies, write_replies
    from charter.authoring.structured import Asking
    from charter.country import read_country
    from charter.given import load_pairs
    from charter.seeds import digest

    check_target(files.target, (".json",))
    kind = KINDS[name]
    country = read_country(files.config, principles=files.principles)
    texts = country.wording(kind.section, examples=files.few_shots is not None)
    samples = () if files.few_shots is None else read_samples(files.few_shots, name)
    found = find_starts(load_pairs(files.red_team, constitution=country.constitution), country.constitution)
    n_rows = n or texts.per_call or 1
    setup = {
        "kind of rows": name,
        "wording in the configuration": digest([texts.system, texts.user, texts.user_few_shot, texts.variance]),
        "--few-shots": digest(list(samples)),
        **writing.named_as_options({"n": n_rows, **asking}),
    }
    with hold(files.target, model, engine, setup) as asked:
        mapped = write_replies(
            found.rows,
            asked.engine,
            kind,
            texts,
            samples=samples,
            n=n_rows,
            asking=Asking(**asking, top_p=1.0, n_repairs=tries - 1),
            mapper=asked.mapper,
        )
        account = settle_replies(mapped, found.rows, n_rows)
        _conclude(files.target, name, found, mapped, account, as_json=as_json)


def _conclude(
    target: Path,
    name: str,
    found: Starts,
    mapped: Mapped[WrittenReplies],
    account: ReplyAccount,
    *,
    as_json: bool,
) -> None:
    """Save the rows under their keys, and say what became of everything that was asked for."""
    from charter.files.tables import write_whole
    from charter.publishing.country import keyed_file

    told = ", ".join(
        part
        for part in (
            f"{account.n_starts:,} calls ({account.n_repaired:,} repaired, {account.n_repairs:,} times)",
            writing.reasons("without a row", account.reasons),
            writing.reasons("lost rows", account.lost),
            writing.reasons("rows of the red team left out", found.left_out),
        )
        if part
    )
    if not account.n_kept:
        raise EngineError(
            f"nothing usable was written: {told}; take a larger model, a larger --tries, or --form labelled, which "
            "small ones can follow"
        )
    write_whole(target, keyed_file(_keyed(name, found, mapped)).write)
    if as_json:
        console.write_json({"file": str(target), **account.to_json(), "left_out": dict(found.left_out)})
        return
    console.write(f"{target}: {account.n_kept:,} of {account.n_asked:,} {name} asked for")
    console.write(told)
    for key, reason in account.missing[:_MOST_TOLD]:
        console.write(f'  "{key}": {reason}')
    if len(account.missing) > _MOST_TOLD:
        console.write(f"  and {len(account.missing) - _MOST_TOLD:,} more; --json names them all")


def _keyed(name: str, found: Starts, mapped: Mapped[WrittenReplies]) -> Keyed:
    """Put what was written about each prompt under its key, in the columns of a country's file."""
    from charter.publishing.country import preference_row, revision_row

    rows_of = {one.start: one.rows for one in mapped.done}
    keyed: Keyed = {}
    for start in found.rows:
        for row in rows_of.get(start.id, ()):
            if name == "revisions":
                critique = start.principle.critique_request, row["critique"]
                revision = start.principle.revision_request, row["revision"]
                made = revision_row(start.prompt, start.response, critique, revision)
            else:
                made = preference_row(start.prompt, row["chosen"], row["rejected"], row["reasoning"])
            keyed.setdefault(start.key, []).append(made)
    return keyed
