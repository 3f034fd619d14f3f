"""Cuts the rows of a source into shards, as the run has cut them already where it has.

A shard remembers how many rows of the source it was cut from and a hash of what they said
(`dfgen.store.entries.SourceRows`). So a reading that was interrupted, or is repeated because the
source has grown, finds each finished shard again: its rows are compared and not worked on a second
time, rows that come after them become new shards, and rows that have changed end the reading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from dfgen.errors import RunMismatchError
from dfgen.records import Reject
from dfgen.store.entries import SourceRows

if TYPE_CHECKING:
    from dfgen.store.layout import Stage
    from dfgen.store.run import Run

T = TypeVar("T")


@dataclass(frozen=True)
class Chunk(Generic[T]):
    """The rows of one shard.

    Attributes:
        shard: its number.
        rows: of the source, in order, those that became rejects included.
        source: what the shard's entry says of them.
        written: the shard is finished and its rows are these.
    """

    shard: int
    rows: list[T]
    source: SourceRows
    written: bool


def cut_chunks(
    run: Run,
    stages: tuple[Stage, ...],
    rows: Iterator[T],
    size: int,
    counts: Callable[[T], bool] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Chunk[T]]:
    """Cut rows into the shards of a run.

    Args:
        stages: written from these rows; a shard is there when all of them have it. The entry of the
            first one holds the rows' hash.
        size: rows of a new shard.
        counts: whether a row counts for that; None: all do.
        stopped: whether the rows may have ended because a stop was asked for. What was read of a
            chunk is then dropped: its other rows are not gone, and must not be left out.

    Raises:
        RunMismatchError: the rows of a finished shard are others now, or are gone.
    """
    first = stages[0]
    last = max(run.output(first).shards(), default=-1)
    for shard in range(last + 1):
        entry = run.entry(first, shard)
        known = None if entry is None else entry.source
        chunk = list(take_rows(rows, size, counts) if known is None else islice(rows, known.rows))
        if stopped():
            return
        source = SourceRows(rows=len(chunk), sha256=hash_rows(chunk))
        if known is not None and known != source:
            raise _describe_change(run, first, shard, known, len(chunk))
        # Without its note nobody can say of which rows it was made: it is written again.
        written = known is not None and all(run.output(stage).exists(shard) for stage in stages)
        if chunk or written:
            yield Chunk(shard, chunk, source, written)
    shard = last + 1
    while chunk := list(take_rows(rows, size, counts)):
        if stopped():
            return
        yield Chunk(shard, chunk, SourceRows(rows=len(chunk), sha256=hash_rows(chunk)), False)
        shard += 1


def hash_rows(rows: list[Any]) -> str:
    """Compute the sha256 of what rows say: records, dataclasses of them, tuples or lists."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(_simplify(row), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def take_rows(rows: Iterator[T], size: int, counts: Callable[[T], bool] | None) -> Iterator[T]:
    """Take the rows of a new shard: up to the one that fills it.

    Args:
        size: rows of the shard.
        counts: whether a row counts for that; None: all do.
    """
    counted = 0
    for row in rows:
        yield row
        counted += counts is None or counts(row)
        if counted == size:
            return


def _simplify(value: Any) -> Any:
    if isinstance(value, BaseModel):
        # `source` says where a row stands, and a file that has moved says the same; pictures count
        # with the hashes that `image_info` has of them. Nulls do not count, so that a column which
        # a later dfgen adds changes no hash. The own id of a reject was not kept at first.
        left_out = {"source", "images"} | ({"source_id"} if isinstance(value, Reject) else set())
        return _simplify(value.model_dump(exclude=left_out, exclude_none=True))
    if hasattr(value, "__dataclass_fields__"):
        return [_simplify(getattr(value, name)) for name in value.__dataclass_fields__]
    if isinstance(value, dict):
        return {str(name): _simplify(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_simplify(each) for each in value]
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return value


def _describe_change(
    run: Run, stage: Stage, shard: int, known: SourceRows, found: int
) -> RunMismatchError:
    lost = known.rows - found
    what = (
        f"{lost} of the {known.rows} source rows that shard {shard} was made from are gone"
        if lost
        else f"the {known.rows} source rows that shard {shard} was made from have changed"
    )
    return RunMismatchError(
        f"the source is not the one that this run was made with: {what}.",
        where=str(run.output(stage).path(shard)),
        hint="Rows may be added at the end of the source; for other rows choose another directory.",
    )
