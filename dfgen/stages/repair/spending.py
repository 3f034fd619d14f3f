"""Counts what the repairs of a run have cost so far, and says when that is enough."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dfgen.config.repair import RepairConfig
from dfgen.errors import DamagedFileError, DfgenError, StorageError
from dfgen.records import Control, Reject, Repair
from dfgen.stages.lanes import iter_strays
from dfgen.stages.repair.record import Entry
from dfgen.store.journal import Journal
from dfgen.store.journal_files import choose_file, list_files, parse_name
from dfgen.store.layout import JOURNAL, OUTPUTS, REJECTS
from dfgen.store.mounts import find_mount
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.redoing import advise_history, list_history
from dfgen.store.shards import ShardTable

if TYPE_CHECKING:
    from dfgen.store.run import Run

T = TypeVar("T")

_SHARDS_OF_PASS = 128
"""So many shards are counted for each pass over a few at most."""

_FIRST = 4
"""Requests that go out before anybody knows what one costs, whatever is guessed: their answers say
it."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What requests have cost together.

    Attributes:
        cost_usd: of those whose cost is known.
        unknown: how many of the requests these are not.
    """

    requests: int = 0
    cost_usd: float = 0.0
    unknown: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.requests + other.requests,
            self.cost_usd + other.cost_usd,
            self.unknown + other.unknown,
        )


def add_up(costs: Iterable[float | None]) -> Spent:
    """Add up requests; None: nobody knows what one cost."""
    found = list(costs)
    known = [cost for cost in found if cost is not None]
    return Spent(len(found), sum(known), len(found) - len(known))


class Spending:
    """The running total of a run, over all its starts.

    Args:
        config: its limits.
        spent: before this start.
        out: requests that an earlier start has handed over (in batches, say) and whose answers are
            still to come: they are paid for, whatever a limit says.

    Attributes:
        held_back: whether the last round ended with requests that a limit did not let through.
    """

    def __init__(self, config: RepairConfig, spent: Spent, out: int = 0) -> None:
        self.max_requests = config.max_requests
        self.max_cost_usd = config.max_cost_usd
        self.requests = spent.requests
        self.cost_usd = spent.cost_usd
        self.unknown = spent.unknown
        self.held_back = False
        self._in_flight = self._out = out
        self._guessed, self._guesses = 0.0, 0

    def until_reached(
        self,
        items: Iterable[T],
        guess: Callable[[T], float] = lambda _: 0.0,
        is_out: Callable[[T], bool] = lambda _: False,
    ) -> Iterator[T]:
        """Pass items on, each a request, until one more could break a limit.

        What a request in flight will cost is taken to be the mean of those that are done, and
        before any is, what is guessed of it.

        Args:
            guess: dollars that a request may cost.
            is_out: whether a request is out already; such go through, and count once.
        """
        self.held_back = False
        for item in items:
            if is_out(item):
                yield item
                continue
            if not self.requests:
                self._guessed, self._guesses = self._guessed + guess(item), self._guesses + 1
            known = self.requests > 0 or self._in_flight >= _FIRST
            if self._would_break(guessing=known):
                self.held_back = True
                if not self._out:
                    return
                continue
            self._in_flight += 1
            yield item

    def add(self, cost_usd: float | None) -> None:
        """Count an answer; None: nobody knows what it cost."""
        self.requests += 1
        self.unknown += cost_usd is None
        self.cost_usd += cost_usd or 0.0
        self._in_flight -= 1

    def check(self) -> None:
        """Say so if the limit is reached, now that nothing is in flight.

        Requests that were held back may have a place after all: those in flight were cheaper than
        their share of what had been spent before.

        Raises:
            DfgenError: names the limit.
        """
        if self._would_break():
            raise self._describe_limit()

    def close(self) -> None:
        """Make no more requests for now."""

    def _describe_limit(self) -> DfgenError:
        spent = f"{self.requests:,} requests, ${self.cost_usd:.4f}"
        limits = {
            "max_requests": self.max_requests,
            "max_cost_usd": self.max_cost_usd,
        }
        named = ", ".join(f"repair.{name}={v}" for name, v in limits.items() if v is not None)
        return DfgenError(
            f"repairing has stopped at its limit ({named}) after {spent} in this run.",
            hint="Everything paid for is on disk. Give the same command with a higher limit "
            "(--max-cost, --max-requests) to go on from there.",
        )

    def describe(self) -> str:
        """Describe the total in words, for the progress bar; empty if nothing costs anything."""
        more = f" and {self.unknown:,} answers of unknown cost" if self.unknown else ""
        return f"${self.cost_usd:.2f}{more}" if self.cost_usd or self.unknown else ""

    def _would_break(self, *, guessing: bool = True) -> bool:
        if self.max_requests is not None and self.requests + self._in_flight >= self.max_requests:
            return True
        if self.max_cost_usd is None or not guessing:
            return False
        known = self.requests - self.unknown
        if known:
            mean = self.cost_usd / known
        else:
            mean = self._guessed / self._guesses if self._guesses else 0.0
        return self.cost_usd + mean * (self.unknown + self._in_flight + 1) > self.max_cost_usd


class SpentCount:
    """What the repair stage of a run has on record, read once for each shard that stays as it is.

    Who gives the stage one shard after another asks each time; other processes finish shards of the
    same run meanwhile. So what was read is kept, and only files that are new or have changed since
    are read.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int], tuple[_State, Spent]] = {}
        self._last: dict[Path, tuple[Spent, int]] = {}
        """What was counted last in a run, and how many passes may go by before that is too old."""

    def count(self, run: Run) -> Spent:
        """Requests and dollars, with those of answers set aside since, and of answers that came
        when nobody asked for them any more.

        Raises:
            StorageError: a file cannot be read; of what was set aside, with the way out.
        """
        total = self._count_in(RepairFiles(run.root, run.passed_over))
        for root in list_history(run):
            with explain_history(root):
                total += self._count_in(RepairFiles(root, run.passed_over))
        return total + add_up(stray["cost_usd"] for stray in iter_strays(run, "repair"))

    def count_now_and_then(self, run: Run) -> Spent:
        """Count, or return what `remember` was told: for who only shows it, before every pass.

        To look at the files of all shards for each few of them takes the longer, the more there
        are. What others have spent since is missing until they are looked at again.

        Raises:
            StorageError: see `count`.
        """
        last, passes = self._last.get(run.root, (Spent(), 0))
        if passes > 0:
            self._last[run.root] = (last, passes - 1)
            return last
        total = self.count(run)
        shards = sum(1 for root, _ in self._known if root == run.root)
        self._last[run.root] = (total, shards // _SHARDS_OF_PASS)
        return total

    def remember(self, run: Run, spent: Spent) -> None:
        """Take what a pass has come to as what the run has spent, until it is counted again."""
        if run.root in self._last:
            self._last[run.root] = (spent, self._last[run.root][1])

    def _count_in(self, files: RepairFiles) -> Spent:
        total = Spent()
        for shard, state in _look_at_shards(files).items():
            known = self._known.get((files.root, shard))
            if known is None or known[0] != state:
                spent = add_up(iter_costs(files, shard))
                known = self._known[files.root, shard] = (state, spent)
            total += known[1]
        return total


@contextmanager
def explain_history(root: Path) -> Iterator[None]:
    """Say of a file in a folder of `history/` that cannot be read what may be done about it.

    Raises:
        DamagedFileError: instead of any other error about such a file.
    """
    try:
        yield
    except (StorageError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = error.what if isinstance(error, StorageError) else f"its evidence: {error}."
        where = (error.where if isinstance(error, StorageError) else None) or str(root)
        raise DamagedFileError(
            f"what was paid for and set aside cannot be counted: {what}",
            where=where,
            hint=advise_history(root),
        ) from error


@dataclass(frozen=True, slots=True)
class RepairFiles:
    """The files of the repair stage in a run directory, or in a folder laid out as one.

    Attributes:
        passed_over: damaged ones, which count as not there.
    """

    root: Path
    passed_over: frozenset[Path] = frozenset()

    @property
    def tables(self) -> tuple[ShardTable, ShardTable, ShardTable]:
        """Repairs, rejects and controls."""
        left_out = self.passed_over
        return (
            ShardTable(self.root / OUTPUTS["repair"], Repair, passed_over=left_out),
            ShardTable(self.root / REJECTS, Reject, prefix="repair", passed_over=left_out),
            ShardTable(self.root / "controls", Control, passed_over=left_out),
        )

    def journal(self, shard: int) -> Journal:
        """Return the journal of a shard."""
        files = list_files(self.root / JOURNAL, "repair", shard)
        own = files[-1] if files else choose_file(self.root / JOURNAL, "repair", shard, None)
        return Journal(own, stage="repair", shard=shard, record=Entry, earlier=files[:-1])


_State = frozenset[tuple[str, int, int, int]]
"""The files of a shard: path, inode, when it was written in nanoseconds, size. Files that are
replaced differ in the first two, journals that grow in the last."""


def _look_at_shards(files: RepairFiles) -> dict[int, _State]:
    """The files of every shard that may have requests on record, without opening any."""
    found: dict[int, set[tuple[str, int, int, int]]] = {}
    patterns = {
        table.directory: re.compile(rf"{re.escape(table.prefix)}-(\d+)\.parquet")
        for table in files.tables
    }
    for folder, pattern in patterns.items():
        for state in _look_into(folder):
            if match := pattern.fullmatch(Path(state[0]).name):
                found.setdefault(int(match[1]), set()).add(state)
    for shard in _list_open(files.root / JOURNAL):
        for path in list_files(files.root / JOURNAL, "repair", shard):
            with suppress(FileNotFoundError):  # its shard is finished
                found.setdefault(shard, set()).add(_look_at(path))
    return {shard: frozenset(states) for shard, states in sorted(found.items())}


def _look_into(folder: Path) -> list[tuple[str, int, int, int]]:
    """The files of a folder; one that only a bucket has got is known by its size."""
    found: dict[str, tuple[str, int, int, int]] = {}
    mount = find_mount(folder)
    if mount is not None:
        sizes = mount.list_sizes(folder).items()
        found = {name: (str(folder / name), 0, 0, size) for name, size in sizes}
    if folder.is_dir():
        with explain_os_errors(folder, "list"), os.scandir(folder) as entries:
            for file in entries:
                found[file.name] = _look_at(Path(file))
    return list(found.values())


def _look_at(path: Path) -> tuple[str, int, int, int]:
    status = path.stat()
    return (str(path), status.st_ino, status.st_mtime_ns, status.st_size)


def _list_open(folder: Path) -> set[int]:
    """The shards that have journal files."""
    with explain_os_errors(folder, "list"):
        named = map(parse_name, folder.iterdir() if folder.is_dir() else ())
    return {found[1] for found in named if found is not None and found[0] == "repair"}


def list_shards(files: RepairFiles) -> list[int]:
    """Return the shards that may have requests on record, without opening any."""
    return list(_look_at_shards(files))


def iter_costs(files: RepairFiles, shard: int) -> Iterator[float | None]:
    """Yield the dollars of every request on record of a shard: of repairs and their hunks, refused
    trajectories, controls, and those that only the journal has; None where nobody knows them.

    Of tables few columns are read, and the costs that are not known come last.

    Raises:
        StorageError: a file cannot be read.
    """
    repairs, rejects, controls = files.tables
    for table in (repairs, controls):
        if table.exists(shard):
            known = list(table.iter_leaves(shard, "cost_usd"))
            yield from known
            requests = sum(1 for _ in table.iter_leaves(shard, "seed"))
            yield from repeat(None, requests - len(known))
    if rejects.exists(shard):
        for row in rejects.iter_rows(shard, ["evidence"]):
            for attempt in json.loads(row["evidence"]).get("attempts", ()):
                yield attempt["cost_usd"]
    for attempt in iter_journalled(files, shard):
        yield attempt["cost_usd"]


def iter_journalled(files: RepairFiles, shard: int) -> Iterator[Mapping[str, Any]]:
    """Yield each request that only the journal of a shard has, once: as it was judged, or as it
    arrived if it is not yet."""
    journal = files.journal(shard)
    if journal.path in files.passed_over or not journal.exists():
        return
    latest = {}
    # After a crash a journal may still hold what the files have already.
    written = _list_written(files, shard)
    for entry in journal.replay():
        if entry["trajectory_id"] not in written:
            attempt = entry["attempt"]
            name = (entry["trajectory_id"], entry["purpose"], attempt["index"], entry.get("about"))
            latest[name] = attempt
    yield from latest.values()


def _list_written(files: RepairFiles, shard: int) -> set[str]:
    written: set[str] = set()
    columns = ("trajectory_id", "row_id", "trajectory_id")
    for table, column in zip(files.tables, columns, strict=True):
        if table.exists(shard):
            written |= {row[column] for row in table.iter_rows(shard, [column])}
    return written
