from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfgen.config.grade import GradeConfig
from dfgen.errors import ConfigError, DfgenError
from dfgen.grade import GradeItem, GradePool
from dfgen.grade.worker_handle import WorkerHandle
from tests.support.waiting import wait_until

BAD = "tests.grade.bad_graders:misbehave"
# Long enough for a good grader on a busy machine: what is right must not be late.
CONFIG = GradeConfig(timeout_s=3.0)


def make(completion: str, answer_type: str = BAD) -> GradeItem:
    return GradeItem(completion, "fine", answer_type)


@pytest.fixture(scope="module")
def pool() -> Iterator[GradePool]:
    with GradePool(CONFIG, workers=2) as made:
        yield made


@pytest.mark.parametrize("doing", ["sleep", "burn"])
def test_a_hang_is_bounded_and_the_pool_goes_on(pool: GradePool, doing: str) -> None:
    late, next_one = pool.grade_many([make(doing), make("fine")])
    assert not late.correct
    assert late.reward == 0.0
    # Of a sleep of an hour and of a burn without end nothing else can be said.
    assert late.detail == "timed out after 3 s"
    assert late.extracted == doing
    assert next_one.correct


@pytest.mark.parametrize(
    ("doing", "detail"),
    [
        ("abort", "the grading process died by SIGABRT"),
        ("exit", "the grading process ended with exit status 3"),
        ("raise", "ValueError: no grade today"),
        ("memory", "MemoryError:"),
    ],
)
def test_a_crash_is_a_wrong_verdict_and_the_pool_goes_on(
    pool: GradePool, doing: str, detail: str
) -> None:
    crashed, next_one = pool.grade_many([make(doing), make("fine")])
    assert (crashed.correct, crashed.detail) == (False, detail)
    assert next_one.correct


def test_verdicts_come_in_order_whatever_is_slow(pool: GradePool) -> None:
    items = [
        make("sleep"),
        make("fine"),
        GradeItem("The answer is 4.", "4"),
        make("abort"),
        GradeItem(r"\boxed{\sqrt{16}}", "4"),
        make("wrong"),
        GradeItem("The answer is 5.", "4"),
    ]
    verdicts = list(pool.grade_many(iter(items)))
    assert [verdict.correct for verdict in verdicts] == [
        False,
        True,
        True,
        False,
        True,
        False,
        False,
    ]
    assert verdicts[1].reward == 1.0


def test_partial_reward_and_wrong_results_of_users_graders(pool: GradePool) -> None:
    none = pool.grade_one(make("x", "tests.grade.bad_graders:return_none"))
    assert "returned NoneType" in none.detail
    high = pool.grade_one(make("x", "tests.grade.bad_graders:reward_too_much"))
    assert (high.correct, high.reward) == (False, 0.0)
    assert "reward 7.0" in high.detail


def test_grade_one_inside_grade_many(pool: GradePool) -> None:
    seen = []
    for verdict in pool.grade_many([make("fine"), make("wrong"), make("fine")]):
        seen.append(verdict.correct)
        assert pool.grade_one(make("fine")).correct
    assert seen == [True, False, True]


def test_closing_a_half_read_stream_ends_its_work(pool: GradePool) -> None:
    stream = pool.grade_many([make("fine"), make("sleep"), make("sleep")])
    assert next(stream).correct
    stream.close()  # type: ignore[attr-defined]
    assert pool.grade_one(make("fine")).correct


def test_algebra_that_explodes_is_bounded() -> None:
    with GradePool(CONFIG) as pool:
        bomb = GradeItem(r"\boxed{9^{9^{9^{9}}}}", r"\sqrt{36}", "math")
        late, fine = pool.grade_many([bomb, GradeItem(r"\boxed{2\sqrt{9}}", r"\sqrt{36}", "math")])
    assert not late.correct
    assert late.extracted == "9^{9^{9^{9}}}"
    assert fine.correct


def test_cheap_graders_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(WorkerHandle, "__init__", refuse)
    items = [
        GradeItem("Answer: 3,5 cm", "3.5"),
        GradeItem("so (B) is right", "B", "auto", ("a cat", "a dog")),
        GradeItem("It is a dog.", "dog", "text"),
        GradeItem(r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", "math"),
        GradeItem("no idea", "17"),
    ]
    with GradePool(GradeConfig()) as pool:
        found = [verdict.correct for verdict in pool.grade_many(items)]
    assert found == [True, True, True, True, False]


def test_workers_are_recycled() -> None:
    with GradePool(GradeConfig(recycle_after=1)) as pool:
        assert [verdict.correct for verdict in pool.grade_many([make("fine")] * 3)] == [True] * 3


def test_a_worker_that_died_while_idle_is_replaced() -> None:
    with GradePool(CONFIG) as pool:
        assert pool.grade_one(make("fine")).correct
        pool._idle[0]._process.kill()
        pool._idle[0]._process.wait()
        assert pool.grade_one(make("fine")).correct


def test_unknown_graders_are_errors_of_the_run() -> None:
    with pytest.raises(ConfigError, match="no grader named 'mth'"):
        GradePool(GradeConfig(grader="mth"))
    with GradePool(GradeConfig()) as pool, pytest.raises(ConfigError, match="Did you mean 'math'"):
        pool.grade_one(make("x", "maths"))


def test_a_worker_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfgen.grade.worker_handle._BOOT", "raise SystemExit(1)")
    with GradePool(GradeConfig()) as pool, pytest.raises(DfgenError, match="cannot be started"):
        pool.grade_one(make("fine"))


def test_a_hanging_worker_ends_by_itself_when_its_pool_is_killed() -> None:
    script = (
        "from dfgen.config.grade import GradeConfig\n"
        "from dfgen.grade import GradeItem, GradePool\n"
        "pool = GradePool(GradeConfig(timeout_s=0.5))\n"
        f"assert pool.grade_one(GradeItem('fine', 'fine', '{BAD}')).correct\n"
        "worker = pool._idle[0]\n"
        f"worker.assign(GradeItem('burn', 'fine', '{BAD}'))\n"
        "print(worker._process.pid, flush=True)\n"
        "import os\n"
        "os._exit(0)\n"
    )
    # From standard input: there is no main module that a worker could run again.
    done = subprocess.run(
        [sys.executable], input=script, capture_output=True, text=True, check=True, timeout=300
    )
    pid = int(done.stdout)
    wait_until(lambda: is_dead(pid))


def is_dead(pid: int) -> bool:
    """Whether a process is gone, or dead where in a container nobody is left to collect it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"
