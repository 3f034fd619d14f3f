"""Prints the study's tables as Markdown: `python -m tests.benchmarks.study tables`."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.study.arms import ARMS, EXPLORED_ARMS
from tests.benchmarks.study.compare import compare
from tests.benchmarks.study.comparisons import (
    CLAIMS,
    MEASURES,
    Comparison,
    Row,
    by_seed,
    choose_rows,
    compare_all,
    list_cells,
    name_cell,
    name_questions,
    name_table,
    shares_cell,
    show_gap,
)
from tests.benchmarks.study.plan import WITHOUT_REPAIRS, is_current

COLUMNS = (
    ("greedy", "greedy_accuracy", "{:.3f}"),
    ("T = 1", "sampled_accuracy", "{:.3f}"),
    ("greedy, all true", "greedy_true", "{:.3f}"),
    ("T = 1, all true", "sampled_true", "{:.3f}"),
    ("false lines a right answer", "sampled_false_steps", "{:.2f}"),
    ("garbled", "sampled_garbled", "{:.3f}"),
    ("length", "sampled_length", "{:.1f}"),
    ("entropy", "sampled_entropy", "{:.3f}"),
    ("KL", "kl", "{:.4f}"),
    ("untrained kind", "untrained_accuracy", "{:.3f}"),
    ("gradient tokens / sampled", "gradient_share", "{:.2f}"),
    ("sampled", "sampled", "{:.0f}"),
    ("repairs", "repairs", "{:.0f}"),
    ("CPU-s", "train_seconds", "{:.0f}"),
)


def print_tables(rows: list[Row], rates: dict[str, float]) -> None:
    """Print one table per task, regime and repairer, and the differences of the main arms.

    Args:
        rates: the learning rates of today; rows of others are left out.
    """
    print_tuning([row for row in rows if row["purpose"] == "tune"])
    explored = [row for row in rows if row["purpose"] == "explore" and is_current(row, rates)]
    trained, starts = choose_rows(rows, rates)
    found = compare_all(trained)
    tested = sum(each.p is not None for each in found)
    if tested:
        print(f"\n{tested} comparisons are shown; corrected p-values are for all of them (Holm).")
    for cell in list_cells(trained):
        starts_here = {row["start"] for row in trained if name_cell(row) == cell}
        chosen = [r for r in trained if shares_cell(r, cell) and r["start"] in starts_here]
        print(f"\n## {name_table(cell)}")
        for start in sorted(starts_here, key=int):
            print(f"\n### from about {start} % right\n")
            part = [row for row in chosen if row["start"] == start]
            print_arms(part, starts.get((cell[0], start)))
        for claim in CLAIMS:
            print_differences([each for each in found if each.cell == cell], claim)
    print_explored(explored)


def print_explored(rows: list[Row]) -> None:
    """Print the arms that were made after results had been seen, beside the two they rival."""
    for start in sorted({row["start"] for row in rows}, key=int):
        part = [row for row in rows if row["start"] == start]
        print(f"\n## Chosen after results were seen: chains, rounds, from about {start} % right\n")
        print_arms(part, None)
        print("\n| arm (seeds) | minus sft: greedy | T = 1 | minus df+new: greedy | T = 1 |")
        print("|---" * 5 + "|")
        for arm in EXPLORED_ARMS:
            own = [row for row in part if row["arm"] == arm]
            gaps = [
                compare(by_seed(own, key), by_seed([r for r in part if r["arm"] == rival], key))
                for rival in ("sft", "df+new")
                for key, _ in MEASURES[:2]
            ]
            if all(gaps):
                cells = " | ".join(show_gap(gap) for gap in gaps if gap)
                print(f"| {arm} ({gaps[0].seeds if gaps[0] else 0}) | {cells} |")


def print_tuning(rows: list[Row]) -> None:
    """Print what each learning rate gave: greedy / T = 1, means over the seeds of tuning."""
    for task in sorted({row["task"] for row in rows}):
        part = [row for row in rows if row["task"] == task]
        rates = sorted({row["rate"] for row in part})
        print(f"\n## {task}: learning rates, greedy / T = 1 (seeds)\n")
        print("| arm | " + " | ".join(f"{rate:g}" for rate in rates) + " |")
        print("|---" * (len(rates) + 1) + "|")
        for arm in ARMS:
            own = [row for row in part if row["arm"] == arm]
            if own:
                cells = [show_pair([r for r in own if r["rate"] == rate]) for rate in rates]
                print(f"| {arm} | " + " | ".join(cells) + " |")


def show_pair(rows: list[Row]) -> str:
    """Format two mean accuracies and how many seeds they come from."""
    if not rows:
        return ""
    greedy, sampled = (np.mean([r[key] for r in rows]) for key, _ in MEASURES[:2])
    return f"{greedy:.3f} / {sampled:.3f} ({len(rows)})"


def print_arms(rows: list[Row], start: Row | None) -> None:
    """Print the means over the seeds of each arm."""
    print("| arm (seeds) | rate | " + " | ".join(name for name, _, _ in COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    if start:
        print(
            "| start | | " + " | ".join(show(start, key, form) for _, key, form in COLUMNS) + " |"
        )
    for arm in ARMS:
        own = [row for row in rows if row["arm"] == arm]
        for rate, questions in sorted({(row["rate"], row["questions"]) for row in own}):
            same = [r for r in own if (r["rate"], r["questions"]) == (rate, questions)]
            means = {key: float(np.mean([row[key] for row in same])) for _, key, _ in COLUMNS}
            # The loop repairs for every arm, to say how many could be repaired; these need none.
            if arm in WITHOUT_REPAIRS:
                means["repairs"] = 0.0
            cells = " | ".join(show(means, key, form) for _, key, form in COLUMNS)
            print(f"| {arm}{name_questions(same[0])} ({len(same)}) | {rate:g} | {cells} |")


def show(row: Row, key: str, form: str) -> str:
    """Format one figure; empty where there is none."""
    return "" if row.get(key) is None else form.format(row[key])


def print_differences(found: list[Comparison], claim: str) -> None:
    """Print how the arm of a claim differs from its rivals in one cell."""
    found = [each for each in found if each.claim == claim]
    if not found:
        return
    print(f"\n### {claim} minus its rivals, points [95 % interval, paired by seed]\n")
    names = " | ".join(name for _, name in MEASURES)
    print(f"| from | rival (seeds) | {names} | p, greedy | p, corrected |")
    print("|---" * (len(MEASURES) + 4) + "|")
    for each in found:
        cells = " | ".join(show_gap(gap) for gap in each.gaps)
        told = " | " if each.p is None else f"{each.gaps[0].p:.3f} | {each.p:.3f}"
        print(f"| {each.start} % | {each.rival} ({each.gaps[0].seeds}) | {cells} | {told} |")
