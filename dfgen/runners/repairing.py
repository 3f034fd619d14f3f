"""Runs the repair stage over the shards of a run, round by round.

Every attempt is journalled when it is finished. All that a round needs to know is on disk, so a
killed run goes on in the middle of a round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dfgen.config.repair import RepairConfig
from dfgen.errors import RowError
from dfgen.records import Attempt, Control, Prompt, Reject, Repair, Trajectory
from dfgen.runners.prompts import read_shard
from dfgen.runners.session import Session, describe_engine
from dfgen.runners.spending import Spending, count_spent
from dfgen.stages.rejecting import make_reject
from dfgen.stages.repair import Outcome, Repairer, Task, explain_refusal
from dfgen.stages.repair_compare import Accepted, build_repair, copy_repair
from dfgen.stages.repair_selection import (
    Selection,
    is_control,
    needs_repair,
    plan_attempts,
    select_wrong,
)

Entries = dict[str, list[dict[str, Any]]]
"""Journal entries of a shard by trajectory, in order."""


def run_repair(session: Session, repairer: Repairer, todo: list[int]) -> None:
    """Repair every wrong trajectory of these shards that is not decided yet.

    Raises:
        DfgenError: a limit on cost or requests is reached; what was in flight is on disk.
    """
    session.run.set_stage(
        "repair", state="running", counts={}, engine=describe_engine(repairer.engine)
    )
    Repairing(session, repairer).execute(todo)


class Repairing:
    """One pass over the unfinished shards."""

    def __init__(self, session: Session, repairer: Repairer) -> None:
        self.session = session
        self.repairer = repairer
        self.config = repairer.config
        self.open: dict[int, set[str]] = {}
        self.shard_of: dict[str, int] = {}
        # What is out in this round: how each of its trajectories stands, without texts.
        self.standing: dict[str, list[Attempt]] = {}
        self.spending = Spending(self.config, *count_spent(session.run))

    def execute(self, todo: list[int]) -> None:
        """Run rounds until every trajectory of these shards is repaired or given up."""
        for shard in todo:
            self._open(shard)
        undecided = sum(map(len, self.open.values()))
        self.session.progress.start("repair", undecided, 0)
        for round_number in range(self.config.max_attempts):
            feed = self.spending.until_reached(self.session.until_stopped(self._feed(round_number)))
            for outcomes in self.repairer.run_round(feed):
                self._keep(outcomes)
            if self.session.stop.requested:
                return
            if self.open:
                self.spending.check()
        self._note_schema()
        self.session.progress.finish("repair")

    def _open(self, shard: int) -> None:
        """Find out which trajectories of a shard are undecided; finish the shard if none is."""
        log = read_journal(self.session, shard)
        written = read_rows(self.session, shard).keys() | read_rejects(self.session, shard).keys()
        selection = select_wrong(read_wrong(self.session, shard), self.config.per_group)
        self.open[shard] = {
            key
            for key in selection.leaders
            if key not in written and plan_attempts(attempts_of(log.get(key, [])), self.config)
        }
        if self.config.controls:
            known = read_controls(self.session, shard, log).keys()
            self.open[shard] |= {
                trajectory.trajectory_id
                for trajectory in read_trajectories(self.session, shard)
                if is_control(trajectory, self.config.controls)
                and trajectory.trajectory_id not in known
            }
        if not self.open[shard]:
            self._finish(shard)

    def _feed(self, round_number: int) -> Iterator[Task]:
        """The requests that a round has still to make, in the order of the shards' rows."""
        for shard in list(self.open):
            log = read_journal(self.session, shard)
            ready: dict[str, list[tuple[Trajectory, tuple[Attempt, ...], tuple[int, ...]]]] = {}
            for trajectory in read_trajectories(self.session, shard):
                if trajectory.trajectory_id not in self.open[shard]:
                    continue
                attempts = attempts_of(log.get(trajectory.trajectory_id, []))
                wanted = plan_attempts(attempts, self.config)
                if not needs_repair(trajectory):
                    wanted = (0,)
                if wanted and wanted[0] // self.config.candidates == round_number:
                    ready.setdefault(trajectory.prompt_id, []).append(
                        (trajectory, attempts, wanted)
                    )
            for prompt in read_shard(self.session, shard) if ready else ():
                for trajectory, attempts, wanted in ready.get(prompt.prompt_id, []):
                    self.shard_of[trajectory.trajectory_id] = shard
                    self.standing[trajectory.trajectory_id] = [_forget(a) for a in attempts]
                    for index in wanted:
                        control = not needs_repair(trajectory)
                        yield Task(trajectory, prompt, index, attempts, control)

    def _keep(self, outcomes: list[Outcome]) -> None:
        by_shard: dict[int, list[Outcome]] = {}
        for outcome in outcomes:
            by_shard.setdefault(self.shard_of[outcome.trajectory_id], []).append(outcome)
            self.spending.add(outcome.attempt)
        for shard, fresh in by_shard.items():
            self.session.journal("repair", shard).append([_to_entry(item) for item in fresh])
            for outcome in fresh:
                self._count(shard, outcome)
            if not self.open[shard]:
                self._finish(shard)

    def _count(self, shard: int, outcome: Outcome) -> None:
        """Note that an attempt is finished, and its trajectory if it is decided by that."""
        key = outcome.trajectory_id
        attempts = self.standing[key]
        attempts.append(_forget(outcome.attempt))
        following = () if outcome.control else plan_attempts(attempts, self.config)
        same_round = outcome.attempt.index // self.config.candidates
        if following and following[0] // self.config.candidates == same_round:
            return
        del self.standing[key], self.shard_of[key]
        if following:
            return
        self.open[shard].discard(key)
        accepted = any(attempt.accepted for attempt in attempts)
        self.session.progress.advance(
            1,
            accepted=accepted,
            rejected=not accepted and outcome.control is None,
            note=self.spending.describe(),
        )

    def _finish(self, shard: int) -> None:
        session = self.session
        log = read_journal(session, shard)
        rows, rejects = read_rows(session, shard), read_rejects(session, shard)
        selection = select_wrong(read_wrong(session, shard), self.config.per_group)
        order = []
        for trajectory in read_wrong(session, shard):
            key = trajectory.trajectory_id
            order.append(key)
            if key in rows or key in rejects:
                continue
            try:
                rows[key] = self._take_repair(trajectory, selection, log, rows, rejects)
            except RowError as error:
                rejects[key] = make_reject("repair", key, trajectory.prompt_id, error)
        controls = read_controls(session, shard, log)
        if controls:
            # Before the shard is finished, while the journal still has them.
            session.run.table("controls").write(
                shard,
                [
                    controls[trajectory.trajectory_id]
                    for trajectory in read_trajectories(session, shard)
                    if trajectory.trajectory_id in controls
                ],
            )
        session.finish_shard(
            "repair",
            shard,
            [rows[key] for key in order if key in rows],
            [rejects[key] for key in order if key in rejects],
        )
        del self.open[shard]

    def _take_repair(
        self,
        trajectory: Trajectory,
        selection: Selection,
        log: Entries,
        rows: Mapping[str, Repair],
        rejects: Mapping[str, Reject],
    ) -> Repair:
        """The repair of a trajectory whose leader, if it is a copy, is decided.

        Raises:
            RowError: it has none.
        """
        key = trajectory.trajectory_id
        if key in selection.refused:
            raise selection.refused[key]
        leader = selection.copy_of.get(key)
        if leader is not None and leader in rejects:
            refusal = rejects[leader]
            raise RowError(refusal.reason, refusal.detail, {"copy_of": leader})
        if leader is not None:
            repairer = self.repairer
            return copy_repair(trajectory, rows[leader], repairer.tokenizer, repairer.mask)
        entries = sorted(log.get(key, []), key=lambda entry: entry["attempt"]["index"])
        attempts = attempts_of(entries)
        accepted = [
            (entry["attempt"]["index"], Accepted.model_validate(entry["accepted"]))
            for entry in entries
            if entry["accepted"] is not None
        ]
        if not accepted:
            raise explain_refusal(attempts)
        return build_repair(
            trajectory,
            attempts,
            accepted,
            self.config.protocol,
            self.repairer.engine.info.model,
        )

    def _note_schema(self) -> None:
        """Say in the manifest how the server treated the schema that it was sent."""
        if self.config.protocol == "hunks" and self.config.structured_output == "auto":
            kept, ignored = (self.repairer.by_schema[flag] for flag in (True, False))
            self.session.run.set_stage(
                "repair",
                state="running",
                counts={},
                schema={"obeyed": kept, "ignored": ignored},
            )


