"""Writes the study's learning curves for `dfgen report RUN --curves FILE`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.study.arms import MAIN_ARMS
from tests.benchmarks.study.comparisons import Row, choose_rows, is_plain, name_cell, name_table


def write_curves(rows: list[Row], rates: dict[str, float], path: Path) -> int:
    """Write the share of right answers among those sampled, by round; return how many rows.

    Main arms in rounds, a chart for each table and start; every seed has rows of its own.
    """
    trained, _ = choose_rows(rows, rates)
    shown = [
        r for r in trained if r["arm"] in MAIN_ARMS and r["regime"] == "rounds" and is_plain(r)
    ]
    shown.sort(key=lambda r: (name_cell(r), int(r["start"]), MAIN_ARMS.index(r["arm"]), r["seed"]))
    points = [
        {
            "chart": f"{name_table(name_cell(row))}: from about {row['start']} % right",
            "curve": row["arm"],
            "step": step,
            "value": value,
        }
        for row in shown
        for step, value in enumerate(row["rewards"])
    ]
    pq.write_table(pa.Table.from_pylist(points), path)
    return len(points)
