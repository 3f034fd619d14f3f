"""Lists the runs of the study in the order in which they are done; the README says why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.study.arms import ARMS, EXPLORED_ARMS, MAIN_ARMS
from tests.benchmarks.study.arms.explored import EXPLORED
from tests.benchmarks.study.settings import REGIMES, Settings
from tests.benchmarks.study.tasks import TASKS

RATES = Path(__file__).parent / "rates.json"
"""Learning rate by task and family, as `tune` chose them."""

SEEDS = (1, 2, 3, 4, 5)
TUNE_SEEDS = (101, 102)
EXPLORE_SEEDS = (6, 7, 8)
EXPLORE_QUESTIONS = 600
#: The first rate is tried for every arm, then the next one.
TUNE_GRID = (1e-4, 3e-5, 3e-4)
#: Tried with every seed for an arm whose best rate of the grid is at that edge of it.
WIDER_RATES = {max(TUNE_GRID): 1e-3, min(TUNE_GRID): 1e-5}
TUNE_START = "30"
TUNE_QUESTIONS = 300
STARTS = ("10", "30", "55")
LOWER_STARTS = STARTS[:2]
"""Where right answers are rare: what the study asks first."""
#: One arm of each family that is tuned; the others take their family's rate.
TUNED_ARMS = ("sft", "right-only", "df+new", "df", "grpo", "grpo+whole")

WITHOUT_REPAIRS = ("grpo", "right-only")
"""Main arms that ask for no repair, and may spend what those cost on more answers."""

Job = tuple[Settings, int]


def make_settings(task: str, start: str, regime: str, arm: str, rate: float) -> Settings:
    """Return the settings of a cell with the perfect repairer."""
    return Settings(task, start, regime, arm, rate, **REGIMES[regime])


def read_rates(path: Path = RATES) -> dict[str, float]:
    """Return learning rates by `TASK/FAMILY`; empty where nothing was tuned yet."""
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def find_rate(rates: dict[str, float], task: str, arm: str) -> float | None:
    """Return the rate of an arm. A family that was not tuned takes that of its nearest kin."""
    family = ARMS[arm].family
    kin = {"df+new, ratio": "df+new", "df+whole": "df+new"}
    return rates.get(f"{task}/{family}", rates.get(f"{task}/{kin.get(family, family)}"))


def list_tuning(task: str) -> Iterator[Job]:
    """Yield the runs that choose learning rates: seeds and questions that no other run uses."""
    starts = find_starts(task)
    start = TUNE_START if TUNE_START in starts else starts[-1]
    for seed in TUNE_SEEDS:
        for rate in TUNE_GRID:
            for arm in TUNED_ARMS:
                settings = make_settings(task, start, "rounds", arm, rate)
                yield settings.change(purpose="tune", test_questions=TUNE_QUESTIONS), seed


def list_wider_tuning(task: str, chosen: dict[str, float]) -> Iterator[Job]:
    """Yield runs beyond the grid for the arms whose chosen rate is at an edge of it."""
    for settings, seed in list_tuning(task):
        rate = settings.rate
        if rate in WIDER_RATES and chosen.get(f"{task}/{settings.arm}") == rate:
            yield settings.change(rate=WIDER_RATES[rate]), seed


def is_current(row: dict[str, Any], rates: dict[str, float]) -> bool:
    """Say whether a row was made with the rate that its arm has now.

    Rows of rates that were given up stay in results.parquet; tables and plots leave them out.
    """
    return row["arm"] == "start" or row["rate"] == find_rate(rates, row["task"], row["arm"])


def list_cell(
    task: str,
    start: str,
    regime: str,
    arms: tuple[str, ...],
    seeds: tuple[int, ...],
) -> Iterator[Job]:
    """Yield the runs of some arms, seed by seed, so that arms can be compared early."""
    rates = read_rates()
    for seed in seeds:
        for arm in arms:
            rate = find_rate(rates, task, arm)
            if rate is not None:
                yield make_settings(task, start, regime, arm, rate), seed


def list_study() -> Iterator[Job]:
    """Yield every run that is planned, most wanted first; a run may be listed twice."""
    yield from list_first()
    for task in TASKS:
        for start in find_starts(task):
            yield from list_cell(task, start, "offline", MAIN_ARMS, SEEDS)
    yield from list_repairer("steps", "10", "learned")
    for repairer, verified in (("fallible", True), ("rewriter", True), ("fallible", False)):
        for start in find_starts("chains"):
            yield from list_repairer("chains", start, repairer, verified)
    for start in find_starts("steps"):
        yield from list_repairer("steps", start, "learned")
    yield from list_compute()
    for task in TASKS:
        for start in find_starts(task):
            yield from list_cell(task, start, "rounds", list_other_arms(), SEEDS[:3])


def list_first() -> Iterator[Job]:
    """Yield what answers the study's question first, in the order that the README gives."""
    for task in TASKS:
        for start in find_starts(task):
            # The model as it is: nothing is trained.
            yield make_settings(task, start, "rounds", "start", 0.0).change(rounds=0), 0
    for start in find_starts("chains"):
        yield from list_cell("chains", start, "rounds", MAIN_ARMS, SEEDS)
    for seeds in (SEEDS[:3], SEEDS[3:]):
        for start in LOWER_STARTS:
            yield from list_cell("steps", start, "rounds", MAIN_ARMS, seeds)
    yield from list_cell("steps", "55", "rounds", MAIN_ARMS, SEEDS)
    yield from list_repairer("chains", "10", "fallible")
    yield from list_more_questions(2, LOWER_STARTS, SEEDS[:3])
    for task in TASKS:
        for start in LOWER_STARTS:
            yield from list_cell(task, start, "offline", MAIN_ARMS, SEEDS)
    for repairer, verified in (("rewriter", True), ("fallible", False)):
        yield from list_repairer("chains", "10", repairer, verified)
    yield from list_more_questions(10, LOWER_STARTS[:1], SEEDS[:2])
    yield from list_cell("chains", "10", "rounds", list_other_arms(), SEEDS[:3])
    for task in TASKS:
        for start in LOWER_STARTS:
            yield from list_cell(task, start, "rounds", ("grpo+whole",), SEEDS)


