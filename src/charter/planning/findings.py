"""What is found before a run: errors that stop it, and what a person should know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from charter.errors import UserError
from charter.planning.plan import Plan

Severity = Literal["error", "warning", "note"]
ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class Finding:
    """Something to know before a run. An ``error`` stops it; ``about`` is the recipe's key."""

    severity: Severity
    about: str
    message: str


@dataclass
class Preflight:
    """What was found, and the plan, where no error stands against one."""

    findings: list[Finding] = field(default_factory=list)
    plan: Plan | None = None

    @property
    def errors(self) -> list[Finding]:
        """What stops the run."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def require_no_error(self) -> None:
        """Refuse to go on from what stops a run.

        Raises:
            UserError: a line for each error.
        """
        if self.errors:
            raise UserError("\n".join(f"{error.about}: {error.message}" for error in self.errors))

    def add(self, severity: Severity, about: str, message: str) -> None:
        """Add a finding, once."""
        finding = Finding(severity, about, message)
        if finding not in self.findings:
            self.findings.append(finding)

    def tried(self, about: str, load: Callable[..., ValueT], *arguments: Any, hint: str = "") -> ValueT | None:
        """Load something; what is wrong with it becomes an error, followed by the hint."""
        try:
            return load(*arguments)
        except UserError as error:
            self.add("error", about, f"{error}{hint}")
            return None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return {
            "ok": not self.errors,
            "findings": [asdict(finding) for finding in self.findings],
            "plan": None if self.plan is None else self.plan.to_dict(),
        }
