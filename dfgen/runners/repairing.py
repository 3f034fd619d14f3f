"""Runs the repair stage over the shards of a run, round by round.

Every request is journalled when it is finished. All that a round needs to know is on disk, so a
killed run goes on in the middle of a round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dfgen.config.repair import RepairConfig
from dfgen.errors import RowError
from dfgen.records import Prompt, Reject, Repair, Trajectory
from dfgen.runners.judging import open_judges
from dfgen.runners.prompts import read_shard
from dfgen.runners.repair_rows import (
    Entries,
    read_controls,
    read_history,
    read_journal,
    read_rejects,
    read_rows,
    read_trajectories,
    read_wrong,
    to_entry,
)
from dfgen.runners.session import Session, describe_engine
from dfgen.runners.spending import Spending, count_spent
from dfgen.stages.rejecting import make_reject
from dfgen.stages.repair import Repairer, Task, explain_refusal, make_test
from dfgen.stages.repair_compare import build_repair, choose_smallest, copy_repair
from dfgen.stages.repair_judging import Judges, Outcome
from dfgen.stages.repair_necessity import count_necessity
from dfgen.stages.repair_plan import CONTROL, History, Plan, Undecided, count_rounds, plan_next
from dfgen.stages.repair_selection import Selection, is_control, needs_repair, select_wrong


def run_repair(session: Session, repairer: Repairer, todo: list[int]) -> None:
    """Repair every wrong trajectory of these shards that is not decided yet.

    Raises:
        DfgenError: a limit on cost or requests is reached; what was in flight is on disk.
    """
    session.run.set_stage(
        "repair", state="running", counts={}, engine=describe_engine(repairer.engine)
    )
    rows = sum(session.run.table("trajectories").num_rows(shard) for shard in todo)
    with open_judges(session, repairer.judge, rows) as judges:
        Repairing(session, repairer, judges).execute(todo)


@dataclass(slots=True)
class Standing:
    """How a trajectory stands that has requests out in this round; without texts."""

    shard: int
    history: History
    out: int


class Repairing:
    """One pass over the unfinished shards."""

    def __init__(self, session: Session, repairer: Repairer, judges: Judges) -> None:
        self.session = session
        self.repairer = repairer
        self.judges = judges
        self.config = repairer.config
        self.open: dict[int, set[str]] = {}
        self.standing: dict[str, Standing] = {}
        self.by_schema = {True: 0, False: 0}
        self.spending = Spending(self.config, *count_spent(session.run))

    def execute(self, todo: list[int]) -> None:
        """Run rounds until every trajectory of these shards is repaired or given up."""
        for shard in todo:
            self._open(shard)
        undecided = sum(map(len, self.open.values()))
        self.session.progress.start("repair", undecided, 0)
        for round_number in range(count_rounds(self.config)):
            self._run_round(round_number)
            while self.spending.held_back and not self.session.stop.requested:
                self.spending.check()
                self._run_round(round_number)
            if self.session.stop.requested:
                return
        self._note_facts()
        self.session.progress.finish("repair")

    def _run_round(self, round_number: int) -> None:
        feed = self.spending.until_reached(self.session.until_stopped(self._feed(round_number)))
        for outcomes in self.repairer.run_round(feed, self.judges):
            self._keep(outcomes)

    def _open(self, shard: int) -> None:
        """Find out which trajectories of a shard are undecided; finish the shard if none is."""
        self.open[shard] = set(plan_shard(self.session, self.config, shard))
        if not self.open[shard]:
            self._finish(shard)

    def _feed(self, round_number: int) -> Iterator[Task]:
        """The requests that a round has still to make, in the order of the shards' rows."""
        for shard in list(self.open):
            ready: dict[str, list[tuple[Trajectory, History, Plan]]] = {}
            log = read_journal(self.session, shard)
            for trajectory in read_trajectories(self.session, shard):
                key = trajectory.trajectory_id
                if key not in self.open[shard]:
                    continue
                history = read_history(log.get(key, []))
                plan = plan_next(history, self.config) if needs_repair(trajectory) else CONTROL
                if plan.fits_round(round_number, self.config):
                    ready.setdefault(trajectory.prompt_id, []).append((trajectory, history, plan))
            for prompt in read_shard(self.session, shard) if ready else ():
                for trajectory, history, plan in ready.get(prompt.prompt_id, []):
                    self.standing[trajectory.trajectory_id] = Standing(
                        shard, history.without_texts(), len(plan.indices)
                    )
                    yield from self._make_tasks(trajectory, prompt, history, plan)

    def _make_tasks(
        self, trajectory: Trajectory, prompt: Prompt, history: History, plan: Plan
    ) -> Iterator[Task]:
        for index in plan.indices:
            if plan.purpose == "necessity":
                repair = choose_smallest(history.accepted)
                yield make_test(trajectory, prompt, repair, index, self.repairer.judge.tokenizer)
            else:
                yield Task(trajectory, prompt, plan.purpose, index, tuple(history.attempts))

    def _keep(self, outcomes: list[Outcome]) -> None:
        by_shard: dict[int, list[Outcome]] = {}
        for outcome in outcomes:
            by_shard.setdefault(self.standing[outcome.trajectory_id].shard, []).append(outcome)
            self.spending.add(outcome.attempt)
            if outcome.by_schema is not None:
                self.by_schema[outcome.by_schema] += 1
        for shard, fresh in by_shard.items():
            self.session.journal("repair", shard).append([to_entry(item) for item in fresh])
            for outcome in fresh:
                self._count(outcome)
            if not self.open[shard]:
                self._finish(shard)

    def _count(self, outcome: Outcome) -> None:
        """Note that a request is finished, and its trajectory if it is decided by that."""
        key = outcome.trajectory_id
        standing = self.standing[key]
        standing.out -= 1
        is_one = outcome.purpose == "control"
        if not is_one:
            standing.history.add(outcome.purpose, outcome.attempt, outcome.accepted)
        if standing.out:
            return
        del self.standing[key]
        if not is_one and plan_next(standing.history, self.config).indices:
            return
        self.open[standing.shard].discard(key)
        accepted = bool(standing.history.accepted)
        self.session.progress.advance(
            1,
            accepted=accepted,
            rejected=not accepted and not is_one,
            note=self.spending.describe(),
        )

    def _finish(self, shard: int) -> None:
        session = self.session
        log = read_journal(session, shard)
        rows, rejects = read_rows(session, shard), read_rejects(session, shard)
        selection = select_shard(session, self.config, shard)
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
            judge = self.repairer.judge
            return copy_repair(trajectory, rows[leader], judge.tokenizer, judge.mask)
        history = read_history(log.get(key, []))
        if not history.accepted:
            raise explain_refusal(history.attempts)
        return build_repair(
            trajectory,
            history.attempts,
            history.accepted,
            history.tests,
            self.config,
            self.repairer.engine.info.model,
        )

    def _note_facts(self) -> None:
        """Say in the manifest how the server treated its schema, and what tests found out."""
        facts: dict[str, Any] = {}
        if self.config.protocol == "hunks" and self.config.structured_output == "auto":
            kept, ignored = (self.by_schema[flag] for flag in (True, False))
            facts["schema"] = {"obeyed": kept, "ignored": ignored}
        if self.config.necessity != "off":
            rows = self.session.run.table("repairs").iter_rows(columns=["copy_of", "necessity"])
            facts["necessity"] = asdict(count_necessity(rows))
        if facts:
            self.session.run.set_stage("repair", state="running", counts={}, **facts)


