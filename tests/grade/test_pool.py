from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from dfgen.config.grade import GradeConfig
from dfgen.errors import ConfigError, DfgenError
from dfgen.grade import GradeItem, GradePool
from dfgen.grade.worker_handle import WorkerHandle

BAD = "tests.grade.bad_graders:misbehave"
CONFIG = GradeConfig(timeout_s=0.6)


def make(completion: str, answer_type: str = BAD) -> GradeItem:
    return GradeItem(completion, "fine", answer_type)


@pytest.fixture(scope="module")
def pool() -> Iterator[GradePool]:
    with GradePool(CONFIG, workers=2) as made:
        made.grade_one(make("fine"))  # the first worker is up, so the bounds below are of grading
        yield made


@pytest.mark.parametrize("doing", ["sleep", "burn"])
def test_a_hang_is_bounded_and_the_pool_goes_on(pool: GradePool, doing: str) -> None:
    start = time.monotonic()
    late, next_one = pool.grade_many([make(doing), make("fine")])
    assert not late.correct
    assert late.reward == 0.0
    assert late.detail == "timed out after 0.6 s"
    assert late.extracted == doing
    assert next_one.correct
    assert time.monotonic() - start < 60  # and not 3600


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
    with GradePool(GradeConfig(timeout_s=1.0)) as pool:
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
        [sys.executable], input=script, capture_output=True, text=True, check=True, timeout=120
    )
    pid = int(done.stdout)
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123
            if stat.read().rpartition(")")[2].split()[0] == "Z":
                return  # dead; in a container nobody may be left to collect it
        time.sleep(0.05)
    raise AssertionError("the orphaned worker still burns")
