"""Stands between the rows of a source and the run: whatever a row does, it costs that row alone.

Every reader of rows (`reading`, `importing`, `pairs`) goes through here, so a cell that nobody
thought of becomes a reject with a reason, and no traceback.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from dfgen.errors import DfgenError, RowError
from dfgen.prompts.identity import read_source_id
from dfgen.prompts.rows import AnyRow, SourceRow, UnreadableRow
from dfgen.records import Reject

T = TypeVar("T")

_SHOWN = 300


def read_row(
    row: AnyRow, read: Callable[[SourceRow], T], id_column: str | None = None
) -> T | Reject:
    """Return what `read` makes of a row, or the reject of a row that it cannot read.

    Args:
        row: of any reader.
        read: makes of it what is wanted.
        id_column: that holds the user's own id of the row, if one is named.

    Raises:
        DfgenError: what `read` says of the settings, not of the row.
        MemoryError: it is the machine's, and another row may need as much.
    """
    if isinstance(row, UnreadableRow):
        return reject_row(row, RowError("row_unreadable", row.detail))
    try:
        return read(row)
    except RowError as error:
        return reject_row(row, error, id_column=id_column)
    except (DfgenError, MemoryError):
        raise
    except Exception as error:  # the data of strangers raise anything
        return reject_row(row, explain_failure(error), id_column=id_column)


def explain_failure(error: Exception) -> RowError:
    """Return the error of a row that failed in a way that no reader of cells foresaw."""
    kind = type(error).__name__
    said = (str(error).splitlines() or [""])[0][:_SHOWN]
    detail = f"a cell of the row cannot be read ({kind}: {said})"
    return RowError("row_unreadable", make_storable(detail), {"error": kind})


def make_storable(text: str) -> str:
    """Return a text that UTF-8 can hold: halves of surrogate pairs are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def reject_row(
    row: AnyRow, error: RowError, name: str | None = None, id_column: str | None = None
) -> Reject:
    """Return the reject of a row.

    Args:
        row: the row; its place is the reject's `row_id`.
        error: reason, detail and evidence.
        name: prompt id, where the row came that far.
        id_column: that holds the user's own id of the row, if one is named.
    """
    reject = Reject.from_error("prompts", row.where, name, error)
    if isinstance(row, SourceRow):
        with suppress(RowError):
            reject.source_id = read_source_id(row.values, id_column)
    return reject
