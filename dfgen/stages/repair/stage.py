"""Runs the repair stage over the shards of a run, round by round.

Every answer is journalled when it arrives, and again when it is judged. All that a round needs to
know is on disk: a killed run goes on in the middle of a round, after judging what it has paid for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from dfgen.config.engine import find_lane, find_price
from dfgen.errors import ConfigError, RowError
from dfgen.records import Prompt, Reject, Repair, Trajectory
from dfgen.stages.ingest import read_shard
from dfgen.stages.lanes import list_out
from dfgen.stages.repair.compare import build_repair, choose_smallest, copy_repair
from dfgen.stages.repair.estimate import guess_cost
from dfgen.stages.repair.judge import Answers, Judges, Outcome, count_cost
from dfgen.stages.repair.judge_pool import open_judges
from dfgen.stages.repair.necessity import count_necessity
from dfgen.stages.repair.opening import Opening
from dfgen.stages.repair.plan import (
    CONTROL,
    History,
    Plan,
    Purpose,
    count_rounds,
    find_turn,
    plan_next,
)
from dfgen.stages.repair.prompt import hash_template
from dfgen.stages.repair.record import (
    Entries,
    Entry,
    read_controls,
    read_history,
    read_journal,
    read_named,
    read_rejects,
    read_rows,
    read_unjudged,
    read_wrong,
    to_answer_entry,
    to_entry,
)
from dfgen.stages.repair.rejudge import keep_unused
from dfgen.stages.repair.remaining import plan_shard
from dfgen.stages.repair.requests import (
    Repairer,
    Task,
    explain_refusal,
    make_test,
    name_request,
)
from dfgen.stages.repair.select import Selection, needs_repair, select_wrong
from dfgen.stages.repair.shared_spending import open_spending
from dfgen.stages.repair.spending import SpentCount
from dfgen.stages.session import Session
from dfgen.stages.work import Tools, open_graders


class RepairStage:
    """A stronger model repairs wrong trajectories (`dfgen.stages.work.StageWork`)."""

    stage = "repair"

    def __init__(self) -> None:
        self._spent = SpentCount()

    def list_facts(self, session: Session) -> dict[str, str]:
        """List the text of the prompt template."""
        return {"template": hash_template(session.pipeline.repair)}

    @contextmanager
    def open_tools(self, session: Session) -> Iterator[Tools]:
        """Start processes that grade, and have repairers ready to be loaded or reached.

        That is done when there is something to ask them, which answers on record may spare.

        Raises:
            ConfigError: the pipeline names no repairer.
        """
        configs = session.pipeline.repair.repairers
        if not configs:
            raise ConfigError("the pipeline has no repair.engine section.")
        with ExitStack() as stack:
            graders = stack.enter_context(open_graders(session.pipeline.grade))
            opening = Opening(session, stack, self.list_facts(session))
            engines = [opening.prepare(number) for number in range(len(configs))]
            yield Tools(
                session.pipeline,
                engines[0],
                graders,
                facts=self.list_facts(session),
                others=tuple(engines[1:]),
            )

    def run_shards(self, session: Session, tools: Tools, shards: list[int]) -> None:
        """Repair every wrong trajectory of these shards that is not decided yet."""
        assert tools.engine is not None
        assert tools.graders is not None
        pipeline = session.pipeline
        repairers = [
            Repairer(
                pipeline.repair,
                engine,
                session.tokenizer,
                tools.graders,
                pipeline.mask,
                pipeline.seed,
                find_price(config),
                find_lane(config),
                config.model,
            )
            for engine, config in zip(
                (tools.engine, *tools.others), pipeline.repair.repairers, strict=True
            )
        ]
        run_repair(session, repairers, shards, self._spent)

    def close(self, session: Session) -> None:
        """Say what the tests of necessity found out."""
        run = session.run
        if session.pipeline.repair.necessity != "off":
            rows = run.table("repairs").iter_rows(columns=["copy_of", "necessity"])
            session.note("repair", necessity=asdict(count_necessity(rows)))


def run_repair(
    session: Session,
    repairers: Repairer | Sequence[Repairer],
    todo: list[int],
    spent: SpentCount | None = None,
) -> None:
    """Repair every wrong trajectory of these shards that is not decided yet.

    Args:
        repairers: in the order in which they are asked.
        spent: knows what it has read of the run's spending before, if anything.

    Raises:
        DfgenError: a limit on cost or requests is reached; what was in flight is on disk.
    """
    listed = [repairers] if isinstance(repairers, Repairer) else list(repairers)
    Repairing(session, listed, spent or SpentCount()).execute(todo)


@dataclass(slots=True)
class InFlight:
    """A trajectory about which requests are under way in this round, without its texts.

    Attributes:
        shard: where its row lies.
        history: what is known about it so far.
        out: requests that have not come back.
    """

    shard: int
    history: History
    out: int


class Repairing:
    """One pass over the unfinished shards."""

    def __init__(self, session: Session, repairers: list[Repairer], spent: SpentCount) -> None:
        self.session = session
        self.repairers = repairers
        self.repairer = repairer = repairers[0]
        self.config = repairer.config
        self.open: dict[int, set[str]] = {}
        self.in_flight: dict[str, InFlight] = {}
        self.by_schema = {True: 0, False: 0}
        self.out = {
            name: number for number, each in enumerate(repairers) for name in list_out(each.engine)
        }
        self.spending = open_spending(session, self.config, spent, len(self.out))

    def execute(self, todo: list[int]) -> None:
        """Run rounds until every trajectory of these shards is repaired or given up."""
        with closing(self.spending):
            self._execute(todo)

    def _execute(self, todo: list[int]) -> None:
        for shard in todo:
            self._open(shard)
        self.session.progress.start("repair", self._count_undecided(), 0)
        with open_judges(self.session, self.repairer.judge, self._count_answers_left) as judges:
            for purposes in (("repair", "control"), ("necessity",)):  # tests are of the repairs
                answers = self.session.until_stopped(self._recall(purposes))
                for outcomes in judges.judge_all(answers):
                    self._keep(outcomes)
            for round_number in range(count_rounds(self.config)):
                self._run_round(round_number, judges)
                while self.spending.held_back and not self.session.stop.requested:
                    self.spending.check()
                    self._run_round(round_number, judges)
                if self.session.stop.requested:
                    return
        self._note_schema()
        if self.open:
            # Only files leave requests without an answer: somebody has still to give it.
            self.session.paused = (
                f"{self._count_undecided():,} wrong answers wait for the repairer's answers."
            )
            return
        self.session.progress.finish("repair")

    def _count_undecided(self) -> int:
        return sum(map(len, self.open.values()))

    def _count_answers_left(self) -> int:
        """Answers that are to come if every undecided trajectory is decided by its next ones."""
        return self._count_undecided() * self.config.candidates

    def _run_round(self, round_number: int, judges: Judges) -> None:
        repairer = self.repairers[find_turn(round_number, self.config)]
        feed = self.spending.until_reached(
            self.session.until_stopped(self._feed(round_number)),
            partial(guess_cost, config=self.config, price=repairer.by.price),
            lambda task: name_request(task) in self.out,
        )
        for outcomes in repairer.run_round(feed, judges, self._note):
            self._keep(outcomes)

    def _open(self, shard: int) -> None:
        """Find out which trajectories of a shard are undecided; finish the shard if none is."""
        self.open[shard] = set(plan_shard(self.session, self.config, shard))
        if not self.open[shard]:
            self._finish(shard)

    def _recall(self, purposes: tuple[Purpose, ...]) -> Iterator[Answers]:
        """The answers on disk that nobody has judged: what an earlier start did not get to, and
        what is to be judged anew. Of a trajectory all attempts are judged, needed or not, since
        they are paid for: the smallest repair among them counts."""
        for shard in list(self.open):
            left = read_unjudged(self.session, shard)
            for trajectory, prompt, history, plan in self._iter_plans(shard) if left else ():
                answers = left.get(trajectory.trajectory_id, {})
                if purposes == ("necessity",):
                    tasks = list(self._make_tasks(trajectory, prompt, history, plan))
                else:
                    # What was wrong before may be right now, and the other way round.
                    wanted = "repair" if needs_repair(trajectory) else "control"
                    tasks = [
                        Task(trajectory, prompt, purpose, index)
                        for purpose, index, _ in answers
                        if purpose == wanted
                    ]
                found = []
                for task in tasks:
                    pending = self.repairer.put_aside(task)
                    name = (pending.purpose, pending.index, pending.about)
                    # A test of an earlier dfgen does not say of which text it was.
                    answer = answers.get(name) or answers.get((*name[:2], None))
                    if task.purpose in purposes and answer is not None:
                        recorded = replace(
                            pending, cost_usd=answer.cost_usd, is_recorded=True, by=answer.by
                        )
                        found.append((answer.result, recorded))
                if found:
                    self._stand(shard, trajectory, history, len(found))
                    yield found

    def _feed(self, round_number: int) -> Iterator[Task]:
        """The requests that a round has still to make, in the order of the shards' rows."""
        turn = find_turn(round_number, self.config)
        for shard in list(self.open):
            for trajectory, prompt, history, plan in self._iter_plans(shard, round_number):
                tasks = list(self._make_tasks(trajectory, prompt, history, plan))
                # What is out with another repairer since an earlier start is not asked of this one.
                if all(self.out.get(name_request(task), turn) == turn for task in tasks):
                    self._stand(shard, trajectory, history, len(tasks))
                    yield from tasks

    def _iter_plans(
        self, shard: int, round_number: int | None = None
    ) -> Iterator[tuple[Trajectory, Prompt, History, Plan]]:
        """The undecided trajectories of a shard, and what each needs next in this round."""
        ready: dict[str, list[tuple[Trajectory, History, Plan]]] = {}
        log = read_journal(self.session, shard)
        for trajectory in read_named(self.session, shard, self.open[shard]):
            history = read_history(log.get(trajectory.trajectory_id, []))
            plan = plan_next(history, self.config) if needs_repair(trajectory) else CONTROL
            if round_number is None or plan.fits_round(round_number, self.config):
                ready.setdefault(trajectory.prompt_id, []).append((trajectory, history, plan))
        for prompt in read_shard(self.session, shard) if ready else ():
            for trajectory, history, plan in ready.get(prompt.prompt_id, []):
                yield trajectory, prompt, history, plan

    def _stand(self, shard: int, trajectory: Trajectory, history: History, out: int) -> None:
        self.in_flight[trajectory.trajectory_id] = InFlight(shard, history.without_texts(), out)

    def _make_tasks(
        self, trajectory: Trajectory, prompt: Prompt, history: History, plan: Plan
    ) -> Iterator[Task]:
        for index in plan.indices:
            if plan.purpose == "necessity":
                repair = choose_smallest(history.accepted)
                yield make_test(trajectory, prompt, repair, index, self.repairer.judge.tokenizer)
            else:
                yield Task(trajectory, prompt, plan.purpose, index, tuple(history.attempts))

    def _note(self, answers: Answers) -> None:
        """Write down what was paid for, before it is judged."""
        by_shard: dict[int, list[dict[str, Any]]] = {}
        for result, pending in answers:
            by = pending.by or self.repairer.by
            cost = count_cost(result.usage, by.price)
            self.spending.add(cost)
            shard = self.in_flight[pending.trajectory.trajectory_id].shard
            by_shard.setdefault(shard, []).append(to_answer_entry(result, pending, cost))
        for shard, entries in by_shard.items():
            self.session.journal("repair", shard, Entry).append(entries)

    def _keep(self, outcomes: list[Outcome]) -> None:
        by_shard: dict[int, list[Outcome]] = {}
        for outcome in outcomes:
            by_shard.setdefault(self.in_flight[outcome.trajectory_id].shard, []).append(outcome)
            if outcome.by_schema is not None:
                self.by_schema[outcome.by_schema] += 1
        for shard, fresh in by_shard.items():
            self.session.journal("repair", shard, Entry).append([to_entry(item) for item in fresh])
            for outcome in fresh:
                self._count(outcome)
            if not self.open[shard]:
                self._finish(shard)

    def _count(self, outcome: Outcome) -> None:
        """Note that a request is finished, and its trajectory if it is decided by that."""
        key = outcome.trajectory_id
        in_flight = self.in_flight[key]
        in_flight.out -= 1
        is_one = outcome.purpose == "control"
        if not is_one:
            in_flight.history.add(outcome.purpose, outcome.attempt, outcome.accepted)
        if in_flight.out:
            return
        del self.in_flight[key]
        if not is_one and plan_next(in_flight.history, self.config).indices:
            return
        self.open[in_flight.shard].discard(key)
        accepted = bool(in_flight.history.accepted)
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
        wrong = list(read_wrong(session, shard))
        selection = select_wrong(wrong, self.config, session.pipeline.grade.undecided)
        order = []
        for trajectory in wrong:
            key = trajectory.trajectory_id
            order.append(key)
            if key in rows or key in rejects:
                continue
            try:
                rows[key] = self._take_repair(trajectory, selection, log, rows, rejects)
            except RowError as error:
                rejects[key] = Reject.from_error("repair", key, trajectory.prompt_id, error)
        controls = read_controls(session, shard, log)
        named = read_named(session, shard, controls) if controls else ()
        keep_unused(session, shard, rows, rejects, controls)
        session.finish_shard(
            "repair",
            shard,
            [rows[key] for key in order if key in rows],
            [rejects[key] for key in order if key in rejects],
            beside={"controls": [controls[trajectory.trajectory_id] for trajectory in named]},
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
            self.repairer.model,
        )

    def _note_schema(self) -> None:
        """Say in the manifest how the server treated the schema of its answers."""
        if self.config.protocol == "hunks" and self.config.structured_output == "auto":
            obeyed, ignored = (self.by_schema[flag] for flag in (True, False))
            self.session.note("repair", schema={"obeyed": obeyed, "ignored": ignored})