def list_other_arms() -> tuple[str, ...]:
    """List the arms of the plan that are none of the main ones."""
    later = [arm.name for arm in EXPLORED]
    return tuple(name for name in ARMS if name not in (*MAIN_ARMS, *later, "start"))


def list_repairer(task: str, start: str, repairer: str, verified: bool = True) -> Iterator[Job]:
    """Yield the main arms that need repairs, with another repairer."""
    arms = tuple(name for name in MAIN_ARMS if name not in WITHOUT_REPAIRS)
    for settings, seed in list_cell(task, start, "rounds", arms, SEEDS):
        yield settings.change(repairer=repairer, verified=verified), seed


def list_explored() -> Iterator[Job]:
    """Yield the runs of arms that were made after results had been seen, and what they rival."""
    for settings, seed in list_cell(
        "chains", "10", "rounds", ("sft", "df+new", *EXPLORED_ARMS), EXPLORE_SEEDS
    ):
        yield settings.change(purpose="explore", test_questions=EXPLORE_QUESTIONS), seed


def list_compute() -> Iterator[Job]:
    """Yield the arms without repairs with as many more questions as repairs would have cost.

    Steps of the optimiser stay the same, each on more answers. At the price of the policy's tokens
    that is about twice the questions; at ten times their price about ten times.
    """
    for times, seeds in ((2, SEEDS), (10, SEEDS[:2])):
        yield from list_more_questions(times, find_starts("chains"), seeds)


def list_more_questions(times: int, starts: Sequence[str], seeds: tuple[int, ...]) -> Iterator[Job]:
    """Yield the arms without repairs on chains, with so many times the questions a round."""
    for start in starts:
        for settings, seed in list_cell("chains", start, "rounds", WITHOUT_REPAIRS, seeds):
            more = settings.change(
                questions=settings.questions * times,
                batch_questions=settings.batch_questions * times,
            )
            yield more, seed


def find_starts(task: str) -> list[str]:
    """Return the shares of right answers that a task is asked at, the lowest first."""
    return [start for start in STARTS if start in TASKS[task].starts]