def iter_undecided(session: Session, config: RepairConfig) -> Iterator[tuple[Trajectory, Prompt]]:
    """What a start of the stage would still send, controls included; nothing is written."""
    for shard in session.run.table("trajectories").shards():
        log = read_journal(session, shard)
        written = read_rows(session, shard).keys() | read_rejects(session, shard).keys()
        leaders = set(select_wrong(read_wrong(session, shard), config.per_group).leaders)
        controls = read_controls(session, shard, log)
        wanted: dict[str, list[Trajectory]] = {}
        for trajectory in read_trajectories(session, shard):
            key = trajectory.trajectory_id
            if key in leaders:
                plan = plan_attempts(attempts_of(log.get(key, [])), config)
                left = key not in written and bool(plan)
            else:
                left = is_control(trajectory, config.controls) and key not in controls
            if left:
                wanted.setdefault(trajectory.prompt_id, []).append(trajectory)
        for prompt in read_shard(session, shard) if wanted else ():
            for trajectory in wanted.get(prompt.prompt_id, []):
                yield trajectory, prompt


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


def read_controls(session: Session, shard: int, log: Entries) -> dict[str, Control]:
    """Controls of a shard that are done, in its file or its journal."""
    table = session.run.table("controls")
    rows = list(table.iter_rows(shard)) if table.exists(shard) else []
    rows += [e["control"] for entries in log.values() for e in entries if e["control"] is not None]
    return {row["trajectory_id"]: Control.model_validate(row) for row in rows}


def read_trajectories(session: Session, shard: int) -> Iterator[Trajectory]:
    """The trajectories of a shard, in order."""
    for row in session.run.table("trajectories").iter_rows(shard):
        yield Trajectory.model_validate(row)


def read_wrong(session: Session, shard: int) -> Iterator[Trajectory]:
    """The trajectories of a shard that need a repair, in order."""
    return filter(needs_repair, read_trajectories(session, shard))


def read_journal(session: Session, shard: int) -> Entries:
    """The finished attempts of a shard by trajectory, in order."""
    log: Entries = {}
    for entry in session.journal("repair", shard).replay():
        log.setdefault(entry["trajectory_id"], []).append(entry)
    return log


def attempts_of(entries: list[dict[str, Any]]) -> tuple[Attempt, ...]:
    """The attempts in a trajectory's journal entries."""
    return tuple(Attempt.model_validate(entry["attempt"]) for entry in entries)


def _forget(attempt: Attempt) -> Attempt:
    return attempt.model_copy(update={"text": "", "detail": ""})


def _to_entry(outcome: Outcome) -> dict[str, Any]:
    return {
        "trajectory_id": outcome.trajectory_id,
        "attempt": outcome.attempt.model_dump(),
        "accepted": None if outcome.accepted is None else outcome.accepted.model_dump(),
        "control": None if outcome.control is None else outcome.control.model_dump(),
    }
