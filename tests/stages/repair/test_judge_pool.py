"""Judging in other processes: the same outcomes, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from dfgen.config.engine import Price
from dfgen.engines.base import Result
from dfgen.errors import DfgenError
from dfgen.grade.pool import GradePool
from dfgen.records import Prompt, Trajectory
from dfgen.stages.repair.judge import Answers, Judge, Outcome, Pending
from dfgen.stages.repair.judge_pool import (
    GrowingJudges,
    JudgePool,
    JudgeSetup,
    open_judges,
)
from dfgen.stages.repair.requests import Task
from dfgen.stages.sample.draws import make_answer_key
from dfgen.stages.session import Session
from dfgen.store.finished import open_finished
from tests.support.sample_run import make_run
from tests.support.waiting import wait_until

PRICE = Price(prompt=1.0, completion=2.0)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A finished run, whose repairs serve as answers."""
    root = tmp_path_factory.mktemp("judging") / "run"
    return open_finished(make_run(root, prompts=6, samples=4))


@pytest.fixture(scope="module")
def answers(session: Session) -> list[Answers]:
    """The repair of every trajectory, or its own text, as the repairer's answer; three by three."""
    run = session.run
    rows = run.table("prompts").iter_rows()
    prompts = {row["prompt_id"]: Prompt.model_validate(row) for row in rows}
    repairs = {row["trajectory_id"]: row["repair"] for row in run.table("repairs").iter_rows()}
    found = []
    for row in run.table("trajectories").iter_rows():
        trajectory = Trajectory.model_validate(row)
        text = repairs.get(trajectory.trajectory_id, trajectory.completion)
        task = Task(trajectory, prompts[trajectory.prompt_id])
        key = make_answer_key(task.prompt)
        waiting = Pending(trajectory, key, task.purpose, 0, task.place, 7)
        found.append((Result(trajectory.trajectory_id, text, None, None, "stop"), waiting))
    return [found[first : first + 3] for first in range(0, len(found), 3)]


@pytest.fixture
def judge(session: Session) -> Iterator[Judge]:
    with GradePool(session.pipeline.grade) as pool:
        pipeline = session.pipeline
        yield Judge(pipeline.repair, session.tokenizer, pool, pipeline.mask, PRICE, "m")


def make_setup(session: Session) -> JudgeSetup:
    return JudgeSetup(session.pipeline, session.tokenizer, PRICE, "m")


def test_processes_judge_like_the_one_that_asks(
    session: Session, answers: list[Answers], judge: Judge
) -> None:
    here = join(judge.judge_all(answers))
    reasons = {outcome.attempt.reason for outcome in here}
    assert {"accepted", "unchanged"} <= reasons
    with JudgePool(make_setup(session), 2, judge) as pool:
        # So many that both do some of the work.
        there = join(pool.judge_all(answers * 40))
    assert sorted(there, key=repr) == sorted(here * 40, key=repr)


def join(outcomes: Iterable[list[Outcome]]) -> list[Outcome]:
    return [outcome for batch in outcomes for outcome in batch]


