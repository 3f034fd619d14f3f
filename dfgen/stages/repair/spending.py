"""Counts what the repairs of a run have cost so far, and says when that is enough."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dfgen.config.repair import RepairConfig
from dfgen.errors import DfgenError
from dfgen.stages.repair.record import Entry
from dfgen.store.os_errors import explain_os_errors

if TYPE_CHECKING:
    from dfgen.store.run import Run
    from dfgen.store.shards import ShardTable

T = TypeVar("T")


class Spending:
    """The running total of a run, over all its starts.

    Args:
        config: its limits.
        requests: made before this start.
        cost_usd: of these.

    Attributes:
        held_back: whether the last round ended with requests that a limit did not let through.
    """

    def __init__(self, config: RepairConfig, requests: int, cost_usd: float) -> None:
        self.max_requests = config.max_requests
        self.max_cost_usd = config.max_cost_usd
        self.requests = requests
        self.cost_usd = cost_usd
        self.held_back = False
        self._in_flight = 0

    def until_reached(self, items: Iterable[T]) -> Iterator[T]:
        """Pass items on, each a request, until one more could break a limit.

        What a request in flight will cost is taken to be the mean of those that are done.
        """
        self.held_back = False
        for item in items:
            if self._would_break():
                self.held_back = True
                return
            self._in_flight += 1
            yield item

    def add(self, cost_usd: float) -> None:
        """Count an answer."""
        self.requests += 1
        self.cost_usd += cost_usd
        self._in_flight -= 1

    def check(self) -> None:
        """Say so if the limit is reached, now that nothing is in flight.

        Requests that were held back may have a place after all: those in flight were cheaper than
        their share of what had been spent before.

        Raises:
            DfgenError: names the limit.
        """
        if not self._would_break():
            return
        spent = f"{self.requests:,} requests, ${self.cost_usd:.4f}"
        limits = {
            "max_requests": self.max_requests,
            "max_cost_usd": self.max_cost_usd,
        }
        named = ", ".join(f"repair.{name}={v}" for name, v in limits.items() if v is not None)
        raise DfgenError(
            f"repairing has stopped at its limit ({named}) after {spent} in this run.",
            hint="Everything paid for is on disk. Give the same command with a higher limit "
            "(--max-cost, --max-requests) to go on from there.",
        )

    def describe(self) -> str:
        """Describe the total in words, for the progress bar; empty if nothing costs anything."""
        return f"${self.cost_usd:.2f}" if self.cost_usd else ""

    def _would_break(self) -> bool:
        if self.max_requests is not None and self.requests + self._in_flight >= self.max_requests:
            return True
        if self.max_cost_usd is None:
            return False
        mean = self.cost_usd / self.requests if self.requests else 0.0
        return self.cost_usd + mean * (self._in_flight + 1) > self.max_cost_usd


class SpentCount:
    """What the repair stage of a run has on record, read once for each shard that stays as it is.

    Who gives the stage one shard after another asks each time; other processes finish shards of the
    same run meanwhile. So what was read is kept, and only files that are new or have changed since
    are read.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int], tuple[_State, int, float]] = {}

    def count(self, run: Run) -> tuple[int, float]:
        """Requests and dollars. Raises `StorageError`."""
        requests, total = 0, 0.0
        for shard, state in _look_at_shards(run).items():
            known = self._known.get((run.root, shard))
            if known is None or known[0] != state:
                costs = [attempt["cost_usd"] for attempt in iter_attempts(run, shard)]
                known = self._known[run.root, shard] = (state, len(costs), sum(costs))
            requests += known[1]
            total += known[2]
        return requests, total


_State = frozenset[tuple[str, int, int, int]]
"""The files of a shard: path, inode, when it was written in nanoseconds, size. Files that are
replaced differ in the first two, journals that grow in the last."""


def _look_at_shards(run: Run) -> dict[int, _State]:
    """The files of every shard that may have requests on record, without opening any."""
    found: dict[int, set[tuple[str, int, int, int]]] = {}
    tables = _list_tables(run)
    patterns = {
        run.journal("repair", 0).path.parent: re.compile(r"repair-(\d+)\.jsonl"),
        **{t.directory: re.compile(rf"{re.escape(t.prefix)}-(\d+)\.parquet") for t in tables},
    }
    for folder, pattern in patterns.items():
        if not folder.is_dir():
            continue
        with explain_os_errors(folder, "list"), os.scandir(folder) as files:
            for file in files:
                if match := pattern.fullmatch(file.name):
                    status = file.stat()
                    state = (file.path, status.st_ino, status.st_mtime_ns, status.st_size)
                    found.setdefault(int(match[1]), set()).add(state)
    return {shard: frozenset(states) for shard, states in sorted(found.items())}


def iter_attempts(run: Run, shard: int | None = None) -> Iterator[Mapping[str, Any]]:
    """Yield every request on record of one shard, or of all: of repairs and their hunks, refused
    trajectories, controls, and those that only a journal has."""
    for index in _look_at_shards(run) if shard is None else [shard]:
        repairs, rejects, controls = _list_tables(run)
        if repairs.exists(index):
            for row in repairs.iter_rows(index, ["attempts", "necessity"]):
                yield from row["attempts"]
                tests = (entry["attempt"] for entry in row["necessity"] or ())
                yield from (attempt for attempt in tests if attempt is not None)
        if rejects.exists(index):
            for row in rejects.iter_rows(index, ["evidence"]):
                yield from json.loads(row["evidence"]).get("attempts", ())
        if controls.exists(index):
            for row in controls.iter_rows(index, ["attempt"]):
                yield row["attempt"]
        if run.journal("repair", index).path.exists():
            # After a crash a journal may still hold what the files have already.
            yield from _iter_journalled(run, index, _list_written(run, index))


def _list_tables(run: Run) -> tuple[ShardTable, ShardTable, ShardTable]:
    return run.table("repairs"), run.rejects("repair"), run.table("controls")


def _iter_journalled(run: Run, shard: int, written: set[str]) -> Iterator[Mapping[str, Any]]:
    """Each request in a journal once: as it was judged, or as it arrived if it is not yet."""
    latest = {}
    for entry in run.journal("repair", shard, Entry).replay():
        if entry["trajectory_id"] not in written:
            attempt = entry["attempt"]
            latest[entry["trajectory_id"], entry["purpose"], attempt["index"]] = attempt
    yield from latest.values()


def _list_written(run: Run, shard: int) -> set[str]:
    written: set[str] = set()
    columns = ("trajectory_id", "row_id", "trajectory_id")
    for table, column in zip(_list_tables(run), columns, strict=True):
        if table.exists(shard):
            written |= {row[column] for row in table.iter_rows(shard, [column])}
    return written
