"""Finds the records of requests that are out in batches or files, and says whether any are."""

from __future__ import annotations

from collections.abc import Callable

from dfgen.store.journal import Journal
from dfgen.store.layout import Stage

_MOST_ENGINES = 32
"""Engines of one stage that have a record; each engine of a stage has one of its own."""
_ENDS = ("closed", "given_up")


def name_record(stage: Stage, number: int) -> str:
    """Name the record of one engine of a stage."""
    return stage if number == 0 else f"{stage}-{number + 1}"


def list_records(open_record: Callable[[str], Journal], stage: Stage) -> list[tuple[int, str]]:
    """List the records that there are of a stage: number of the engine, name of the record.

    An engine that has handed nothing over has none, whatever those after it have.

    Args:
        open_record: opens one by its name, such as `Run.outgoing`.
    """
    names = ((number, name_record(stage, number)) for number in range(_MOST_ENGINES))
    return [(number, name) for number, name in names if open_record(name).exists()]


def is_any_out(open_record: Callable[[str], Journal], stage: Stage) -> bool:
    """Say whether any request of a stage is out. Raises `StorageError`."""
    for _, name in list_records(open_record, stage):
        out: set[str] = set()
        for record in open_record(name).replay():
            if record["event"] == "intended":
                out.add(record["key"])
            elif record["event"] in _ENDS:
                out.discard(record["key"])
        if out:
            return True
    return False
