"""Learning curves that the page shows: what is read of a file, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.errors import InputError
from dfgen.report.curves import MOST_CHARTS, MOST_CURVES, MOST_POINTS, read_curves


def write(folder: Path, **columns: Any) -> Path:
    path = folder / "curves.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_rows_of_one_step_are_summed_up_and_charts_stand_apart(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        chart=["b", "b", "b", "a"],
        curve=["grpo", "grpo", "grpo", "df"],
        step=[2, 1, 1, 0],
        value=[0.5, 0.25, 0.75, 1.0],
        seed=[1, 1, 2, 1],
    )
    points = [[1.0, 0.5, 0.25, 0.75, 2], [2.0, 0.5, 0.5, 0.5, 1]]
    assert read_curves(path) == [
        {"title": "b", "curves": [{"name": "grpo", "points": points}]},
        {"title": "a", "curves": [{"name": "df", "points": [[0.0, 1.0, 1.0, 1.0, 1]]}]},
    ]


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("xyz"),
            st.integers(0, 5),
            st.floats(-1e6, 1e6, allow_subnormal=False, width=32),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_no_row_is_lost_and_means_lie_in_their_range(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, float]]
) -> None:
    names, steps, values = zip(*rows, strict=True)
    path = write(
        tmp_path_factory.mktemp("curves"),
        curve=list(names),
        step=list(steps),
        value=pa.array(values, pa.float32()),
    )
    (chart,) = read_curves(path)
    points = [point for curve in chart["curves"] for point in curve["points"]]
    assert sum(point[4] for point in points) == len(rows)
    assert len(points) == len({(name, step) for name, step, _ in rows})
    for _, mean, low, high, _ in points:
        assert low <= mean + 1e-6 * abs(mean) and mean <= high + 1e-6 * abs(mean)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"curve": ["a"], "step": [1]}, "no column 'value'"),
        ({"curve": ["a"], "step": ["1"], "value": [1.0]}, "column 'step' holds string"),
        ({"curve": [1], "step": [1], "value": [1.0]}, "column 'curve' holds int64"),
        ({"curve": ["a", None], "step": [1, 2], "value": [1.0, 1.0]}, "row 2: curve is missing"),
        ({"curve": ["a"] * 2, "step": [1, 2], "value": [1.0, None]}, "row 2: value is no finite"),
        ({"curve": ["a"], "step": [1], "value": [float("inf")]}, "row 1: value is no finite"),
        ({"curve": pa.array([], pa.string()), "step": pa.array([], pa.int64()),
          "value": pa.array([], pa.float64())}, "it has no rows"),
        ({"curve": ["a"], "step": [1], "value": [[1.0]]}, "column 'value' holds list"),
        ({"curve": [str(i) for i in range(MOST_CURVES + 1)], "step": [0] * (MOST_CURVES + 1),
          "value": [0.0] * (MOST_CURVES + 1)}, "it has 13 curves, and a page shows 12"),
        ({"chart": [str(i) for i in range(MOST_CHARTS + 1)], "curve": ["a"] * (MOST_CHARTS + 1),
          "step": [0] * (MOST_CHARTS + 1), "value": [0.0] * (MOST_CHARTS + 1)}, "41 charts"),
        ({"curve": ["a"] * (MOST_POINTS + 1), "step": range(MOST_POINTS + 1),
          "value": [0.0] * (MOST_POINTS + 1)}, "a curve of 501 steps"),
    ],
)  # fmt: skip
def test_what_is_no_curve_is_refused(tmp_path: Path, columns: dict[str, Any], words: str) -> None:
    path = write(tmp_path, **{name: pa.array(values) for name, values in columns.items()})
    with pytest.raises(InputError) as caught:
        read_curves(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "curves.parquet"
    path.write_text("curve,step,value\n", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_curves(path)
