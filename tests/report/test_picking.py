from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dfgen.report.picking import SHARES, pick_trajectories, share_out, spread
from dfgen.store.finished import open_finished

COUNTS = st.fixed_dictionaries({name: st.integers(0, 500) for name in SHARES})


@given(COUNTS, st.integers(1, 400))
def test_the_limit_is_used_up_and_never_exceeded(available: dict[str, int], limit: int) -> None:
    sizes = share_out(available, limit)
    assert sum(sizes.values()) == min(limit, sum(available.values()))
    assert all(0 <= sizes[name] <= available[name] for name in available)


@given(st.integers(1, 300), st.data())
def test_spread_is_even_and_without_doubles(size: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, size))
    picked = [int(name) for name in spread([str(number) for number in range(size)], count)]
    assert len(picked) == len(set(picked)) == count
    gaps = {later - earlier for earlier, later in pairwise(picked)}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_a_run_gives_the_same_choice_again(sample_run) -> None:
    run = open_finished(sample_run).run
    assert pick_trajectories(run, 10) == pick_trajectories(run, 10)
    assert len(pick_trajectories(run, 10)) == 10
    assert len(pick_trajectories(run, 10_000)) == 14 * 4
