"""Writes the short tables of the README, so that they say what results.parquet says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.benchmarks.study.arms import ARMS, MAIN_ARMS
from tests.benchmarks.study.comparisons import (
    CLAIMS,
    RIVALS,
    Comparison,
    Row,
    choose_rows,
    compare_all,
    list_cells,
    name_cell,
    name_questions,
    name_table,
    shares_cell,
    show_gap,
)
from tests.benchmarks.study.plan import is_current

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- tables: written by the command `summary` -->\n", "<!-- end of tables -->"
COLUMNS = (
    ("greedy", "greedy_accuracy", "{:.3f}"),
    ("T = 1", "sampled_accuracy", "{:.3f}"),
    ("greedy, all true", "greedy_true", "{:.3f}"),
    ("gradient tokens / sampled", "gradient_share", "{:.2f}"),
)
SHOWN = {*MAIN_ARMS, *RIVALS}
COMPARED = ("greedy [95 %]", "T = 1 [95 %]", "p, corrected")


def update_readme(rows: list[Row], rates: dict[str, float], path: Path = README) -> None:
    """Put the tables between their two marks."""
    before, _, rest = path.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(before + BEGIN + write_summary(rows, rates) + END + after, encoding="utf-8")


def write_summary(rows: list[Row], rates: dict[str, float]) -> str:
    """Write a table for each cell and start, with what the default gains; then the other arms."""
    trained, starts = choose_rows(rows, rates)
    found = compare_all(trained)
    tested = sum(each.p is not None for each in found)
    lines = [
        "",
        f"`{CLAIMS[0]}`, where it was run, minus the arm of the line, in points, paired by seed. p "
        f"is of the greedy difference, corrected (Holm) for all {tested} comparisons, those of "
        f"`{CLAIMS[1]}` among them, which `tables` prints.",
    ]
    for cell in list_cells(trained):
        own = [row for row in trained if shares_cell(row, cell)]
        for start in sorted({r["start"] for r in own if name_cell(r) == cell}, key=int):
            part = [row for row in own if row["start"] == start and row["arm"] in SHOWN]
            here = [each for each in found if (each.cell, each.start) == (cell, start)]
            lines += ["", f"### {name_table(cell)}: from about {start} % right", ""]
            lines += write_table(part, here, starts.get((cell[0], start)))
    others = [row for row in trained if row["arm"] not in SHOWN]
    for cell in list_cells(others):
        own = [row for row in others if name_cell(row) == cell]
        lines += write_others(own, f"The other arms: {name_table(cell)}")
    explored = [r for r in rows if r["purpose"] == "explore" and is_current(r, rates)]
    lines += write_others(explored, "Chosen after results were seen: chains, rounds")
    return "\n".join([*lines, "", ""])


def write_others(rows: list[Row], title: str) -> Iterator[str]:
    """Write a table for each start of arms that are described and not compared."""
    for start in sorted({row["start"] for row in rows}, key=int):
        names = ["arm (seeds)", *(name for name, _, _ in COLUMNS)]
        yield from ("", f"### {title}, from about {start} % right", "")
        yield from (f"| {' | '.join(names)} |", "|---" * len(names) + "|")
        for arm in ARMS:
            own = [row for row in rows if (row["start"], row["arm"]) == (start, arm)]
            if own:
                yield f"| {arm} ({len(own)}) | {' | '.join(average(own))} |"


def average(rows: list[Row]) -> list[str]:
    """Format the means of rows, by column."""
    return [form.format(float(np.mean([row[key] for row in rows]))) for _, key, form in COLUMNS]


def write_table(rows: list[Row], found: list[Comparison], start: Row | None) -> Iterator[str]:
    """Write one table, a line at a time."""
    names = ["arm (seeds)", "rate", *(name for name, _, _ in COLUMNS), *COMPARED]
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"
    if start:
        shown = [form.format(start[key]) for _, key, form in COLUMNS[:-1]]
        yield f"| start | | {' | '.join(shown)} | | | | |"
    by_rival = {each.rival: each for each in found if each.claim == CLAIMS[0]}
    for arm in (name for name in ARMS if name in SHOWN):
        own = [row for row in rows if row["arm"] == arm]
        for questions in sorted({row["questions"] for row in own}):
            same = [row for row in own if row["questions"] == questions]
            name = arm + name_questions(same[0])
            cells = [f"{name} ({len(same)})", f"{same[0]['rate']:g}", *average(same)]
            yield f"| {' | '.join([*cells, *show_comparison(by_rival.get(name))])} |"


def show_comparison(each: Comparison | None) -> tuple[str, ...]:
    """Format what is compared; empty for the default's own line."""
    if each is None:
        return ("",) * len(COMPARED)
    p = "" if each.p is None else "< .001" if each.p < 0.0005 else f"{each.p:.3f}"
    seeds = f" ({each.gaps[0].seeds})"
    return show_gap(each.gaps[0]) + seeds, show_gap(each.gaps[1]) + seeds, p
