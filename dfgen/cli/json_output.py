"""Holds the one rule of `--json`: stdout is one JSON object, whatever becomes of the command.

It is the outcome of the command. Of a command that fails it has `error` with `what`, `where` and
`hint`, beside the outcome or alone; the exit code, and what people read on stderr, are those of the
same command without `--json`. `dfgen.cli.main` opens the document and closes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from dfgen.errors import DfgenError

F = TypeVar("F", bound=Callable[..., Any])

OPTION = "--json"


@dataclass
class _Document:
    """What stdout will hold.

    Attributes:
        wanted: whether `--json` was given.
        outcome: of the command; None: there is none, so far.
        error: with which the command ends.
        indent: of the lines; None: one line.
    """

    wanted: bool
    outcome: Mapping[str, Any] | None = None
    error: DfgenError | None = None
    indent: int | None = None

    def write(self, code: object) -> None:
        if not self.wanted or (self.outcome is None and code in (None, 0)):
            return
        content = dict(self.outcome or {})
        if code not in (None, 0):
            error = self.error or DfgenError(f"the command ended with exit code {code}.")
            content["error"] = {"what": error.what, "where": error.where, "hint": error.hint}
        click.echo(json.dumps(content, ensure_ascii=False, indent=self.indent))


_OPEN: ContextVar[_Document | None] = ContextVar("dfgen-json", default=None)


def json_option(text: str) -> Callable[[F], F]:
    """Add `--json` to a command, which is given it as `as_json`.

    Args:
        text: what is printed, for the help.
    """
    return click.option(
        OPTION, "as_json", is_flag=True, is_eager=True, callback=_note_choice, help=text
    )


def _note_choice(context: click.Context, parameter: click.Parameter, value: bool) -> bool:  # noqa: ARG001
    document = _OPEN.get()
    if document is not None:
        document.wanted = document.wanted or value
    return value


def print_outcome_json(outcome: Mapping[str, Any], indent: int | None = None) -> None:
    """Print the outcome of a command, once, when the command has ended."""
    document = _OPEN.get()
    if document is None:  # a command that was called by itself
        document = _Document(wanted=True, outcome=outcome, indent=indent)
        document.write(0)
        return
    document.wanted, document.outcome, document.indent = True, outcome, indent


def note_error(error: DfgenError) -> None:
    """Note why the command is about to end with an exit code that is not 0."""
    document = _OPEN.get()
    if document is not None:
        document.error = error


@contextmanager
def one_document(arguments: Sequence[str]) -> Iterator[None]:
    """Print what is noted meanwhile when the block ends.

    Args:
        arguments: of the command line, whose own errors come before any option is read.
    """
    given = list(arguments)
    options = given[: given.index("--")] if "--" in given else given
    document = _Document(wanted=OPTION in options)
    before = _OPEN.set(document)
    code: object = 1
    try:
        yield
        code = 0
    except SystemExit as leaving:
        code = leaving.code
        raise
    except DfgenError as error:
        document.error = error
        raise
    except BaseException as error:
        document.error = document.error or DfgenError(f"{type(error).__name__}: {error}")
        raise
    finally:
        _OPEN.reset(before)
        document.write(code)
