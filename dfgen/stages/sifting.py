"""Parts the rows of a shard whose parts could all be computed from those that are rejects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from dfgen.errors import RowError
from dfgen.records import Reject


class Row(Protocol):
    """A row that is about a trajectory."""

    @property
    def trajectory_id(self) -> str:
        """Of the trajectory."""

    @property
    def prompt_id(self) -> str:
        """Of its prompt."""


R = TypeVar("R", bound=Row)


def sift_rows(
    stage: str, rows: Iterable[R | Reject], check: Callable[[R], None]
) -> tuple[list[R], list[Reject]]:
    """Part rows from rejects, both in order.

    Args:
        stage: that makes the rejects.
        rows: planned ones, and those that were rejects when they were planned.
        check: raises `RowError` for a row that cannot go on.
    """
    kept: list[R] = []
    rejects: list[Reject] = []
    for row in rows:
        if isinstance(row, Reject):
            rejects.append(row)
            continue
        try:
            check(row)
        except RowError as error:
            rejects.append(Reject.from_error(stage, row.trajectory_id, row.prompt_id, error))
        else:
            kept.append(row)
    return kept, rejects
