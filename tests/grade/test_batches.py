"""Grading outside the calling process gives the verdicts of `grade_many`, whatever happens."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from dfgen.config.grade import GradeConfig
from dfgen.errors import ConfigError
from dfgen.grade import GradeItem, GradePool

ITEMS = [
    GradeItem("The answer is 4.", "4"),
    GradeItem("So it is (B).", "B", "choice", ("red", "blue")),
    GradeItem(r"\boxed{\frac{8}{2}+\sqrt{0}}", r"$\sqrt{16}$"),
    GradeItem("fine", "fine", "tests.grade.bad_graders:misbehave"),
    GradeItem("Answer: 3,5 km", "3.5 km"),
    GradeItem("", "Paris"),
    GradeItem("\ud83d half a pair, Answer: 7", "7"),
]


@pytest.fixture
def pool() -> Iterator[GradePool]:
    with GradePool(GradeConfig(timeout_s=20)) as made:
        yield made


def find_process(pool: GradePool) -> int:
    worker = pool._batches._worker
    assert worker is not None
    return int(worker._process.pid)


def test_the_verdicts_are_those_of_grade_many(pool: GradePool) -> None:
    assert pool.grade_batch(ITEMS) == list(pool.grade_many(ITEMS))
    assert pool.grade_batch([]) == []


def test_the_process_stands_back_and_serves_again(pool: GradePool) -> None:
    pool.grade_batch(ITEMS[:2])
    first = find_process(pool)
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, first) > mine or mine == 19
    pool.grade_batch(ITEMS[:2])
    assert find_process(pool) == first


def test_a_process_that_dies_changes_no_verdict(pool: GradePool) -> None:
    expected = list(pool.grade_many(ITEMS))
    pool.grade_batch(ITEMS[:1])
    os.kill(find_process(pool), signal.SIGKILL)
    with pytest.warns(RuntimeWarning, match="has died"):
        assert pool.grade_batch(ITEMS) == expected
    assert pool.grade_batch(ITEMS) == expected


def test_an_unknown_grader_is_named_before_anything_starts(pool: GradePool) -> None:
    with pytest.raises(ConfigError, match="no grader named 'nummeric'"):
        pool.grade_batch([GradeItem("4", "4", "nummeric")])
    assert pool._batches._worker is None


def test_users_graders_need_no_such_process(pool: GradePool) -> None:
    (verdict,) = pool.grade_batch([ITEMS[3]])
    assert verdict.correct and pool._batches._worker is None


def test_closing_ends_the_process() -> None:
    with GradePool(GradeConfig()) as pool:
        pool.grade_batch(ITEMS[:1])
        process = find_process(pool)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
