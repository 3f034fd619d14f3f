"""A row is named by the line of its file where there are lines, and by its number where not."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.prompts.source_files import read

ROWS = [
    {"question": "How many?", "answer": "1"},
    {"question": "Which one,\nof these two?", "answer": "2"},
    {"question": "", "answer": "3"},
    {"question": "Why?", "answer": "4"},
    {"question": "How many?", "answer": "1"},
]
"""The third has no question, the last is the first again."""


def write_csv(rows: list[dict[str, str]]) -> str:
    """A table with an empty line behind its header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["question", "answer"], lineterminator="\n")
    writer.writeheader()
    text.write("\n")
    writer.writerows(rows)
    return text.getvalue()


def write(folder: Path, kind: str) -> dict[str, str]:
    """Write the rows as a file of this kind; returns how the source is read."""
    path = folder / f"rows.{kind}"
    lines = "\n".join(["", *map(json.dumps, ROWS)])
    if kind.startswith("jsonl"):
        content = lines.encode()
    elif kind.startswith("csv"):
        content = write_csv(ROWS).encode()
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        return {"source": "parquet", "path": str(path)}
    path.write_bytes(gzip.compress(content) if kind.endswith(".gz") else content)
    return {"source": kind.removesuffix(".gz"), "path": str(path)}


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("jsonl", [2, 3, 4, 5, 6]),
        ("jsonl.gz", [2, 3, 4, 5, 6]),
        ("csv", [3, 4, 6, 7, 8]),
        ("csv.gz", [3, 4, 6, 7, 8]),
        ("parquet", [0, 1, 2, 3, 4]),
    ],
)
def test_the_same_rows_in_every_kind_of_file(tmp_path: Path, kind: str, numbers: list[int]) -> None:
    found = read(**write(tmp_path, kind))
    names = [row.row_id if hasattr(row, "row_id") else row.source for row in found]
    assert names == [f"rows.{kind}:{number}" for number in numbers]
    assert f"equal to row {names[0]}" in found[-1].detail  # type: ignore[union-attr]


@settings(max_examples=40)
@given(st.lists(st.text(st.sampled_from('ab ,"\n'), min_size=1, max_size=8), min_size=1))
def test_the_line_of_a_csv_row_is_where_an_editor_finds_it(
    tmp_path_factory: pytest.TempPathFactory, questions: list[str]
) -> None:
    rows = [{"question": f"{n}{text}", "answer": "1"} for n, text in enumerate(questions)]
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    path.write_text(write_csv(rows), newline="")
    lines = path.read_text().split("\n")
    for number, row in enumerate(read(source="csv", path=str(path))):
        place = row.row_id if hasattr(row, "row_id") else row.source
        line = lines[int(place.removeprefix("rows.csv:")) - 1]
        assert line.lstrip('"').startswith(str(number))
