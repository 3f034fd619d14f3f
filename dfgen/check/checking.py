"""Does all checks of what is about to run, and tells all problems at once."""

from __future__ import annotations

from collections.abc import Iterator

from dfgen.check.chats import check_chats
from dfgen.check.disk import check_disk
from dfgen.check.finding import Finding, list_errors
from dfgen.check.graders import check_graders
from dfgen.check.models import check_model, check_tokenizer
from dfgen.check.rows import check_rows
from dfgen.check.scope import Scope
from dfgen.check.servers import check_server
from dfgen.check.settings import check_settings


def find_problems(scope: Scope) -> list[Finding]:
    """Return everything that stands in the way of a run, errors first; empty: nothing does.

    Nothing is loaded, written or paid for.

    Raises:
        StorageError: the run directory cannot be read.
    """
    if not scope.stages:
        return []
    found = list(dict.fromkeys(_iter_findings(scope)))
    return sorted(found, key=lambda finding: finding.level != "error")


def _iter_findings(scope: Scope) -> Iterator[Finding]:
    yield from check_settings(scope)
    there = []
    for use in scope.list_engines():
        missing = [*check_model(use, scope)]
        yield from missing
        yield from check_server(use, scope)
        if not list_errors(missing):
            there.append(use)
    if all(use in there or use.section != "policy" for use in scope.list_engines()):
        yield from check_tokenizer(scope)
    yield from check_rows(scope)
    yield from check_graders(scope)
    for use in there:
        yield from check_chats(use, scope)
    yield from check_disk(scope)