def iter_undecided(session: Session, config: RepairConfig) -> Iterator[Undecided]:
    """What a start of the stage would still send, controls included; nothing is written."""
    for shard in session.run.table("trajectories").shards():
        plans = plan_shard(session, config, shard)
        wanted: dict[str, list[Trajectory]] = {}
        for trajectory in read_trajectories(session, shard) if plans else ():
            if trajectory.trajectory_id in plans:
                wanted.setdefault(trajectory.prompt_id, []).append(trajectory)
        for prompt in read_shard(session, shard) if wanted else ():
            for trajectory in wanted.get(prompt.prompt_id, []):
                yield Undecided(trajectory, prompt, plans[trajectory.trajectory_id])


def select_shard(session: Session, config: RepairConfig, shard: int) -> Selection:
    """The wrong trajectories of a shard, sorted by what happens to them."""
    return select_wrong(
        read_wrong(session, shard), config.per_group, require_answer=config.require_answer
    )


def plan_shard(session: Session, config: RepairConfig, shard: int) -> dict[str, Plan]:
    """The trajectories of a shard that have requests left, by trajectory_id, with the next ones."""
    log = read_journal(session, shard)
    written = read_rows(session, shard).keys() | read_rejects(session, shard).keys()
    plans = {}
    for key in select_shard(session, config, shard).leaders:
        if key not in written:
            plan = plan_next(read_history(log.get(key, [])), config)
            if plan.indices:
                plans[key] = plan
    if config.controls:
        known = read_controls(session, shard, log).keys()
        for trajectory in read_trajectories(session, shard):
            if is_control(trajectory, config.controls) and trajectory.trajectory_id not in known:
                plans[trajectory.trajectory_id] = CONTROL
    return plans
