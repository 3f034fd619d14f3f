"""When processes are worth their start, and what they do first."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dfgen.errors import DfgenError, StorageError
from dfgen.stages.workers import START_SECONDS, Pace, explain_death, open_processes
from tests.support.waiting import wait_until


class Clock:
    """Time that passes when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def measure(pace: Pace, clock: Clock, rows: int, seconds: float) -> None:
    with pace.measure(rows):
        clock.now += seconds


@pytest.mark.parametrize(
    ("seconds_per_row", "left", "most", "workers"),
    [
        (0.001, 0, 8, 1),
        (0.001, 1_000, 8, 1),
        (0.001, 10_000, 2, 2),
        (0.001, 10**7, 8, 8),
        (0.1, 10**4, 1, 1),
    ],
)
def test_workers_by_what_rows_cost(
    seconds_per_row: float, left: int, most: int, workers: int
) -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    measure(pace, clock, 100, 100 * seconds_per_row)
    assert pace.choose_workers(left, most) == workers


@example([(1, 1.0)], 2, 2)
@given(
    st.lists(st.tuples(st.integers(1, 500), st.floats(0, 10)), min_size=1, max_size=20),
    st.integers(0, 10**6),
    st.integers(1, 64),
)
def test_each_share_is_at_least_as_long_as_a_start(
    done: list[tuple[int, float]], left: int, most: int
) -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    for rows, seconds in done:
        measure(pace, clock, rows, seconds)
    workers = pace.choose_workers(left, most)
    assert 1 <= workers <= most
    cost = sum(seconds for _, seconds in done) / sum(rows for rows, _ in done)
    if workers > 1:
        # Just as long is enough; sums in another order differ in their last digits.
        assert cost * left / workers >= START_SECONDS * (1 - 1e-9)
    assert pace.choose_workers(2 * left, most) >= workers, "more rows, no fewer processes"


def test_what_is_loaded_once_is_no_row_s_cost() -> None:
    clock = Clock()
    pace = Pace(warm_up=2, clock=clock)
    for _ in range(2):
        measure(pace, clock, 1, 60.0)
    assert pace.choose_workers(10**6, 8) == 1
    measure(pace, clock, 100, 0.1)
    assert pace.choose_workers(100, 8) == 1
    assert pace.choose_workers(10**6, 8) == 8


def test_nothing_is_measured_nothing_is_started() -> None:
    assert Pace().choose_workers(10**9, 8) == 1


def test_it_is_looked_at_ever_more_seldom() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    looks = []
    for row in range(1, 1_001):
        measure(pace, clock, 1, 0.001)
        if pace.is_time_to_look():
            looks.append(row)
    assert looks == [16, 32, 64, 128, 256, 512]


def test_rows_that_fail_are_not_measured() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    with pytest.raises(ValueError, match="no row"), pace.measure(10):
        clock.now += 100
        raise ValueError("no row")
    assert pace.choose_workers(10**6, 8) == 1


def test_a_pool_that_has_lost_a_worker_ends_the_others() -> None:
    """They do not hear the SIGTERM by which it would, and it waits until they have ended."""
    with open_processes(2, int) as pool:
        waiting = pool.submit(time.sleep, 3600)
        lost = pool.submit(die)
        with suppress(BrokenProcessPool):
            pool.submit(int)  # a pool looks at a process that came last when it has more to do
        with pytest.raises(BrokenProcessPool):
            lost.result(timeout=300)
        with pytest.raises(BrokenProcessPool):
            waiting.result(timeout=300)


def test_a_worker_that_dies_is_explained() -> None:
    with (
        open_processes(1, str) as pool,
        pytest.raises(DfgenError, match="a process that counts has died") as caught,
        explain_death("counts"),
    ):
        pool.submit(die).result()
    assert "same command" in str(caught.value.hint)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_leaves_an_interrupt_to_its_parent() -> None:
    with open_processes(1, str) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN


def test_a_second_stop_waits_for_nothing() -> None:
    with pytest.raises(KeyboardInterrupt), open_processes(1, int) as pool:
        waiting = [pool.submit(time.sleep, 20) for _ in range(3)]
        wait_until(waiting[0].running)
        raise KeyboardInterrupt
    assert isinstance(waiting[0].exception(timeout=300), BrokenProcessPool)


def test_after_an_error_nothing_more_is_begun() -> None:
    with pytest.raises(StorageError), open_processes(1, int) as pool:
        waiting = [pool.submit(time.sleep, 0.2) for _ in range(100)]
        wait_until(waiting[0].running)
        raise StorageError("the disk is full")
    assert waiting[0].done() and waiting[-1].cancelled()
