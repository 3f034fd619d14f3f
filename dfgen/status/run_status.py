"""Brings together all that `dfgen status` says of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from dfgen.errors import StorageError
from dfgen.status.out import OutStatus, list_out_status
from dfgen.status.pace import measure_pace
from dfgen.status.spending import Spending, measure_spending
from dfgen.status.stages import StageStatus, measure_stages
from dfgen.status.worker import Sightings, Worker, find_workers
from dfgen.store.mounts import look_again
from dfgen.store.run import Run
from dfgen.store.shared.failures import Failure, read_failures
from dfgen.store.visible_damage import describe_damage, read_around_damage

T = TypeVar("T")

_TRIES = 10

State = Literal["working", "unfinished", "finished"]
"""Of a run: a process is at work on it; it waits for somebody to go on; nothing is left to do."""


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes:
        root: the run directory.
        name: of the pipeline.
        kind: where its answers come from.
        created: ISO 8601, UTC.
        dfgen: version that began it.
        state: see `State`.
        stages: in order.
        workers: who has claimed it, the dead included.
        spending: on repairs.
        out: requests that are out in batches or files, and since when.
        rejects: rows by stage and reason, most frequent first.
        failures: of workers that a scheduler has started, in stages that are not done.
        problem: what is damaged as far as a look shows it, in a line; its rows are not counted.
    """

    root: Path
    name: str
    kind: str
    created: str
    dfgen: str
    state: State
    stages: list[StageStatus]
    workers: list[Worker]
    spending: Spending
    out: list[OutStatus]
    rejects: list[tuple[str, str, int]]
    failures: list[Failure]
    problem: str | None = None

    @property
    def next_stage(self) -> str | None:
        """The first stage that is not done; None if all are."""
        return next((each.stage for each in self.stages if each.state != "done"), None)

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data; names are stable."""
        return {
            "run": str(self.root),
            "name": self.name,
            "kind": self.kind,
            "created": self.created,
            "dfgen": self.dfgen,
            "state": self.state,
            "next_stage": self.next_stage,
            "stages": [
                {**each.to_json(), **measure_pace(each, self.workers).to_json()}
                for each in self.stages
            ],
            "workers": [each.to_json() for each in self.workers],
            "spending": self.spending.to_json(),
            "out": [each.to_json() for each in self.out],
            "rejects": [
                dict(zip(("stage", "code", "rows"), each, strict=True)) for each in self.rejects
            ],
            "failures": [each.to_json() for each in self.failures],
            "problem": self.problem,
        }


def read_steadily(read: Callable[[], T]) -> T:
    """Return what `read` finds in a run; again where a file went away while it looked.

    Who works on a run moves notes into run.json and puts newer files into the place of older ones.

    Raises:
        StorageError: a file cannot be read, for another reason or every time.
    """
    for _ in range(_TRIES - 1):
        try:
            return read()
        except StorageError as error:
            if not isinstance(error.__cause__ or error.__context__, FileNotFoundError):
                raise
    return read()


def measure_run(root: Path, sightings: Sightings | None = None) -> RunStatus:
    """Look at a run, also while other processes write it; nothing is locked or written.

    Args:
        root: the run directory.
        sightings: of earlier looks, by who looks again and again.

    Raises:
        StorageError: there is no run, or a file cannot be read.
        DamagedFileError: run.json is damaged.
    """
    return read_steadily(lambda: _measure_run(root, sightings))


def _measure_run(root: Path, sightings: Sightings | None) -> RunStatus:
    look_again(root)
    run = Run.open_or_create(root, None)
    status, damage = read_around_damage(run, lambda whole: _measure_whole(whole, sightings))
    return replace(status, problem=describe_damage(run, damage))


def _measure_whole(run: Run, sightings: Sightings | None) -> RunStatus:
    root = run.root
    workers = find_workers(root, sightings)
    stages = _leave_out_unwanted(run, measure_stages(run))
    return RunStatus(
        root=root,
        name=str(run.manifest.pipeline.get("name", "")),
        kind=run.manifest.kind,
        created=run.manifest.created,
        dfgen=run.manifest.dfgen,
        state=find_state(stages, workers),
        stages=stages,
        workers=workers,
        spending=measure_spending(run),
        out=list_out_status(run),
        rejects=count_reasons(run),
        failures=read_failures(root, {each.stage for each in stages if each.state != "done"}),
    )


def find_state(stages: list[StageStatus], workers: list[Worker]) -> State:
    """Say whether somebody works on a run, or may."""
    if any(worker.alive is not False for worker in workers):
        return "working"
    return "finished" if all(each.state == "done" for each in stages) else "unfinished"


def count_reasons(run: Run) -> list[tuple[str, str, int]]:
    """Count rejects by stage and reason, most frequent first; one short column is read."""
    counts: Counter[tuple[str, str]] = Counter()
    for stage in run.stages:
        ledger = run.rejects(stage)
        for shard in ledger.shards():
            for row in ledger.iter_rows(shard, ["reason"]):
                counts[stage, row["reason"]] += 1
    return [(stage, code, rows) for (stage, code), rows in counts.most_common()]


def _leave_out_unwanted(run: Run, stages: list[StageStatus]) -> list[StageStatus]:
    """Nobody repairs where there is no repairer: that stage is not waited for."""
    repairs = (run.manifest.pipeline.get("repair") or {}).get("engine") is not None
    return [each for each in stages if each.stage != "repair" or repairs or each.state != "pending"]
