"""The estimator against a policy whose values are known, and laws that hold for any values."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.stages.value.blame import (
    Blamed,
    Interval,
    bootstrap,
    capture,
    compare_captures,
    find_runs,
    measure_capture,
    measure_density,
    measure_lift,
    measure_mean,
)
from tests.stages.value.chain import Chain

LENGTH = 12
CHAIN = Chain(
    keeps=np.array([1, 1, 0.6, 1, 1, 0.8, 1, 1, 1, 0.95, 1, 1]),
    heals=np.array([0, 0, 0.0, 0, 0.1, 0.0, 0, 0.05, 0, 0.0, 0, 0]),
)


def blame(*rows: tuple[float, int, float, int]) -> Blamed:
    return Blamed(*np.array(rows, dtype=np.float64).T)


masks_and_values = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.floats(0, 1), min_size=n + 1, max_size=n + 1),
    )
)


@given(st.lists(st.booleans(), max_size=40))
def test_runs_are_maximal_and_cover_the_mask(mask: list[bool]) -> None:
    runs = find_runs(mask)
    covered = [start <= i < end for i in range(len(mask)) for start, end in runs]
    assert sum(covered) == sum(mask)
    assert all(all(mask[start:end]) for start, end in runs)
    assert all(b < c for (_, b), (c, _) in pairwise(runs))


@given(masks_and_values)
def test_drops_telescope(case: tuple[list[bool], list[float]]) -> None:
    """Only ends of runs matter, and a mask and the rest together hold all that there is."""
    mask, values = case
    by_place = dict(enumerate(values))
    ends = {place for run in find_runs(mask) for place in run}
    assert capture(mask, {place: by_place[place] for place in ends}) == capture(mask, by_place)
    drops = sum(values[i] - values[i + 1] for i, marked in enumerate(mask) if marked)
    assert capture(mask, by_place) == pytest.approx(drops)
    rest = [not marked for marked in mask]
    total = capture(mask, by_place) + capture(rest, by_place)
    assert total == pytest.approx(values[0] - values[-1])


def test_a_value_that_is_needed_and_not_there_is_no_zero() -> None:
    with pytest.raises(KeyError):
        capture([False, True, False], {0: 1.0, 1: 0.5})


@given(st.lists(st.tuples(st.floats(0.1, 1), st.integers(1, 50)), min_size=2, max_size=20))
def test_all_tokens_hold_all_blame(rows: list[tuple[float, int]]) -> None:
    mask = blame(*[(start, n, start, n) for start, n in rows])
    found = measure_capture(mask)
    assert found.estimate == pytest.approx(1) and found.width == pytest.approx(0)
    assert measure_density(mask) == 1
    assert measure_lift(mask).estimate == pytest.approx(1)


def draw_wrong(n: int, seed: int) -> list[list[bool]]:
    generator = np.random.default_rng(seed)
    found: list[list[bool]] = []
    while len(found) < n:
        states = CHAIN.draw(generator)
        if not states[-1]:
            found.append(states)
    return found


def mark_falls(states: list[bool]) -> list[bool]:
    """The tokens at which the chain fell: what a perfect mask marks."""
    return [before and not after for before, after in zip([True, *states], states, strict=False)]


def mark_all(states: list[bool]) -> list[bool]:
    return [True] * len(states)


def mark_end(states: list[bool]) -> list[bool]:
    return [i > 7 for i in range(len(states))]


def estimate(states: list[bool], draws: int, generator: np.random.Generator) -> dict[int, float]:
    """V after every prefix, from continuations; 0 at the end, where nothing is left to draw."""
    before = [True, *states]
    values = {
        given: sum(CHAIN.draw(generator, given, before[given])[-1] for _ in range(draws)) / draws
        for given in range(len(states))
    }
    return values | {len(states): 0.0}


def collect(
    answers: list[list[bool]],
    values: list[dict[int, float]],
    mark: Callable[[list[bool]], list[bool]],
) -> Blamed:
    masks = [mark(states) for states in answers]
    return blame(
        *[
            (capture(mask, v), sum(mask), v[0], len(mask))
            for mask, v in zip(masks, values, strict=True)
        ]
    )


def test_the_known_values_are_those_of_the_policy() -> None:
    generator = np.random.default_rng(0)
    for place, right in ((0, True), (3, False), (6, True), (9, False)):
        ends = [CHAIN.draw(generator, place, right)[-1] for _ in range(4000)]
        assert np.mean(ends) == pytest.approx(CHAIN.value(place, right), abs=0.03)


def test_estimates_meet_the_truth() -> None:
    """From 16 draws a prefix, as from the closed form; the interval holds the truth."""
    answers, generator = draw_wrong(200, 1), np.random.default_rng(2)
    known = [CHAIN.values_of(states) for states in answers]
    drawn = [estimate(states, 16, generator) for states in answers]
    for mark in (mark_falls, mark_all, mark_end):
        truth = measure_capture(collect(answers, known, mark)).estimate
        found = measure_capture(collect(answers, drawn, mark))
        assert found.low - 1e-9 <= truth <= found.high + 1e-9
        assert found.estimate == pytest.approx(truth, abs=0.06)
    falls, whole = collect(answers, drawn, mark_falls), collect(answers, known, mark_falls)
    assert measure_capture(whole).estimate > 0.9, "falls hold the blame, but for what heals"
    assert measure_lift(falls).low > 5
    assert measure_density(falls) < 0.15


def test_masks_at_equal_count_are_told_apart() -> None:
    answers = draw_wrong(150, 3)
    values = [CHAIN.values_of(states) for states in answers]
    picker = np.random.default_rng(4)

    def pick(states: list[bool]) -> list[bool]:
        mask = np.zeros(len(states), dtype=bool)
        mask[picker.choice(len(states), sum(mark_falls(states)), replace=False)] = True
        return mask.tolist()

    falls, chance = collect(answers, values, mark_falls), collect(answers, values, pick)
    assert measure_density(falls) == measure_density(chance)
    assert compare_captures(falls, chance).low > 0.5
    lift = measure_lift(chance)
    assert lift.low < 1 < lift.high
    swapped = compare_captures(chance, falls)
    assert swapped.estimate == pytest.approx(-compare_captures(falls, chance).estimate)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """95 of 100 samples of 60 answers, against the capture over 4,000."""
    many = draw_wrong(4000, 5)
    values = [CHAIN.values_of(states) for states in many]

    def half(states: list[bool]) -> list[bool]:
        return [fall and i < 5 for i, fall in enumerate(mark_falls(states))]

    everything = collect(many, values, half)
    truth = measure_capture(everything).estimate
    held = 0
    for start in range(0, 4000, 40):
        found = measure_capture(everything.select(np.arange(start, start + 40)), seed=start)
        held += found.low <= truth <= found.high
    assert 88 <= held <= 100


@settings(max_examples=30)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=50), st.integers(0, 5))
def test_an_interval_holds_its_estimate_and_comes_out_the_same(
    values: list[float], seed: int
) -> None:
    found = measure_mean(np.array(values), seed)
    assert found == measure_mean(np.array(values), seed)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found.estimate == pytest.approx(np.mean(values))


def test_answers_to_one_prompt_are_drawn_again_together() -> None:
    """Eight answers of a prompt that fare alike are no eight pieces of evidence."""
    generator = np.random.default_rng(8)
    prompts = np.repeat(np.arange(40), 8)
    values = generator.normal(size=40)[prompts]
    alone, together = measure_mean(values), measure_mean(values, 0, prompts)
    assert together.estimate == pytest.approx(alone.estimate)
    assert together.width / alone.width == pytest.approx(8**0.5, rel=0.15)
    each = np.arange(len(values))
    assert measure_mean(values, 0, each) == alone
    shuffled = generator.permutation(len(values))
    again = measure_mean(values[shuffled], 0, prompts[shuffled])
    assert (again.low, again.high) == pytest.approx((together.low, together.high))


def test_one_prompt_says_nothing_about_others() -> None:
    """Drawn again it is always itself: an interval without width, which would be a lie."""
    alone = measure_mean(np.array([0.25]))
    assert alone.estimate == 0.25 and math.isnan(alone.low) and math.isnan(alone.high)
    group = measure_mean(np.array([0.0, 0.5, 1.0]), 0, np.zeros(3, np.int64))
    assert group.estimate == 0.5 and math.isnan(group.width)
    assert not group.width <= 9, "not narrow enough for anybody"


def test_nothing_to_measure_is_no_number() -> None:
    empty = bootstrap([np.array([])], lambda a: a)
    assert math.isnan(empty.estimate) and math.isnan(empty.low)
    nothing = measure_capture(blame((0.0, 1, 0.0, 5)))
    assert math.isnan(nothing.estimate), "no success was there to lose"
    assert Interval(0.5, 0.25, 1.0).width == 0.75


def test_masks_of_other_answers_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same trajectories"):
        compare_captures(blame((0.5, 1, 1.0, 5)), blame((0.5, 1, 0.75, 5)))
