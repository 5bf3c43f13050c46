"""``charter constitution draft``: requests and principles that a model writes, shown as a diff to accept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from charter.cli import console
from charter.cli.held_file import check_target, hold
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import AsJson, examples
from charter.cli.prompting import writing
from charter.cli.prompting.writing import Form, Model, Seed, Threshold
from charter.cli.word_difference import word_difference
from charter.errors import ConstitutionError, EngineError

if TYPE_CHECKING:
    from charter.authoring.draft import Proposal
    from charter.authoring.structured import Asking
    from charter.cli.held_file import Writing
    from charter.constitution import Constitution

_NEW = "new"
_QUESTION = "accept? y(es), n(o), e(dit), a(ll from here), q(uit: none from here) "
_EDITABLE = ("text", "critique_request", "revision_request", "choice_question")
_STYLES = {"removed": "red strike", "added": "green", "same": ""}
_MARKS = {"removed": ("[-", "-]"), "added": ("{+", "+}"), "same": ("", "")}


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "draft",
        epilog=examples(
            "charter constitution draft mine.yaml drafted.yaml --model meta-llama/Llama-3.1-8B-Instruct",
            "charter constitution draft new village.yaml --from-document village.md --model M --yes",
            "charter constitution draft config.yaml country.yaml --config config.yaml --model gpt-4o --engine openai",
            "charter constitution draft mine.yaml dry.yaml --model demo --engine scripted --yes",
        ),
    )(draft)


def draft(  # noqa: PLR0917 - the command line names them
    source: Annotated[
        str,
        typer.Argument(metavar="IN", help="A built-in name, a file, or 'new', with a document.", show_default=False),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="Where the constitution goes: .yaml or .json.", show_default=False)
    ],
    model: Model,
    engine: Engine = IN_PROCESS,
    from_document: Annotated[
        Path | None,
        typer.Option("--from-document", metavar="FILE", help="A text from which principles are drafted first."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="A country's configuration, whose wording for requests replaces ours."
        ),
    ] = None,
    n_per_passage: Annotated[int, typer.Option("--per-passage", min=1, help="Principles of a passage, at most.")] = 3,
    passage: Annotated[int, typer.Option("--passage", min=200, help="Characters of a passage, at most.")] = 3_000,
    form: Form = "json",
    threshold: Threshold = 0.7,
    seed: Seed = 0,
    yes: Annotated[bool, typer.Option("--yes", help="Accept everything.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let a model write what a constitution lacks: requests that fit each principle, or principles from a document.

    A request that was derived by rule is drafted anew; one that somebody wrote stays as it is. Each change is shown,
    and asked about on a terminal. Elsewhere, without --yes, the result goes to OUT.draft, for somebody to read.
    """
    from charter.authoring.draft import accept
    from charter.authoring.given_texts import read_request_texts
    from charter.constitution import write_constitution

    base = _read_base(source, from_document)
    check_target(target, (".yaml", ".yml", ".json"))
    document = "" if from_document is None else _read_document(from_document)
    wording = "" if config is None else read_request_texts(config)
    asking: dict[str, Any] = {"form": form, "seed": seed}
    reading: dict[str, Any] = {"n_per_passage": n_per_passage, "max_characters": passage}
    setup = {
        "constitution": "" if base is None else writing.text_digest(base.to_json()),
        "document": writing.text_digest(document),
        **({"--config": writing.text_digest(wording)} if wording else {}),
        # Requests are recorded under the principles' ids, and these follow from what is merged.
        **writing.named_as_options(asking | reading | {"threshold": threshold}),
    }
    begun = {} if base is not None else {"name": target.stem, "description": f"Drafted from {from_document}."}
    with hold(target, model, engine, setup) as asked:
        drafting = _Drafting(asked, asking, base, begun, wording)
        if from_document is not None:
            drafting.read(document, from_document.name, reading, threshold)
        drafting.write_requests()
    proposals = drafting.proposals
    if not proposals:
        raise EngineError(
            f"{source}: there is nothing to accept: {drafting.account}; take a larger model, or another --form"
        )
    place = target if yes or console.is_terminal() else target.with_name(f"{target.name}.draft")
    chosen = proposals if yes or place != target else _ask_about(proposals)
    if chosen:
        write_constitution(accept(base, chosen, **begun), place)
    _tell(place, target, proposals, chosen, drafting.account, as_json=as_json)


