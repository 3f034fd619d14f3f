"""Requests of the sample stage: one per wanted cell, each with its own seed."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.sample import SampleConfig
from dfgen.engines.base import derive_seed
from dfgen.records import make_trajectory_id
from dfgen.stages.sample.draws import make_requests, order_for_batches
from tests.store.examples import make_prompt


def make_prompts(count: int) -> list:
    prompts = [make_prompt(hashlib.sha256(b"%d" % i).hexdigest()[:32]) for i in range(count)]
    return [prompt.model_copy(update={"images": prompt.images[:1]}) for prompt in prompts]


@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 7))))
def test_exactly_the_wanted_cells_are_asked_for(cells: set[tuple[int, int]]) -> None:
    prompts = make_prompts(5)
    wanted = {make_trajectory_id(prompts[p].prompt_id, i) for p, i in cells}
    requests = list(make_requests(prompts, SampleConfig(num_samples=8), 0, wanted))
    assert sorted(request.key for request in requests) == sorted(wanted)


def test_the_cells_of_a_prompt_follow_one_another_with_one_chat() -> None:
    """So that engines prepare it once."""
    prompts = make_prompts(3)
    wanted = {make_trajectory_id(prompt.prompt_id, i) for prompt in prompts for i in range(4)}
    requests = list(make_requests(prompts, SampleConfig(num_samples=4), 0, wanted))
    for first in range(0, 12, 4):
        group = requests[first : first + 4]
        assert len({id(request.messages) for request in group}) == 1


def test_seeds_belong_to_cells_not_to_positions() -> None:
    prompts = make_prompts(3)
    wanted = {make_trajectory_id(prompt.prompt_id, i) for prompt in prompts for i in range(4)}
    config = SampleConfig(num_samples=4)
    seeds = {r.key: r.seed for r in make_requests(prompts, config, 7, wanted)}
    assert len(set(seeds.values())) == 12
    assert all(0 <= seed < 2**63 for seed in seeds.values())
    assert seeds[f"{prompts[1].prompt_id}-2"] == derive_seed(7, prompts[1].prompt_id, 2)
    again = {r.key: r.seed for r in make_requests(prompts[::-1], config, 7, wanted)}
    assert again == seeds


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_the_order_does_not_depend_on_how_prompts_came(turn: int) -> None:
    prompts = make_prompts(6)
    assert order_for_batches(prompts[turn:] + prompts[:turn]) == order_for_batches(prompts)
