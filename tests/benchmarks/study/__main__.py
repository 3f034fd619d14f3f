"""Runs the study and shows what came out: `python -m tests.benchmarks.study COMMAND`.

    tune     choose learning rates (chains first, then steps) and write rates.json
    run      do every planned run that has no row yet, and merge the rows
    explore  the same for the arms that were made after results had been seen
    collect  take over the rows of the folder given, made by a copy elsewhere
    tables   print the tables from results.parquet
    summary  write the short tables into README.md
    plots    draw the plots from it (needs matplotlib)
    curves   write the learning curves to the file given, for `dfgen report RUN --curves FILE`

`run` may be stopped at any time and started again, and several may run side by side.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tests.benchmarks.study.plan import (
    RATES,
    TUNED_ARMS,
    Job,
    find_starts,
    list_explored,
    list_study,
    list_tuning,
    list_wider_tuning,
    read_rates,
)
from tests.benchmarks.study.results import Results
from tests.benchmarks.study.run_one import do_run

COMMANDS = ("tune", "run", "explore", "collect", "tables", "summary", "plots", "curves")


def do_jobs(jobs: Iterable[Job], results: Results, until: float) -> int:
    """Do the runs that have no row; stop before a new one once the time is over."""
    done = results.done()
    finished = 0
    for settings, seed in jobs:
        if (settings.hash, seed) in done:
            continue
        if time.time() > until:
            break
        with results.claim(settings, seed) as mine:
            if not mine:
                continue
            figures = do_run(settings, seed)
            results.add(settings, seed, figures)
            finished += 1
            say(settings, seed, figures)
    results.merge()
    return finished


def say(settings, seed, figures) -> None:  # type: ignore[no-untyped-def]
    """Print one line about a finished run."""
    cpu = figures["train_seconds"] + figures["test_seconds"]
    print(
        f"{settings.task}-{settings.start} {settings.regime} {settings.arm} "
        f"lr {settings.rate:g} seed {seed}: greedy {figures['greedy_accuracy']:.3f} "
        f"T=1 {figures['sampled_accuracy']:.3f} true {figures['greedy_true']:.3f} "
        f"({cpu:.0f} CPU-s)",
        file=sys.stderr,
        flush=True,
    )


def choose_rates(results: Results, task: str) -> dict[str, float]:
    """Choose the rate of each family: the best mean of greedy and T = 1 accuracy over the seeds.

    Of equal ones the smaller rate.
    """
    rows = [r for r in results.read() if r["purpose"] == "tune" and r["task"] == task]
    rates = {}
    for arm in TUNED_ARMS:
        scores: dict[float, list[float]] = {}
        for row in rows:
            if row["arm"] == arm:
                mean = (row["greedy_accuracy"] + row["sampled_accuracy"]) / 2
                scores.setdefault(row["rate"], []).append(mean)
        if scores:
            means = {rate: float(np.mean(scores[rate])) for rate in sorted(scores)}
            rates[f"{task}/{arm}"] = max(means, key=means.__getitem__)
    return rates


def tune(results: Results, until: float) -> None:
    """Do the tuning runs and write the rates."""
    rates = json.loads(RATES.read_text("utf-8")) if RATES.exists() else {}
    for task in ("chains", "steps"):
        if find_starts(task):
            do_jobs(list_tuning(task), results, until)
            do_jobs(list_wider_tuning(task, choose_rates(results, task)), results, until)
            rates |= choose_rates(results, task)
            RATES.write_text(json.dumps(rates, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "path", nargs="?", type=Path, help="collect: tests/benchmarks/study there; curves: the file"
    )
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after so long")
    arguments = parser.parse_args()
    results, until = Results(), time.time() + 60 * arguments.minutes
    if arguments.command == "tune":
        tune(results, until)
    elif arguments.command == "run":
        do_jobs(list_study(), results, until)
    elif arguments.command == "explore":
        do_jobs(list_explored(), results, until)
    elif arguments.command == "collect":
        if arguments.path is None or not arguments.path.is_dir():
            parser.error("collect needs the folder that holds the other results.parquet")
        print(f"{results.take_over(Results(arguments.path))} rows taken over")
    elif arguments.command == "tables":
        from tests.benchmarks.study.tables import print_tables

        print_tables(results.read(), read_rates())
    elif arguments.command == "curves":
        from tests.benchmarks.study.curves import write_curves

        if arguments.path is None:
            parser.error("curves needs the file to write")
        print(f"{write_curves(results.read(), read_rates(), arguments.path)} rows written")
    elif arguments.command == "summary":
        from tests.benchmarks.study.summary import update_readme

        update_readme(results.read(), read_rates())
    else:
        from tests.benchmarks.study.plots import draw_plots

        draw_plots(results.read(), read_rates(), results.table.parent)


if __name__ == "__main__":
    main()
