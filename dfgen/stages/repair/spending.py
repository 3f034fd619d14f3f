"""Counts what the repairs of a run have cost so far, and says when that is enough."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from dfgen.config.repair import RepairConfig
from dfgen.errors import DfgenError

if TYPE_CHECKING:
    from dfgen.store.run import Run

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


def count_spent(run: Run) -> tuple[int, float]:
    """Requests and dollars that the repair stage of a run has on record."""
    requests, cost = 0, 0.0
    for attempt in iter_attempts(run):
        requests += 1
        cost += attempt["cost_usd"]
    return requests, cost


def iter_attempts(run: Run) -> Iterator[Mapping[str, Any]]:
    """Yield every request on record.

    Of repairs and their hunks, refused trajectories, controls and open shards.
    """
    for row in run.table("repairs").iter_rows(columns=["attempts", "necessity"]):
        yield from row["attempts"]
        tests = (entry["attempt"] for entry in row["necessity"] or ())
        yield from (attempt for attempt in tests if attempt is not None)
    for row in run.rejects("repair").iter_rows(columns=["evidence"]):
        yield from json.loads(row["evidence"]).get("attempts", ())
    for row in run.table("controls").iter_rows(columns=["attempt"]):
        yield row["attempt"]
    for stage, shard in run.list_journals():
        if stage == "repair":
            # After a crash a journal may still hold what the files have already.
            written = _list_written(run, shard)
            yield from _iter_journalled(run, shard, written)


def _iter_journalled(run: Run, shard: int, written: set[str]) -> Iterator[Mapping[str, Any]]:
    """Each request in a journal once: as it was judged, or as it arrived if it is not yet."""
    latest = {}
    for entry in run.journal("repair", shard).replay():
        if entry["trajectory_id"] not in written:
            attempt = entry["attempt"]
            latest[entry["trajectory_id"], entry["purpose"], attempt["index"]] = attempt
    yield from latest.values()


def _list_written(run: Run, shard: int) -> set[str]:
    written: set[str] = set()
    for table, column in (
        (run.table("repairs"), "trajectory_id"),
        (run.rejects("repair"), "row_id"),
        (run.table("controls"), "trajectory_id"),
    ):
        if table.exists(shard):
            written |= {row[column] for row in table.iter_rows(shard, [column])}
    return written
