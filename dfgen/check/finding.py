"""Defines a finding: one problem of a run that has not begun, and the way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dfgen.errors import ConfigError, DfgenError, join_errors

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem.

    Attributes:
        level: error: the run cannot do its work like this; warning: it may not do what is wanted.
        what: one sentence: what is wrong.
        where: setting, file or address.
        hint: what to do next.
    """

    level: Level
    what: str
    where: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n{self.hint}" if self.hint else text

    def to_json(self) -> dict[str, Any]:
        """Return its attributes, as they stand in JSON."""
        return asdict(self)


def describe_error(error: DfgenError, where: str | None = None) -> Finding:
    """Make a finding of an error that a stage would have ended with.

    Args:
        error: as it was raised.
        where: the setting at fault, put before what the error itself names.
    """
    places = [place for place in (where, error.where) if place]
    return Finding("error", error.what, ": ".join(places) or None, error.hint)


def list_errors(findings: Iterable[Finding]) -> list[Finding]:
    """Return those that stop a run."""
    return [finding for finding in findings if finding.level == "error"]


def make_error(errors: Sequence[Finding]) -> DfgenError:
    """Make one error of all findings that stop a run; `errors` holds at least one."""
    raised = [ConfigError(error.what, where=error.where, hint=error.hint) for error in errors]
    return join_errors(raised, "things stand in the way, and nothing was begun")
