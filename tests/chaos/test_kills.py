"""Three workers on one run, killed or frozen at random moments of all stages, and replaced.

`make chaos` kills 50 times, `make chaos KILLS=500` so often; without it are 10 kills. Runs begin
anew until there were enough. Each ends with the same bytes as one that nobody disturbed, and of the
models nothing is asked twice but what was in flight.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dfgen.store.shared.crew import Member
from tests.support.forking import Forked
from tests.support.scripted_worker import TOGETHER
from tests.support.shared_runs import SharedRuns, assert_same, finish

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "10"))
SEED = int(os.environ.get("SEED", "0"))
WORKERS = 3
LEASE_S = 5.0
STAGES = ("sample", "repair", "score", "value", "mask")
ANYWHERE = "anywhere"
"""Also between two shards, while the source is read, while a stage is closed."""
GIVEN_UP = "others have taken over its shards"


@dataclass
class Storm:
    """What happens to the workers of one run after the other.

    Kills are spread over the stages: the next waits for a worker in a stage with few so far.
    """

    runs: SharedRuns
    random: random.Random
    left: int
    killed: Counter[str] = field(default_factory=Counter)
    frozen: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    workers: list[Forked] = field(default_factory=list)
    asleep: list[Forked] = field(default_factory=list)
    wanted: str = ANYWHERE

    @property
    def disturbed(self) -> int:
        """How often a worker lost what it had in hand."""
        return self.killed.total() + self.frozen.total() + self.given_up

    def pass_over_run(self) -> None:
        """Disturb one run until it is finished."""
        while True:
            self._replace_workers()
            if self._is_finished():
                break
            if self.left:
                self._strike()
            time.sleep(self.random.random() * 0.05)
        for worker in self.asleep:
            worker.send_signal(signal.SIGCONT)
        for worker in (*self.workers, *self.asleep):
            self._part_from(worker)
        self.workers, self.asleep = [], []
        finish(self.runs.start())  # who comes last clears up after those who died last

    def _replace_workers(self) -> None:
        for worker in list(self.workers):
            if worker.poll() not in (None, 0):
                self.workers.remove(worker)
                self._part_from(worker)
        while len(self.workers) < WORKERS and not self._is_finished():
            self.workers.append(self.runs.start(pause="0.02", step="0.01"))

    def _part_from(self, worker: Forked) -> None:
        """Wait for the end of one who may have been given up: frozen, or out of turn for long."""
        said, _ = worker.communicate(timeout=300)
        if worker.returncode == 1 and GIVEN_UP in said:
            self.given_up += worker not in self.asleep
        else:
            assert worker.returncode == 0, said

    def _is_finished(self) -> bool:
        return any(worker.poll() == 0 for worker in self.workers)

    def _strike(self) -> None:
        """Kill, or freeze, a worker that has something of the wanted stage in hand."""
        worker = self.random.choice(self.workers)
        member = self.runs.find_worker(worker)
        if member is None or self.wanted not in (self._find_stage(member), ANYWHERE):
            return
        time.sleep(self.random.random() * 0.1)
        # It is looked at again while it stands still, so that it is known where it was hit.
        worker.send_signal(signal.SIGSTOP)
        stage = self._find_stage(member)
        if worker.poll() is not None or self.wanted not in (stage, ANYWHERE):
            worker.send_signal(signal.SIGCONT)
            return
        self.workers.remove(worker)
        if self.random.random() < 0.2:
            self.asleep.append(worker)
            self.frozen[stage] += 1
            return
        worker.kill()
        worker.communicate(timeout=300)
        self.killed[stage] += 1
        self.left -= 1
        fewest = min(self.killed[each] for each in STAGES)
        least = [each for each in STAGES if self.killed[each] == fewest]
        self.wanted = ANYWHERE if self.random.random() < 0.1 else self.random.choice(least)

    def _find_stage(self, member: Member) -> str:
        """The stage of which a worker has shards; `between` if it has none."""
        claims = self.runs.list_claims()
        stages = [c.shard[0] for c in claims if c.token == member.token and c.shard is not None]
        return stages[0] if stages else "between"


def test_nothing_is_lost_or_paid_twice(tmp_path: Path) -> None:
    sections = {
        "prompts": {"shard_size": 1},
        "sample": {"num_samples": 6},
        "score": {"enabled": True},
        "value": {"enabled": True, "draws": 2},
    }
    runs = SharedRuns(tmp_path, sections, lease_s=LEASE_S)
    calm = runs.make_calm()
    storm, number = Storm(runs, random.Random(SEED), KILLS), 0
    while storm.left:
        number += 1
        runs.name = f"run-{number}"
        asked, disturbed = runs.count_asked(), storm.disturbed
        storm.pass_over_run()
        assert_same(runs.root, calm)
        disturbed = storm.disturbed - disturbed
        repeated = (runs.count_asked() - asked - runs.needed).total()
        assert repeated <= TOGETHER * disturbed, f"{repeated} asked again after {disturbed}"
    print(
        f"{KILLS} kills over {number} runs: {dict(storm.killed)}; frozen: {dict(storm.frozen)}; "
        f"given up by others because they were slow: {storm.given_up}"
    )
    hit = [stage for stage in STAGES if storm.killed[stage]]
    assert len(hit) >= min(KILLS, 3), hit
