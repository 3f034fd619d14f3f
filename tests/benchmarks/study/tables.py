"""Prints the study's tables as Markdown: `python -m tests.benchmarks.study tables`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.benchmarks.study.arms import ARMS, EXPLORED_ARMS
from tests.benchmarks.study.compare import Difference, compare, correct_holm
from tests.benchmarks.study.plan import WITHOUT_REPAIRS, is_current
from tests.benchmarks.study.settings import REGIMES

Row = dict[str, Any]
Cell = tuple[str, str, str, bool]

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


@dataclass(frozen=True)
class Comparison:
    """The claim's arm minus a rival in one cell at one start, by each of `MEASURES`."""

    cell: Cell
    start: str
    rival: str
    gaps: list[Difference]


def print_tables(rows: list[Row], rates: dict[str, float]) -> None:
    """Print one table per task, regime and repairer, and the differences of the main arms.

    Args:
        rates: the learning rates of today; rows of others are left out.
    """
    print_tuning([row for row in rows if row["purpose"] == "tune"])
    explored = [row for row in rows if row["purpose"] == "explore" and is_current(row, rates)]
    rows = [row for row in rows if row["purpose"] == "study" and is_current(row, rates)]
    starts = {(row["task"], row["start"]): row for row in rows if row["arm"] == "start"}
    trained = [row for row in rows if row["arm"] != "start"]
    found = find_comparisons(trained)
    # One seed has no p-value, and is no comparison that could be wrong.
    tested = [each for each in found if each.gaps[0].seeds > 1]
    ps = correct_holm([each.gaps[0].p for each in tested])
    corrected = {id(each): p for each, p in zip(tested, ps, strict=True)}
    if tested:
        print(
            f"\n{len(tested)} comparisons are shown; corrected p-values are for all of them (Holm)."
        )
    for cell in list_cells(trained):
        task, regime, repairer, verified = cell
        starts_here = {row["start"] for row in trained if name_cell(row) == cell}
        chosen = [r for r in trained if shares_cell(r, cell) and r["start"] in starts_here]
        kind = repairer if verified else f"{repairer}, unverified"
        print(f"\n## {task}, {regime}, {kind} repairer")
        for start in sorted({row["start"] for row in chosen}, key=int):
            print(f"\n### from about {start} % right\n")
            part = [row for row in chosen if row["start"] == start]
            print_arms(part, starts.get((task, start)))
        own = [each for each in found if each.cell == cell]
        if own:
            print_differences(own, [corrected.get(id(each), 1.0) for each in own])
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
                for rival in ("sft", CLAIM)
                for key, _ in MEASURES[:2]
            ]
            if all(gaps):
                cells = " | ".join(show_gap(gap) for gap in gaps if gap)
                print(f"| {arm} ({gaps[0].seeds if gaps[0] else 0}) | {cells} |")


def show_gap(gap: Difference) -> str:
    """Format a difference in points."""
    if gap.seeds < 2:
        return f"{100 * gap.mean:+.1f}"
    return f"{100 * gap.mean:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"


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


def name_cell(row: Row) -> Cell:
    """Say to which table a row belongs."""
    return row["task"], row["regime"], row["repairer"], row["verified"]


def is_plain(row: Row) -> bool:
    """Say whether a row has the questions a round that all arms have by default."""
    return bool(row["questions"] == REGIMES[row["regime"]]["questions"])


def name_questions(row: Row) -> str:
    """Say how many questions a round a row has, where that is not what all have by default."""
    return "" if is_plain(row) else f", {row['questions']} questions"


def list_cells(rows: list[Row]) -> list[Cell]:
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


def find_comparisons(rows: list[Row]) -> list[Comparison]:
    """Compare the claim's arm with its rivals in every cell.

    Arms without repairs are the same whoever repairs, so every repairer's cell has them as rivals.
    They are also there with more questions a round, which is what repairs would have cost.
    """
    found = []
    for cell in list_cells(rows):
        own = [row for row in rows if name_cell(row) == cell]
        shared = [row for row in rows if shares_cell(row, cell)]
        for start in sorted({row["start"] for row in own}, key=int):
            claim = [r for r in own if r["start"] == start and r["arm"] == CLAIM and is_plain(r)]
            for arm in RIVALS:
                pool = shared if arm in WITHOUT_REPAIRS else own
                rival = [row for row in pool if row["start"] == start and row["arm"] == arm]
                for questions in sorted({row["questions"] for row in rival}):
                    same = [row for row in rival if row["questions"] == questions]
                    gaps = [compare(by_seed(claim, key), by_seed(same, key)) for key, _ in MEASURES]
                    if gaps[0] is not None:
                        name = arm + name_questions(same[0])
                        found.append(Comparison(cell, start, name, [g for g in gaps if g]))
    return found


def shares_cell(row: Row, cell: Cell) -> bool:
    """Say whether a row belongs to a cell, or would whoever repaired."""
    other = row["arm"] in WITHOUT_REPAIRS and name_cell(row)[:2] == cell[:2]
    return name_cell(row) == cell or other


def print_differences(found: list[Comparison], corrected: list[float]) -> None:
    """Print how the claim's arm differs from its rivals in one cell.

    Args:
        found: of the cell.
        corrected: p-value of each, corrected for the number of all that are shown.
    """
    print(f"\n### {CLAIM} minus its rivals, points [95 % interval, paired by seed]\n")
    names = " | ".join(name for _, name in MEASURES)
    print(f"| from | rival (seeds) | {names} | p, greedy | p, corrected |")
    print("|---" * (len(MEASURES) + 4) + "|")
    for each, p in zip(found, corrected, strict=True):
        first = each.gaps[0]
        cells = " | ".join(show_gap(gap) for gap in each.gaps)
        told = f"{show_p(first)} | {'' if first.seeds < 2 else f'{p:.3f}'}"
        print(f"| {each.start} % | {each.rival} ({first.seeds}) | {cells} | {told} |")


def show_p(gap: Difference) -> str:
    """Format a p-value; empty where one seed says nothing."""
    return "" if gap.seeds < 2 else f"{gap.p:.3f}"


def by_seed(rows: list[Row], key: str) -> dict[int, float]:
    """Return a figure by seed."""
    return {row["seed"]: row[key] for row in rows}
