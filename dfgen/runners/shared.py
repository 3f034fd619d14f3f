"""Runs the stages of a run together with other processes, which may be on other machines.

Each takes shards by claims and does all of a stage for them, as the local runner does. A stage
begins in a shard as soon as those before it are done there; only `value` waits until they are done
everywhere, because it chooses among all answers of the run. The source is read by one, and the
others wait for that. What is known only when a stage is complete is noted by whoever is the first
to see that it is.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter
from contextlib import closing, suppress
from itertools import chain
from typing import TYPE_CHECKING

from dfgen.runners.local import finish_stage, is_source_read, list_made, read_source
from dfgen.stages.registry import find_work
from dfgen.stages.rejected import refuse_excess, refuse_failed_grading
from dfgen.stages.repair.rejudge import complete_rejudge
from dfgen.stages.stopping import LoadingStopped
from dfgen.stages.work import StageWork, Tools, is_wanted, run_shards
from dfgen.store.counts import count_stage
from dfgen.store.dropping import complete_dropping
from dfgen.store.entries import list_entry_files
from dfgen.store.layout import JOURNAL, Stage, list_inputs
from dfgen.store.redoing import complete_redo, end_redo
from dfgen.store.refusing import refuse_differences
from dfgen.store.shared.claims import name_closing, name_shard
from dfgen.store.shared.run import SharedRun

if TYPE_CHECKING:
    from dfgen.stages.session import Session

PLAN = "plan"
"""Claim of who reads the source, and puts right what a process that has the run alone has left."""
WHOLE_RUN = frozenset({"value"})
"""Stages that begin when those before them are done in every shard."""
_MOST_SHARDS = 32
"""Claimed by one worker at a time. An engine is fed from all of them without a pause; who claims
more has more to lose to others that come later."""
_LOOKS = 4
"""Alone, a worker looks so often at what is left of a stage until as much is done."""
_LONGEST_WAIT_S = 1.0


def run_together(
    session: Session, stages: tuple[Stage, ...], part: tuple[int, int] | None = None
) -> bool:
    """Run the named stages, sharing them with others; returns False when a stop was asked for.

    Args:
        session: of a `SharedRun` that this process has joined.
        stages: in order.
        part: (i, N): only the shards whose number leaves i when divided by N; None: all that are
            left, until none is.

    Raises:
        DfgenError: the environment is at fault, or a stage has refused too many rows; everything
            finished is on disk, and the others go on.
    """
    run = session.run
    assert isinstance(run, SharedRun)
    with suppress(LoadingStopped), session.stop, closing(session):
        if not prepare(session, run, stages):
            return False
        wanted = [each for each in stages if each != "prompts"]
        worker = SharedWork(session, run, wanted, part)
        try:
            return worker.execute()
        finally:
            run.claims.let_go_all()
    return False


def prepare(session: Session, run: SharedRun, stages: tuple[Stage, ...]) -> bool:
    """Read the source, or wait for who does; returns False when a stop was asked for."""
    run.refresh()
    with run.claims.hold(PLAN, lambda: session.stop.requested) as held:
        if not held:
            return False
        run.look_again()
        run.refresh()
        complete_dropped(session, run)
        if session.stop.requested:
            return False
        complete_redo(run)
        complete_rejudge(session)
        if "prompts" not in stages:
            return True
        if not is_source_read(session):
            session.progress.tell("reading the source, for all who work on this run")
        worked = read_source(session)
        if not session.stop.requested:
            finish_stage(session, "prompts", worked=worked)
    return not session.stop.requested


def complete_dropped(session: Session, run: SharedRun) -> None:
    """Take to its end a dropping of somebody who died or failed; the caller has `PLAN`."""
    for line in complete_dropping(run, session.waiting):
        session.progress.tell(line)


class SharedWork:
    """What one worker has done of the stages of a run, and what it can do next.

    Args:
        session: of the run.
        run: joined.
        stages: in order, the reading of the source left out.
        part: see `run_together`.
    """

    def __init__(
        self,
        session: Session,
        run: SharedRun,
        stages: list[Stage],
        part: tuple[int, int] | None,
    ) -> None:
        self.session = session
        self.run = run
        self.asked = stages
        self.stages = [each for each in stages if is_wanted(session.pipeline, each)]
        self.part = part
        self._done: dict[Stage, set[int]] = {stage: set() for stage in self.stages}
        self._closed: set[Stage] = set()
        self._worked: set[Stage] = set()
        self._left: dict[Stage, list[int]] = {}
        """Shards in which a stage was not done when that was last looked at, ascending."""
        self._claimed = Counter[Stage]()
        """How many of these this worker has claimed since."""
        self._following: dict[Stage, int] = {}
        """The shard after the one that was claimed last."""
        self._is_behind = False
        """Whether others had done what was just claimed."""

    def execute(self) -> bool:
        """Work until nothing is left; returns False when a stop was asked for."""
        stop, wait_s = self.session.stop, 0.0
        self._check_settings()
        while not stop.requested:
            worked = False
            for stage in self.stages:
                worked = self._work_on(stage) or worked
                if stop.requested:
                    return False
                self._close(stage)
            if all(not self._list_open(stage) for stage in self.stages):
                self.run.membership.crew.clear_up()
                end_redo(self.run, list_made(self.run, ("prompts", *self.asked)))
                return True
            wait_s = 0.05 if worked else min(2 * wait_s + 0.05, _LONGEST_WAIT_S)
            if not worked:
                self._tell_waiting()
                time.sleep(wait_s)
        return False

    def _check_settings(self) -> None:
        """Make sure that what there is fits the settings, before it is looked for what is left.

        Where they want more than what is there, more samples, that is known from here on only.
        """
        for stage in self.stages:
            if self.run.output(stage).shards():
                facts = find_work(stage).list_facts(self.session)
                self.run.check_stage(stage, self.session.pipeline, facts)

    def _work_on(self, stage: Stage) -> bool:
        """Do what can be claimed of a stage now; says whether there was anything."""
        shards = self._claim(stage)
        if not shards:
            return False
        session, run, work = self.session, self.run, find_work(stage)
        try:
            self._refuse_bad_input(stage)
            run.check_stage(stage, session.pipeline, work.list_facts(session))
            with work.open_tools(session) as tools:
                run.check_stage(stage, session.pipeline, tools.facts)
                run.set_stage(stage, state="running", counts={}, **tools.notes)
                tools.progress, tools.stop = session.progress, session.stop
                tools.tokenizer = session.tokenizer
                known = run.manifest
                while shards and not session.stop.requested:
                    if run.manifest is not known:
                        # Others who came with more samples: these would never be done here.
                        found = run.find_differences(stage, session.pipeline, tools.facts)
                        refuse_differences(run.root, stage, found)
                        known = run.manifest
                    self._run(work, tools, shards)
                    shards = self._claim(stage)
        finally:
            self._let_go(stage, shards)
        self._worked.add(stage)
        return True

    def _run(self, work: StageWork, tools: Tools, shards: list[int]) -> None:
        try:
            run_shards(self.run, work, shards, tools)
        finally:
            self._let_go(work.stage, shards)

    def _let_go(self, stage: Stage, shards: list[int]) -> None:
        for shard in shards:
            self.run.let_go(stage, shard)

    def _claim(self, stage: Stage) -> list[int]:
        """Claim some shards in which a stage can begin: a share of what is left."""
        if self.session.stop.requested or not self._may_begin(stage):
            return []
        run = self.run
        if self._is_behind:
            run.look_again()
        else:
            run.look_round()
        taken = self._take_share(stage)
        if taken:
            run.look_again(taken)
            run.refresh()
            if {each.shard for each in run.manifest.dropping} & {*taken}:
                self._let_go(stage, taken)
                self._complete_dropped()
                return self._claim(stage)
        done = [shard for shard in taken if run.is_done(stage, shard)]
        for shard in done:  # by another, since this was looked at
            self._done[stage].add(shard)
            run.let_go(stage, shard)
        self._is_behind = bool(done)
        return [shard for shard in taken if shard not in done]

    def _take_share(self, stage: Stage) -> list[int]:
        """Claim a share of the shards of a stage that are left, as many as nobody else has."""
        token, crew = self.run.membership.token, self.run.membership.crew
        tokens = [] if self.part else [each.token for each in crew.list_others(token)]
        workers = 1 + len(tokens)
        left = self._look_over(stage, workers)
        count = len(left) - self._claimed[stage]
        most = max(1, min(_MOST_SHARDS, math.ceil(count / (2 * workers))))
        # Each has its own place to begin, and goes on from where it was: who begins where others
        # are asks for what they have, and for what they have done since it was looked at.
        place = sum(each < token for each in tokens)
        default = left[len(left) * place // workers] if left else 0
        start = bisect_left(left, self._following.get(stage, default))
        taken: list[int] = []
        done: list[int] = []
        for index in chain(range(start, len(left)), range(start)):
            if len(taken) == most:
                break
            shard = left[index]
            if self._is_done(stage, shard):
                done.append(index)
            elif self._is_ready(stage, shard) and self.run.claims.take(name_shard(stage, shard)):
                taken.append(shard)
        for index in sorted(done, reverse=True):
            del left[index]
        if taken:
            self._following[stage] = taken[-1] + 1
            self._claimed[stage] += len(taken)
        return taken

    def _look_over(self, stage: Stage, workers: int) -> list[int]:
        """The shards of a stage that are left, as far as this worker knows.

        To look at every one of them for each claim takes the longer, the more shards a run has. So
        that is done when a part of them is claimed, the sooner the more workers there are, and for
        each claim only when few are left, which have to be shared evenly. Until then those that
        others have done are left out as they are met.
        """
        left = self._left.get(stage)
        if left is None:
            return self._list_open(stage)
        if _LOOKS * workers * self._claimed[stage] >= len(left):
            left = self._left[stage] = [each for each in left if not self._is_done(stage, each)]
            self._claimed[stage] = 0
        return left

    def _complete_dropped(self) -> None:
        """Do what somebody has begun who had these shards for itself, and has them no more."""
        session, run = self.session, self.run
        with run.claims.hold(PLAN, lambda: session.stop.requested) as held:
            if held:
                run.look_again()
                run.refresh()
                complete_dropped(session, run)

    def _may_begin(self, stage: Stage) -> bool:
        """Whether a stage of the whole run has all that it looks at."""
        if stage not in WHOLE_RUN:
            return True
        before = self.stages[: self.stages.index(stage)]
        return all(self._is_complete(each) for each in before)

    def _is_ready(self, stage: Stage, shard: int) -> bool:
        """Whether the stages before are done in a shard, as far as this command makes them."""
        before = self.stages[: self.stages.index(stage)]
        return all(self._is_done(each, shard) for each in before)

    def _is_done(self, stage: Stage, shard: int) -> bool:
        if shard not in self._done[stage] and self.run.is_done(stage, shard):
            self._done[stage].add(shard)
        return shard in self._done[stage]

    def _list_open(self, stage: Stage) -> list[int]:
        """The shards of this worker's part in which a stage is not known to be done."""
        shards = self._list_shards()
        if self.part is not None:
            index, count = self.part
            shards = [shard for shard in shards if shard % count == index]
        self._left[stage] = [shard for shard in shards if not self._is_done(stage, shard)]
        self._claimed[stage] = 0
        return self._left[stage]

    def _list_shards(self) -> list[int]:
        """All shards of the run: those of the table that the first stage reads."""
        first = self.stages[0]
        return self.run.table(list_inputs(first)[0]).shards() or self.session.list_unfinished(first)

    def _is_complete(self, stage: Stage) -> bool:
        return all(self._is_done(stage, shard) for shard in self._list_shards())

    def _close(self, stage: Stage) -> None:
        """Note that a stage is done if it is, and nobody has noted it yet."""
        if stage in self._closed or not self._is_complete(stage):
            return
        session, run = self.session, self.run
        with run.claims.hold(name_closing(stage)):
            run.look_again()
            run.refresh()
            if not self._is_noted(stage):
                work = find_work(stage)
                run.check_stage(stage, session.pipeline, work.list_facts(session))
                work.close(session)
                run.set_stage(stage, state="done", counts=count_stage(run, stage))
            # Also when another has closed the stage: it may have died before this, and one that was
            # frozen may have begun a journal since.
            run.delete_spent_journals()
        self._closed.add(stage)
        finish_stage(session, stage, worked=stage in self._worked)

    def _is_noted(self, stage: Stage) -> bool:
        """Whether run.json says that a stage is done, and says it of all that there is.

        Somebody may have found it complete and have been stopped until after this worker, which
        came with more samples or questions, had begun.
        """
        record = self.run.manifest.get_stage(stage)
        if record.state != "done" or stage not in self._worked:
            return record.state == "done"
        fresh = list_entry_files(self.run.root / JOURNAL, stage)
        return not fresh and record.counts == count_stage(self.run, stage)

    def _refuse_bad_input(self, stage: Stage) -> None:
        """End before a stage is paid for if those before it have refused too much already."""
        for each in self.stages[: self.stages.index(stage)]:
            if each not in self._closed:
                refuse_excess(self.run, each, self.session.pipeline.max_reject_ratio)
                if each == "sample":
                    refuse_failed_grading(self.run)

    def _tell_waiting(self) -> None:
        left = [f"{len(self._list_open(stage)):,} of {stage}" for stage in self.stages]
        self.session.progress.tell(f"waiting for shards that others have: {', '.join(left)}")
