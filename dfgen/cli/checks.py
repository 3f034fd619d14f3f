"""Prints what is in the way of a run, and keeps a command from beginning when something is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from dfgen.check.finding import Finding
    from dfgen.config.pipeline import Pipeline
    from dfgen.store.layout import Stage

F = TypeVar("F", bound=Callable[..., Any])

_UNCHECKED = "dfgen.cli.unchecked"


def add_no_check(function: F) -> F:
    """Add `--no-check`, which the command itself need not pass on: `refuse_problems` sees it."""
    option = click.option(
        "--no-check",
        is_flag=True,
        expose_value=False,
        callback=_note_choice,
        help="Begin at once: look for no problems first, and ask no server before its stage.",
    )
    return option(function)


def _note_choice(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001
    context.meta[_UNCHECKED] = value


def is_check_wanted() -> bool:
    """Say whether the command that runs was not given `--no-check`."""
    context = click.get_current_context(silent=True)
    return context is None or not context.meta.get(_UNCHECKED)


def refuse_problems(
    pipeline: Pipeline,
    stages: Sequence[Stage],
    out: Path,
    redone: Sequence[Stage] = (),
    unasked: Sequence[Stage] = (),
) -> None:
    """Look for what stands in the way of these stages, unless `--no-check` was given.

    Warnings are printed on stderr.

    Args:
        pipeline: the effective settings.
        stages: to be run.
        out: the run directory.
        redone: stages of which something is set aside first (`--redo`).
        unasked: stages whose engines may have nothing to do, so that they need not be there.

    Raises:
        ConfigError: lists everything that stops the run, all at once.
        StorageError: the run directory cannot be read.
    """
    if not is_check_wanted():
        return
    from dfgen.check.checking import find_problems
    from dfgen.check.finding import list_errors, make_error
    from dfgen.check.scope import Scope

    findings = find_problems(Scope(pipeline, stages, out, redone=redone, unasked=unasked))
    print_findings([finding for finding in findings if finding.level == "warning"])
    errors = list_errors(findings)
    if errors:
        raise make_error(errors)


def print_findings(findings: Iterable[Finding]) -> None:
    """Print findings on stderr, a paragraph each."""
    from dfgen.terminal_text import show_text

    for finding in findings:
        text = str(finding).replace("\n", "\n  ")
        click.echo(show_text(f"{finding.level.capitalize()}: {text}"), err=True)