@dataclass
class _Drafting:
    """What is drafted, step by step: principles, then requests."""

    asked: Writing
    asking: dict[str, Any]
    base: Constitution | None
    begun: dict[str, str]
    wording: str = ""
    new: tuple[Proposal, ...] = ()
    rewritten: tuple[Proposal, ...] = ()
    told: list[str] = field(default_factory=list)

    def read(self, document: str, name: str, reading: dict[str, Any], threshold: float) -> None:
        """Draft principles from a document."""
        from charter.authoring.from_document import draft_principles, merge_principles

        mapped = draft_principles(
            document, self.asked.engine, **reading, asking=_asking(self.asking), mapper=self.asked.mapper
        )
        known = () if self.base is None else self.base.principles
        merged = merge_principles(mapped.done, source=name, known=known, threshold=threshold)
        self.new = merged.proposals
        self.told.append(
            f"{merged.n_drafted} principles drafted from {mapped.n_in} passages, {merged.n_merged} merged into others, "
            f"{merged.n_known} known already"
        )
        self._tell_lost("passages without one", mapped.reasons)
        lost = Counter[str]()
        for draft in mapped.done:
            lost.update(draft.lost)
        if lost:
            most_first = sorted(lost.items(), key=lambda one: (-one[1], one[0]))
            self.told.append(f"left out: {'; '.join(f'{n} {reason}' for reason, n in most_first)}")

    def write_requests(self) -> None:
        """Draft the requests that were derived by rule."""
        from charter.authoring.draft import accept, draft_requests, propose_requests

        if self.base is None and not self.new:
            return
        whole = accept(self.base, self.new, **self.begun)
        mapped = draft_requests(
            whole, self.asked.engine, asking=_asking(self.asking), wording=self.wording, mapper=self.asked.mapper
        )
        self.rewritten = propose_requests(whole, mapped.done)
        self.told.append(f"requests drafted for {len(mapped.done)} of {mapped.n_in} principles that lack some")
        self._tell_lost("principles left with derived requests", mapped.reasons)

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """What is proposed, each principle once."""
        from charter.authoring.draft import Proposal

        after = {one.after.id: one.after for one in (*self.new, *self.rewritten)}
        own = {} if self.base is None else {one.id: one for one in self.base.principles}
        return tuple(Proposal(own.get(name), principle) for name, principle in after.items())

    @property
    def account(self) -> str:
        """What became of everything that was asked."""
        return ", ".join(self.told) or "the document holds no passage"

    def _tell_lost(self, what: str, reasons: dict[str, dict[str, int]]) -> None:
        told = [f"{n} {reason}" for counts in reasons.values() for reason, n in counts.items()]
        if told:
            self.told.append(f"{what}: {'; '.join(told)}")


def _asking(told: dict[str, Any]) -> Asking:
    from charter.authoring.structured import DRAFTING

    return replace(DRAFTING, **told)


def _read_base(source: str, from_document: Path | None) -> Constitution | None:
    from charter.constitution import load_constitution

    if source != _NEW:
        return load_constitution(source)
    if from_document is None:
        raise ConstitutionError("a new constitution needs something to be drafted from: name it with --from-document")
    return None


def _read_document(path: Path) -> str:
    from charter.files.yaml_reading import read_text  # which brings YAML, and help is to be there at once

    text = read_text(path, error=ConstitutionError)
    if not text.strip():
        raise ConstitutionError(f"{path}: is empty; give a text to draft principles from")
    return text


def _ask_about(proposals: Sequence[Proposal]) -> tuple[Proposal, ...]:
    """Show one proposal after another, and let the person decide."""
    chosen: list[Proposal] = []
    for place, proposal in enumerate(proposals):
        _show(proposal)
        answer = ""
        while answer not in {"y", "n", "e", "a", "q"}:
            answer = console.ask(_QUESTION).strip().lower()[:1]
        if answer == "q":
            break
        if answer == "a":
            return (*chosen, *proposals[place:])
        if answer != "n":
            chosen.append(_edited(proposal) if answer == "e" else proposal)
    return tuple(chosen)


def _edited(proposal: Proposal) -> Proposal:
    """Let the person type texts anew, one line each; an empty line keeps what is there."""
    from charter.authoring.draft import Proposal

    typed = {name: console.ask(f"  {name} (an empty line keeps it): ").strip() for name in _EDITABLE}
    kept = {name: text for name, text in typed.items() if text}
    return Proposal(proposal.before, proposal.after.model_copy(update=kept))


def _show(proposal: Proposal) -> None:
    """Show what would change, word by word."""
    what = "new" if proposal.before is None else "changed"
    console.write(f"{proposal.after.id} ({what})")
    for name, before, after in proposal.changed:
        line = Text(f"  {name}: ")
        for change, words in word_difference(before, after):
            opening, closing = ("", "") if console.has_colours() or not before else _MARKS[change]
            line.append(f"{opening}{console.printable(words)}{closing}", _STYLES[change])
        console.write_styled(line)
    for one in _passages(proposal):
        console.write(f'  from: "{one}"')


def _passages(proposal: Proposal) -> list[str]:
    passages = proposal.after.metadata.get("passages", []) if proposal.before is None else []
    return [str(one["text"]) for one in passages if isinstance(one, dict)] if isinstance(passages, list) else []


def _tell(
    place: Path,
    target: Path,
    proposals: Sequence[Proposal],
    chosen: Sequence[Proposal],
    account: str,
    *,
    as_json: bool,
) -> None:
    if as_json:
        accepted = {one.after.id: one for one in chosen}  # which may have been edited
        told = [accepted.get(one.after.id, one) for one in proposals]
        changes = [
            {
                "id": one.after.id,
                "new": one.before is None,
                "accepted": one.after.id in accepted,
                "changed": list(one.changed),
            }
            for one in told
        ]
        file = str(place) if chosen else None
        console.write_json({"file": file, "accepted": place == target, "account": account, "proposals": changes})
        return
    if place != target or not console.is_terminal():
        for one in proposals:
            _show(one)
    console.write(account)
    if not chosen:
        console.write(f"nothing was accepted; {target} was not written")
    elif place != target:
        console.write(f"{place}: {len(chosen)} proposals to read; accept them with --yes, or one by one on a terminal")
    else:
        console.write(f"{place}: {len(chosen)} of {len(proposals)} proposals accepted")
