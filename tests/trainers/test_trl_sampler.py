"""Batches of stored rows: whole groups, none twice, the same in every process."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.trainers.trl_sampler import GroupSampler, Layout

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=20)
layouts = st.builds(
    lambda processes, groups, generations, stored: Layout(
        processes, groups * generations + stored, groups * generations, generations
    ),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(2, 4),
    st.integers(1, 6),
)


def split(rows: list[int], size: int) -> list[list[int]]:
    assert size == 0 or len(rows) % size == 0
    return [rows[start : start + size] for start in range(0, len(rows), size or 1)]


def number_prompts(group_sizes: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(group_sizes)), group_sizes)


@given(sizes, layouts, st.integers(1, 3), st.one_of(st.none(), st.integers(0, 5)))
def test_batches_are_laid_out(
    group_sizes: list[int], layout: Layout, repeats: int, seed: int | None
) -> None:
    prompts = number_prompts(group_sizes)
    sampler = GroupSampler(prompts, layout, repeats, seed)
    drawn = list(sampler)
    assert len(drawn) == len(sampler)
    batches = list(split(drawn, layout.processes * layout.rows))
    assert len(batches) == repeats * (len(prompts) // layout.stored)
    stored: list[int] = []
    for number, batch in enumerate(batches):
        # TRL's loader asks for each batch as often as it updates from it.
        assert batch == batches[number - number % repeats]
        if number % repeats:
            continue
        for piece in split(batch, layout.rows):
            fresh, kept = piece[: layout.fresh], piece[layout.fresh :]
            for group in split(fresh, layout.generations):
                assert len(set(group)) == 1
            stored += kept
    assert len(set(stored)) == len(stored) == len(prompts) // layout.stored * layout.stored
    # The rows of a prompt stand side by side.
    order = [prompt for prompt, _ in groupby(prompts[row] for row in stored)]
    assert len(set(order)) == len(order)


@given(sizes, layouts)
def test_processes_and_epochs(group_sizes: list[int], layout: Layout) -> None:
    """Every process makes a sampler of its own; all must draw the same."""
    prompts = number_prompts(group_sizes)
    one, two = (GroupSampler(prompts, layout, 1, 7) for _ in range(2))
    assert [list(one), list(one)] == [list(two), list(two)]


def test_each_epoch_has_another_order() -> None:
    sampler = GroupSampler(number_prompts([3] * 50), Layout(1, 10, 0, 2), 1, 0)
    first, second = list(sampler), list(sampler)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(150))
    sampler.set_epoch(0)
    assert [list(sampler), list(sampler)] == [first, second]
    unshuffled = GroupSampler(number_prompts([3] * 50), Layout(1, 10, 0, 2), 1, None)
    assert list(unshuffled) == list(range(150))


@pytest.mark.parametrize("share", [2, 4])
def test_fresh_prompts_come_in_turn(share: int) -> None:
    """No prompt is drawn for a second time before all were drawn once."""
    layout = Layout(1, 8, share, 2)
    drawn = list(GroupSampler(number_prompts([2] * 40), layout, 1, 3))
    fresh = [batch[i] // 2 for batch in split(drawn, 8) for i in range(0, share, 2)]
    assert len(set(fresh[:40])) == min(40, len(fresh))
