"""Runs the repair stage over the shards of a run, round by round.

Every attempt is journalled when it is finished. All that a round needs to know is on disk, so a
killed run goes on in the middle of a round.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dfgen.errors import RowError
from dfgen.records import Attempt, Reject, Repair, Trajectory
from dfgen.runners.prompts import read_shard
from dfgen.runners.session import Session, describe_engine
from dfgen.stages.rejecting import make_reject
from dfgen.stages.repair import (
    Outcome,
    Repairer,
    Task,
    check_repairable,
    explain_refusal,
    needs_repair,
)


def run_repair(session: Session, repairer: Repairer, todo: list[int]) -> None:
    """Repair every wrong trajectory of these shards that is not decided yet."""
    session.run.set_stage(
        "repair", state="running", counts={}, engine=describe_engine(repairer.engine)
    )
    Repairing(session, repairer).execute(todo)


class Repairing:
    """One pass over the unfinished shards."""

    def __init__(self, session: Session, repairer: Repairer) -> None:
        self.session = session
        self.repairer = repairer
        self.limit = session.pipeline.repair.max_attempts
        self.open: dict[int, set[str]] = {}
        self.shard_of: dict[str, int] = {}

    def execute(self, todo: list[int]) -> None:
        """Run rounds until every trajectory of these shards is repaired or given up."""
        for shard in todo:
            self._open(shard)
        undecided = sum(map(len, self.open.values()))
        self.session.progress.start("repair", undecided, 0)
        for index in range(self.limit):
            tasks = self.session.until_stopped(self._feed(index))
            for outcomes in self.repairer.run_round(tasks):
                self._keep(outcomes)
            if self.session.stop.requested:
                return
        self.session.progress.finish("repair")

    def _open(self, shard: int) -> None:
        """Find out which trajectories of a shard are undecided; finish the shard if none is."""
        log = read_journal(self.session, shard)
        written = read_rows(self.session, shard).keys() | read_rejects(self.session, shard).keys()
        self.open[shard] = {
            trajectory.trajectory_id
            for trajectory in read_wrong(self.session, shard)
            if trajectory.trajectory_id not in written
            and _is_repairable(trajectory)
            and not is_decided(log.get(trajectory.trajectory_id, []), self.limit)
        }
        if not self.open[shard]:
            self._finish(shard)

    def _feed(self, index: int) -> Iterator[Task]:
        for shard in list(self.open):
            log = read_journal(self.session, shard)
            ready: dict[str, list[tuple[Trajectory, tuple[Attempt, ...]]]] = {}
            wanted = self.open[shard]
            for trajectory in read_wrong(self.session, shard):
                attempts = attempts_of(log.get(trajectory.trajectory_id, []))
                if trajectory.trajectory_id in wanted and len(attempts) == index:
                    ready.setdefault(trajectory.prompt_id, []).append((trajectory, attempts))
            for prompt in read_shard(self.session, shard) if ready else ():
                for trajectory, attempts in ready.get(prompt.prompt_id, []):
                    self.shard_of[trajectory.trajectory_id] = shard
                    yield Task(trajectory, prompt, attempts)

    def _keep(self, outcomes: list[Outcome]) -> None:
        by_shard: dict[int, list[Outcome]] = {}
        for outcome in outcomes:
            by_shard.setdefault(self.shard_of.pop(outcome.trajectory_id), []).append(outcome)
        for shard, fresh in by_shard.items():
            self.session.journal("repair", shard).append([_to_entry(item) for item in fresh])
            for outcome in fresh:
                given_up = outcome.repair is None and outcome.attempt.index + 1 >= self.limit
                if outcome.repair is not None or given_up:
                    self.open[shard].discard(outcome.trajectory_id)
                    self.session.progress.advance(
                        1, accepted=outcome.repair is not None, rejected=given_up
                    )
            if not self.open[shard]:
                self._finish(shard)

    def _finish(self, shard: int) -> None:
        log = read_journal(self.session, shard)
        rows = read_rows(self.session, shard)
        rejects = read_rejects(self.session, shard)
        order = []
        for trajectory in read_wrong(self.session, shard):
            key = trajectory.trajectory_id
            order.append(key)
            if key in rows or key in rejects:
                continue
            try:
                check_repairable(trajectory)
                rows[key] = _take_repair(log.get(key, []))
            except RowError as error:
                rejects[key] = make_reject("repair", key, trajectory.prompt_id, error)
        self.session.finish_shard(
            "repair",
            shard,
            [rows[key] for key in order if key in rows],
            [rejects[key] for key in order if key in rejects],
        )
        del self.open[shard]


def read_rows(session: Session, shard: int) -> dict[str, Repair]:
    """Repairs already in the shard's file: there are some when `num_samples` has grown."""
    table = session.run.table("repairs")
    rows = table.iter_rows(shard) if table.exists(shard) else ()
    return {row["trajectory_id"]: Repair.model_validate(row) for row in rows}


def read_rejects(session: Session, shard: int) -> dict[str, Reject]:
    """Refused trajectories already in the shard's ledger."""
    ledger = session.run.rejects("repair")
    rows = ledger.iter_rows(shard) if ledger.exists(shard) else ()
    return {row["row_id"]: Reject.model_validate(row) for row in rows}


def read_wrong(session: Session, shard: int) -> Iterator[Trajectory]:
    """The trajectories of a shard that need a repair, in order."""
    for row in session.run.table("trajectories").iter_rows(shard):
        trajectory = Trajectory.model_validate(row)
        if needs_repair(trajectory):
            yield trajectory


def read_journal(session: Session, shard: int) -> dict[str, list[dict[str, Any]]]:
    """The finished attempts of a shard by trajectory, in order."""
    log: dict[str, list[dict[str, Any]]] = {}
    for entry in session.journal("repair", shard).replay():
        log.setdefault(entry["trajectory_id"], []).append(entry)
    return log


def attempts_of(entries: list[dict[str, Any]]) -> tuple[Attempt, ...]:
    """The attempts in a trajectory's journal entries."""
    return tuple(Attempt.model_validate(entry["attempt"]) for entry in entries)


def is_decided(entries: list[dict[str, Any]], limit: int) -> bool:
    """Accepted, or out of attempts."""
    return len(entries) >= limit or any(entry["repair"] is not None for entry in entries)


def _is_repairable(trajectory: Trajectory) -> bool:
    try:
        check_repairable(trajectory)
    except RowError:
        return False
    return True


def _take_repair(entries: list[dict[str, Any]]) -> Repair:
    for entry in entries:
        if entry["repair"] is not None:
            return Repair.model_validate(entry["repair"])
    raise explain_refusal(attempts_of(entries))


def _to_entry(outcome: Outcome) -> dict[str, Any]:
    return {
        "trajectory_id": outcome.trajectory_id,
        "attempt": outcome.attempt.model_dump(),
        "repair": None if outcome.repair is None else outcome.repair.model_dump(),
    }
