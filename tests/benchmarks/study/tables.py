"""Prints the study's tables as Markdown: `python -m tests.benchmarks.study tables`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.study.arms import ARMS
from tests.benchmarks.study.compare import Difference, compare, correct_holm

Row = dict[str, Any]

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
#: What the study's claim is compared with, and by which measures.
CLAIM, RIVALS = "df+new", ("grpo", "right-only", "sft", "df", "df+new, no all-wrong")
PRIMARY = "greedy_accuracy"
MEASURES = ((PRIMARY, "greedy"), ("sampled_accuracy", "T = 1"), ("sampled_true", "T = 1, all true"))


def print_tables(rows: list[Row]) -> None:
    """Print one table per task, regime and repairer, and the differences of the main arms."""
    rows = [row for row in rows if row["purpose"] == "study"]
    starts = {(row["task"], row["start"]): row for row in rows if row["arm"] == "start"}
    trained = [row for row in rows if row["arm"] != "start"]
    for cell in list_cells(trained):
        task, regime, repairer, verified = cell
        chosen = [row for row in trained if name_cell(row) == cell]
        kind = repairer if verified else f"{repairer}, unverified"
        print(f"\n## {task}, {regime}, {kind} repairer")
        for start in sorted({row["start"] for row in chosen}, key=int):
            print(f"\n### from about {start} % right\n")
            part = [row for row in chosen if row["start"] == start]
            print_arms(part, starts.get((task, start)))
        print_differences(chosen)


def name_cell(row: Row) -> tuple[str, str, str, bool]:
    """Say to which table a row belongs."""
    return row["task"], row["regime"], row["repairer"], row["verified"]


def list_cells(rows: list[Row]) -> list[tuple[str, str, str, bool]]:
    """List the tables in their order: rounds before offline, perfect and verified first."""
    cells = {name_cell(row) for row in rows}
    return sorted(cells, key=lambda c: (c[0], c[1] == "offline", c[2] != "perfect", not c[3]))


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
        for rate in sorted({row["rate"] for row in own}):
            same = [row for row in own if row["rate"] == rate]
            means = {key: float(np.mean([row[key] for row in same])) for _, key, _ in COLUMNS}
            cells = " | ".join(show(means, key, form) for _, key, form in COLUMNS)
            print(f"| {arm} ({len(same)}) | {rate:g} | {cells} |")


def show(row: Row, key: str, form: str) -> str:
    """Format one figure; empty where there is none."""
    return "" if row.get(key) is None else form.format(row[key])


def print_differences(rows: list[Row]) -> None:
    """Print how the claim's arm differs from its rivals, for each start."""
    found: list[tuple[str, str, list[Difference | None]]] = []
    for start in sorted({row["start"] for row in rows}, key=int):
        for rival in RIVALS:
            gaps = [
                compare(by_seed(rows, start, CLAIM, key), by_seed(rows, start, rival, key))
                for key, _ in MEASURES
            ]
            if gaps[0] is not None:
                found.append((start, rival, gaps))
    if not found:
        return
    corrected = correct_holm([gaps[0].p for _, _, gaps in found if gaps[0]])
    print(f"\n### {CLAIM} minus its rivals, points [95 % interval, paired by seed]\n")
    names = " | ".join(name for _, name in MEASURES)
    print(f"| from | rival (seeds) | {names} | p, greedy | p, corrected for {len(found)} |")
    print("|---" * (len(MEASURES) + 4) + "|")
    for (start, rival, gaps), p in zip(found, corrected, strict=True):
        assert gaps[0] is not None
        cells = " | ".join(
            f"{100 * g.mean:+.1f} [{100 * g.low:+.1f}, {100 * g.high:+.1f}]" for g in gaps if g
        )
        print(f"| {start} % | {rival} ({gaps[0].seeds}) | {cells} | {gaps[0].p:.3f} | {p:.3f} |")


def by_seed(rows: list[Row], start: str, arm: str, key: str) -> dict[int, float]:
    """Return a figure of an arm by seed."""
    return {r["seed"]: r[key] for r in rows if r["arm"] == arm and r["start"] == start}
