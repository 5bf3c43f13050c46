"""``charter constitution check``: a constitution's file and its wording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from charter.cli import console
from charter.cli.model_options import IN_PROCESS, Engine
from charter.cli.options import AsJson, examples
from charter.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from charter.constitution import Constitution
    from charter.constitution.lint import Finding


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "check",
        epilog=examples(
            "charter constitution check harmless",
            "charter constitution check mine.yaml --strict --ignore empty-category",
            "charter constitution check mine.yaml --prompts built-in --context 2048",
            "charter constitution check --rules",
        ),
    )(check)


Checked = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="A built-in name, or a file.", show_default=False)
]
Rules = Annotated[bool, typer.Option("--rules", help="List the rules, each with its reason and what to do.")]
Ignore = Annotated[
    list[str] | None, typer.Option("--ignore", metavar="RULE", help="Leave a rule out; can be given several times.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Let the exit code be 2 for warnings too.")]
PromptFile = Annotated[
    str | None,
    typer.Option(
        "--prompts", metavar="PROMPTS", help="Look which categories these prompts are about: a file, or built-in."
    ),
]
Context = Annotated[
    int | None,
    typer.Option("--context", metavar="TOKENS", min=1, help="The model's context, of which examples must leave room."),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help="A model on this machine: its context, counted by its tokenizer."),
]
Asked = Annotated[
    str | None,
    typer.Option(
        "--contradictions",
        metavar="MODEL",
        help="Let a model look for principles that contradict each other: two calls for each pair, of 300 at most.",
    ),
]


def check(  # noqa: PLR0917 - options are given by name
    source: Checked = None,
    rules: Rules = False,
    ignore: Ignore = None,
    strict: Strict = False,
    prompts: PromptFile = None,
    context: Context = None,
    model: Model = None,
    contradictions: Asked = None,
    engine: Engine = IN_PROCESS,
    as_json: AsJson = False,
) -> None:
    """Check a constitution's file and its wording; the exit code is 2 where an error was found.

    Rules about prompts, about the model's context and about contradictions are passed over unless these are given.
    """
    from charter.constitution import check_constitution, load_constitution

    if rules:
        _list_rules(as_json=as_json)
        return
    if source is None:
        raise UserError("no constitution is named; give a built-in name or a file, or --rules to list the rules")
    constitution = load_constitution(source)
    count, found_context = None, context
    if model is not None:
        from charter.planning.context import find_context

        count, found_context = find_context(model)
    given = None
    if prompts is not None:
        from charter.prompts import load_prompts

        given = load_prompts(prompts, "red_team").prompts
    found = None
    if contradictions is not None:
        from charter.cli.constitutions.contradictions import ask_model

        found = ask_model(constitution, contradictions, engine)
    findings = check_constitution(
        constitution, prompts=given, count=count, context=context or found_context, found=found, ignore=ignore or ()
    )
    failing = {"error", "warning"} if strict else {"error"}
    ok = not any(finding.severity in failing for finding in findings)
    _show(constitution, findings, ok=ok, as_json=as_json)
    if not ok:
        raise typer.Exit(UserError.exit_code)


def _show(constitution: Constitution, findings: Sequence[Finding], *, ok: bool, as_json: bool) -> None:
    if as_json:
        told = [one.model_dump(mode="json") for one in findings]
        console.write_json({"ok": ok, "name": constitution.name, "findings": told})
        return
    for finding in findings:
        place = f"{finding.principle}: " if finding.principle else ""
        console.write(f"{finding.severity}: {place}{finding.message}; {finding.remedy} [{finding.rule}]")
    n = len(constitution.principles)
    console.write(f"{constitution.name} {constitution.version}: {n} principles, {len(findings)} findings")


def _list_rules(*, as_json: bool) -> None:
    from charter.constitution.lint import RULES

    if as_json:
        console.write_json([rule.to_dict() for rule in RULES])
        return
    needs = {"model": ", with --contradictions", "prompts": ", with --prompts", "context": ", with --context"}
    for rule in RULES:
        console.write(f"{rule.name} ({rule.severity}{needs.get(rule.needs or '', '')}): {rule.finds}")
        console.write(f"  why: {rule.reason}")
        console.write(f"  fix: {rule.fix}")
