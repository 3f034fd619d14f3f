"""Lists the runs of the study in the order in which they are done; the README says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.study.arms import ARMS, MAIN_ARMS
from tests.benchmarks.study.settings import REGIMES, Settings
from tests.benchmarks.study.tasks import TASKS

RATES = Path(__file__).parent / "rates.json"
"""Learning rate by task and family, as `tune` chose them."""

SEEDS = (1, 2, 3, 4, 5)
TUNE_SEEDS = (101, 102)
TUNE_GRID = (1e-4, 3e-4, 1e-3)
TUNE_START = "30"
TUNE_QUESTIONS = 500
STARTS = ("10", "30", "55")
#: One arm of each family that is tuned; the others take their family's rate.
TUNED_ARMS = ("grpo", "right-only", "sft", "df", "df+new")

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
    kin = {"df+new, ratio": "df+new", "df+whole": "df+new", "grpo+whole": "grpo"}
    return rates.get(f"{task}/{family}", rates.get(f"{task}/{kin.get(family, family)}"))


def list_tuning(task: str) -> Iterator[Job]:
    """Yield the runs that choose learning rates: seeds and questions that no other run uses."""
    for seed in TUNE_SEEDS:
        for arm in TUNED_ARMS:
            for rate in TUNE_GRID:
                settings = make_settings(task, TUNE_START, "rounds", arm, rate)
                yield settings.change(purpose="tune", test_questions=TUNE_QUESTIONS), seed


def list_cell(
    task: str,
    start: str,
    regime: str,
    arms: tuple[str, ...],
    seeds: tuple[int, ...],
    **changes: str,
) -> Iterator[Job]:
    """Yield the runs of some arms, seed by seed, so that arms can be compared early."""
    rates = read_rates()
    for seed in seeds:
        for arm in arms:
            rate = find_rate(rates, task, arm)
            if rate is not None:
                yield make_settings(task, start, regime, arm, rate).change(**changes), seed


def list_starts(task: str) -> Iterator[Job]:
    """Yield the measurement of the start models; nothing is trained."""
    for start in STARTS:
        yield make_settings(task, start, "rounds", "start", 0.0).change(rounds=0), 0


def list_study() -> Iterator[Job]:
    """Yield every run that is planned, most wanted first."""
    others = tuple(name for name in ARMS if name not in (*MAIN_ARMS, "start"))
    tasks = [task for task in ("chains", "steps") if has_starts(task)]
    for task in tasks:
        yield from list_starts(task)
        for start in STARTS:
            yield from list_cell(task, start, "rounds", MAIN_ARMS, SEEDS)
    for task in tasks:
        for start in STARTS:
            yield from list_cell(task, start, "offline", MAIN_ARMS, SEEDS)
    with_repairs = tuple(name for name in MAIN_ARMS if name not in ("grpo", "right-only"))
    for changes in ({"repairer": "fallible"}, {"repairer": "rewriter"}):
        for start in STARTS:
            yield from list_cell("chains", start, "rounds", with_repairs, SEEDS, **changes)
    for start in STARTS:
        unverified = list_cell("chains", start, "rounds", with_repairs, SEEDS)
        for settings, seed in unverified:
            yield settings.change(repairer="fallible", verified=False), seed
    for task in tasks:
        for start in STARTS:
            yield from list_cell(task, start, "rounds", others, SEEDS[:3])


def has_starts(task: str) -> bool:
    """Say whether the start models of a task are there."""
    return all((path / "config.json").is_file() for path in TASKS[task].starts.values())