def test_the_caller_judges_what_is_too_much_for_the_processes(
    session: Session, answers: list[Answers], judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what comes before they are up; no answer waits for them while the caller could work."""
    here: list[str] = []
    original = judge.judge

    def count(result: Result, waiting: Pending) -> Outcome:
        here.append(result.key)
        return original(result, waiting)

    monkeypatch.setattr(judge, "judge", count)
    many = answers * 40
    with JudgePool(make_setup(session), 1, judge) as pool:
        total = len(join(pool.judge_all(many)))
    assert total == sum(map(len, many))
    assert 0 < len(here) < total - 64, "both have judged"


def test_slow_judges_do_not_keep_an_engine_from_its_server(
    session: Session, answers: list[Answers], judge: Judge
) -> None:
    """An engine with no answer ready must get to its server, whatever the judges are doing."""
    asked = []

    def stream() -> Iterator[Answers]:
        for batch in (answers[0], [], answers[1], []):
            asked.append(len(batch))
            yield batch
        os.kill(worker, signal.SIGCONT)

    with JudgePool(make_setup(session), 1, judge) as pool:
        assert join(pool.judge_all(answers[:1]))
        [worker] = list_children(os.getpid())
        os.kill(worker, signal.SIGSTOP)
        try:
            total = len(join(pool.judge_all(stream())))
        finally:
            os.kill(worker, signal.SIGCONT)
    assert total == sum(asked) == len(answers[0]) + len(answers[1])


def test_a_judge_that_dies_ends_the_run_with_a_way_on(
    session: Session, answers: list[Answers], judge: Judge
) -> None:
    with JudgePool(make_setup(session), 1, judge) as pool:
        assert len(join(pool.judge_all(answers[:1]))) == len(answers[0])
        [worker] = list_children(os.getpid())
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(DfgenError, match="has died") as caught:
            join(pool.judge_all(answers))
    assert "same command" in str(caught.value.hint)


def test_a_number_of_workers_is_what_is_used(session: Session, judge: Judge) -> None:
    for workers, kind in ((1, Judge), (2, JudgePool)):
        pipeline = session.pipeline.model_copy(update={"workers": workers})
        with open_judges(Session(session.run, pipeline), judge, lambda: 10**9) as judges:
            assert type(judges) is kind


@pytest.mark.parametrize(
    ("cost", "left", "grows"),
    [
        (0.001, 1_000, False),
        (0.001, 20_000, True),
        # Few answers that are long are worth as much as many that are short.
        (0.2, 100, True),
        (0.2, 5, False),
        (0.0, 10**9, False),
    ],
)
def test_processes_start_when_what_is_left_takes_longer_than_they_do(
    session: Session,
    answers: list[Answers],
    judge: Judge,
    monkeypatch: pytest.MonkeyPatch,
    cost: float,
    left: int,
    grows: bool,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    clock = Clock()
    original = judge.judge

    def take_time(result: Result, waiting: Pending) -> Outcome:
        clock.now += cost
        return original(result, waiting)

    many = answers * 5
    here = join(judge.judge_all(many))
    monkeypatch.setattr(judge, "judge", take_time)
    with open_judges(session, judge, lambda: left, clock) as judges:
        assert isinstance(judges, GrowingJudges)
        first = join(judges.judge_all(many[:2]))
        assert judges.pool is None, "nothing is concluded from a few"
        # A round ends and another begins: what was measured is not forgotten.
        outcomes = first + join(judges.judge_all(many[2:]))
        assert (judges.pool is not None) is grows
    assert sorted(outcomes, key=repr) == sorted(here, key=repr)


def test_one_core_has_one_judge(
    session: Session, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with open_judges(session, judge, lambda: 10**9) as judges:
        assert judges is judge


class Clock:
    """Time that passes when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nobody_outlives_a_parent_that_was_killed(session: Session, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from dfgen.config.engine import Price\n"
        "from dfgen.stages.repair.judge_pool import JudgePool, JudgeSetup\n"
        "from dfgen.store.finished import open_finished\n"
        "if __name__ == '__main__':\n"
        "    session = open_finished(Path(sys.argv[1]))\n"
        "    setup = JudgeSetup(session.pipeline, session.tokenizer, Price(), 'm')\n"
        "    with JudgePool(setup, 1, None) as pool:\n"
        "        pool._pool.submit(print, 'up', flush=True).result()\n"
        "        time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, str(script), str(session.run.root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    children = list_children(parent.pid)
    assert children
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(is_running(child) for child in children))
    parent.stdout.close()


def list_children(pid: int) -> list[int]:
    """Processes of multiprocessing that a process has started, its helpers left out."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"spawn_main" in command:
                found.append(int(child))
    return found


def is_running(pid: int) -> bool:
    """Whether a process exists and is not just waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
