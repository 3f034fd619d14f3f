"""Refusals by chance cost no concurrency, those of a limit do: simulated, without a clock."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.engines.openai.overload import OverloadTest
from tests.support.simulated_server import Simulated, simulate

MOST = 64
#: The same ones each time: a bound on chance is broken by some seed in a thousand.
SEEDS = st.integers(0, 10_000)
# A refusal that is known at once, and one that takes as long as an answer.
QUICKNESS = (0.02, 1.0)


@pytest.mark.parametrize("chance", [0.0, 0.001, 0.01, 0.03, 0.05])
@pytest.mark.parametrize("quickness", QUICKNESS)
def test_chance_costs_no_concurrency(chance: float, quickness: float) -> None:
    """Of twelve servers; one in some tens is taken for a limit for a while, which no test of a few
    hundred tries can tell."""
    latency = 0.05
    simulated = Simulated(chance=chance, latency=latency, refusal=quickness * latency)
    # What is refused takes its place for as long as that takes.
    best = MOST / latency / (1 + quickness * chance / (1 - chance))
    rates = [
        simulate(simulated, 2000, MOST, seed).measure_rate(after=4 * latency) / best
        for seed in range(12)
    ]
    assert statistics.mean(rates) >= 0.95
    assert min(rates) >= 0.5


@settings(max_examples=20, derandomize=True)
@given(SEEDS, st.integers(5, 60), st.sampled_from([0.0, 0.01, 0.05]), st.booleans())
def test_a_limit_is_found_and_kept(seed: int, places: int, chance: float, says_so: bool) -> None:
    simulated = Simulated(lambda _: places, chance, says_so=says_so)
    outcome = simulate(simulated, 3000, MOST, seed)
    assert outcome.measure_rate(after=1.0) >= 0.85 * places / simulated.latency
    # The window tries a place more now and then, which are more of few than of many. Where one in
    # twenty is refused anyway, and nobody says why, a limit takes longer to see.
    share = outcome.refused_by_limit / (3000 + outcome.refused_by_limit)
    assert share <= (0.02 if says_so or not chance else 0.08) + 0.6 / places


@settings(max_examples=8, derandomize=True)
@given(SEEDS, st.sampled_from([10, 20, 40]))
def test_refusals_as_slow_as_answers_are_bounded(seed: int, places: int) -> None:
    simulated = Simulated(lambda _: places, latency=0.5, refusal=0.5)
    outcome = simulate(simulated, 3000, MOST, seed)
    assert outcome.measure_rate(after=10.0) >= 0.9 * places / simulated.latency
    assert outcome.refused_by_limit <= 0.45 * 3000


@settings(max_examples=8, derandomize=True)
@given(SEEDS, st.sampled_from([0.0, 0.01, 0.05]))
def test_places_that_are_lost_and_come_back_are_noticed(seed: int, chance: float) -> None:
    """20 places from the fourth second on, 64 before and from the tenth."""
    simulated = Simulated(lambda now: 20 if 4 <= now < 10 else MOST, chance)
    outcome = simulate(simulated, 14_000, MOST, seed)
    mean = {
        name: sum(window for at, window in outcome.windows if start <= at < end)
        / sum(start <= at < end for at, _ in outcome.windows)
        for name, start, end in (("before", 2, 4), ("few", 6, 10), ("after", 12, 14))
    }
    assert mean["before"] >= 50
    assert 15 <= mean["few"] <= 26
    assert mean["after"] >= 40


@settings(max_examples=8, derandomize=True)
@given(SEEDS, st.sampled_from([0.0, 0.05]))
def test_a_server_that_was_away_is_used_again(seed: int, chance: float) -> None:
    simulated = Simulated(lambda now: 0 if 3 <= now < 6 else 1_000_000, chance)
    outcome = simulate(simulated, 10_000, MOST, seed)
    later = [window for at, window in outcome.windows if 12 <= at < 13]
    assert not later or sum(later) / len(later) >= 40


def test_a_first_refusal_above_a_clean_record_is_believed() -> None:
    test = OverloadTest(16)
    assert not any(test.note_try(16, refused=False) for _ in range(500))
    assert test.note_try(17, refused=True)


def test_a_refusal_below_what_was_borne_is_chance() -> None:
    test = OverloadTest(16)
    assert not any(test.note_try(16, refused=number % 20 == 0) for number in range(500))
    assert test.share == pytest.approx(0.05, abs=0.01)
    assert not test.note_try(17, refused=True)


def test_refusals_that_come_together_are_load_at_any_level() -> None:
    test = OverloadTest(16)
    assert not any(test.note_try(16, refused=False) for _ in range(500))
    assert [test.note_try(8, refused=True) for _ in range(8)].index(True) <= 5


def test_the_base_rises_only_as_far_as_was_tried() -> None:
    test = OverloadTest(16)
    for _ in range(200):
        test.note_try(24, refused=False)
    assert test.base == 24
    test.note_load(26, 23.4)
    assert test.base == pytest.approx(24 * 0.98)
    test.note_load(20, 18.0)
    assert test.base == 18
