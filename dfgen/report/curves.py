"""Reads learning curves, as a study or a training run writes them, for the page's overview.

A Parquet file with `curve` (its name), `step` and `value`; with `chart`, too, curves are drawn
apart by it. Rows of one curve and step, such as seeds, are drawn as their mean and range.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dfgen.errors import InputError
from dfgen.regular_files import open_for_arrow

NUMBERS, TEXTS = ("step", "value"), ("curve", "chart")
MOST_ROWS, MOST_CHARTS, MOST_CURVES, MOST_POINTS = 2_000_000, 40, 12, 500
"""Rows of a file, charts of it, curves of a chart, points of a curve: what a page can show."""


def read_curves(file: Path) -> list[dict[str, Any]]:
    """Read a file of curves.

    Returns:
        by chart `title` and `curves`: `name` and `points`, each [step, mean, low, high, rows] in
        the order of the steps; charts and curves in the order in which they first come.

    Raises:
        InputError: names the file, the column and the row of what is missing or no number, or what
            is more than a page can show.
    """
    try:
        with pq.ParquetFile(open_for_arrow(file)) as opened:
            names = opened.schema_arrow.names
            for name in ("curve", *NUMBERS):
                if name not in names:
                    raise _refuse(file, f"there is no column {name!r}; there are {names}.")
            if opened.metadata.num_rows > MOST_ROWS:
                raise _refuse(file, f"it has more than {MOST_ROWS:,} rows.")
            table = opened.read([n for n in (*NUMBERS, *TEXTS) if n in names])
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"it cannot be read as Parquet: {error}", where=str(file)) from error
    steps, values = (_read_numbers(file, table, name) for name in NUMBERS)
    curves = _read_texts(file, table, "curve")
    charts = (
        _read_texts(file, table, "chart") if "chart" in table.column_names else [""] * len(curves)
    )
    found: dict[str, dict[str, dict[float, list[float]]]] = {}
    for chart, curve, step, value in zip(charts, curves, steps, values, strict=True):
        found.setdefault(chart, {}).setdefault(curve, {}).setdefault(step, []).append(value)
    _check_size(file, found)
    return [
        {"title": title, "curves": [_sum_up(name, points) for name, points in by_name.items()]}
        for title, by_name in found.items()
    ]


def _read_numbers(file: Path, table: pa.Table, name: str) -> list[float]:
    kind = table.schema.field(name).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise _refuse(file, f"column {name!r} holds {kind} and no numbers.")
    values = table[name].cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise _refuse(file, f"{name} is no finite number.", row=int(wrong[0]) + 1)
    return list(values.tolist())


def _read_texts(file: Path, table: pa.Table, name: str) -> list[str]:
    kind = table.schema.field(name).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise _refuse(file, f"column {name!r} holds {kind} and no text.")
    missing = pc.index(table[name].is_null(), True).as_py()
    if missing >= 0:
        raise _refuse(file, f"{name} is missing.", row=missing + 1)
    return list(table[name].to_pylist())


def _check_size(file: Path, found: dict[str, dict[str, dict[float, list[float]]]]) -> None:
    if not found:
        raise _refuse(file, "it has no rows.")
    if len(found) > MOST_CHARTS:
        raise _refuse(file, f"it has {len(found):,} charts, and a page shows {MOST_CHARTS}.")
    for title, by_name in found.items():
        where = f"chart {title!r}" if title else "it"
        if len(by_name) > MOST_CURVES:
            raise _refuse(
                file, f"{where} has {len(by_name):,} curves, and a page shows {MOST_CURVES}."
            )
        longest = max(map(len, by_name.values()))
        if longest > MOST_POINTS:
            raise _refuse(
                file, f"{where} has a curve of {longest:,} steps, and a page shows {MOST_POINTS}."
            )


def _refuse(file: Path, what: str, row: int | None = None) -> InputError:
    return InputError(
        what,
        where=str(file) if row is None else f"{file}, row {row}",
        hint="A file of curves has the columns `curve` (text), `step` and `value` (numbers), and "
        "`chart` (text) to draw some apart.",
    )


def _sum_up(name: str, points: dict[float, list[float]]) -> dict[str, Any]:
    return {
        "name": name,
        "points": [
            [step, sum(values) / len(values), min(values), max(values), len(values)]
            for step, values in sorted(points.items())
        ],
    }
