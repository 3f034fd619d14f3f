"""Row groups and files end by bytes, whatever comes in."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.cli.main import cli
from dfgen.export.columns import make_images_type
from dfgen.export.tables import TABLES
from dfgen.export.writing import list_writer_options, measure_rows, split_tables, write_files

SCHEMA = pa.schema([("prompt_id", pa.string()), ("images", make_images_type())])


def make_table(sizes: list[int], start: int = 0) -> pa.Table:
    rows = [
        {"prompt_id": f"p{start + i}", "images": [{"bytes": b"x" * size, "path": None}]}
        for i, size in enumerate(sizes)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(0, 400), max_size=8), max_size=6), st.integers(50, 900))
def test_row_groups_keep_rows_order_and_limit(parts: list[list[int]], limit: int) -> None:
    tables, at = [], 0
    for sizes in parts:
        tables.append(make_table(sizes, at))
        at += len(sizes)
    groups = list(split_tables(tables, limit))
    names = [name for table, _ in groups for name in table["prompt_id"].to_pylist()]
    assert names == [f"p{i}" for i in range(at)]
    for table, size in groups:
        assert size == measure_rows(table).sum()
        assert size <= limit or table.num_rows == 1


def test_of_what_is_written_nothing_is_held_while_the_next_is_made(tmp_path: Path) -> None:
    """The arrays live as long as any buffer of Arrow's that lies in them."""
    arrays: list[weakref.ref[Any]] = []

    def make(number: int) -> pa.Table:
        assert not [ref for ref in arrays if ref() is not None]
        values = np.arange(1000 * number, 1000 * (number + 1))
        arrays.append(weakref.ref(values))
        return pa.table({"x": pa.array(values)})

    schema = pa.schema([("x", pa.int64())])
    limits = {"row_group_bytes": 3000, "shard_bytes": 20_000}  # no row group ends where one of them
    files = write_files(map(make, range(8)), schema, tmp_path, **limits)
    assert len(arrays) == 8 and len(files) > 1
    tables = [pq.read_table(file.path) for file in files]
    assert pa.concat_tables(tables)["x"].to_pylist() == list(range(8000))


def test_sizes_of_nested_columns_with_nulls() -> None:
    kind = pa.list_(pa.struct([("text", pa.string()), ("ids", pa.list_(pa.int32()))]))
    rows = [[{"text": "abc", "ids": [1, 2]}, {"text": None, "ids": None}], [], None, [None]]
    table = pa.table({"x": pa.array(rows, kind)})
    assert measure_rows(table).tolist() == [11, 0, 0, 0]
    assert measure_rows(table.slice(0, 1)).tolist() == [11]


def test_files_and_row_groups_end_by_bytes(tmp_path: Path) -> None:
    tables = (make_table([1000] * 10, 10 * i) for i in range(5))
    files = write_files(tables, SCHEMA, tmp_path, row_group_bytes=5_000, shard_bytes=20_000)
    assert [file.path.name for file in files] == [
        f"train-{i:05d}-of-00003.parquet" for i in range(3)
    ]
    assert sum(file.rows for file in files) == 50
    names = []
    for file in files:
        with pq.ParquetFile(file.path) as parquet:
            for index in range(parquet.num_row_groups):
                assert parquet.metadata.row_group(index).total_byte_size < 6_000
            names += parquet.read(["prompt_id"])["prompt_id"].to_pylist()
    assert names == [f"p{i}" for i in range(50)]
    fewer = write_files(iter([make_table([10])]), SCHEMA, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [fewer[0].path.name]


def test_no_rows_make_one_empty_file(tmp_path: Path) -> None:
    (file,) = write_files(iter([]), SCHEMA, tmp_path)
    assert (file.rows, pq.read_table(file.path).num_rows) == (0, 0)


def test_parquet_is_as_the_hub_wants_it(tmp_path: Path) -> None:
    schema = TABLES["groups"].make_schema("0" * 64)
    row = {
        "prompt_id": "p",
        "images": [{"bytes": b"y" * 5000}],
        "trajectories": [
            {"logprobs": [-0.5], "completion_ids": [7], "token_bytes": [0, 3], "hunks": "[]"}
        ],
    }
    (file,) = write_files([pa.Table.from_pylist([row], schema)], schema, tmp_path)
    with pq.ParquetFile(file.path) as parquet:
        group = parquet.metadata.row_group(0)
        columns = {
            group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)
        }
    picture = columns["images.list.element.bytes"]
    assert picture.compression == "UNCOMPRESSED"
    assert "RLE_DICTIONARY" not in picture.encodings
    inner = "trajectories.list.element."
    assert columns[f"{inner}completion_ids.list.element"].compression == "ZSTD"
    assert "BYTE_STREAM_SPLIT" in columns[f"{inner}logprobs.list.element"].encodings
    assert "DELTA_BINARY_PACKED" in columns[f"{inner}token_bytes.list.element"].encodings
    assert all(column.has_offset_index for column in columns.values())
    assert columns["prompt_id"].has_column_index
    assert list_writer_options(schema)["use_content_defined_chunking"]


@pytest.mark.parametrize("inside", ["", "masks", "deep/in"])
def test_an_export_stands_beside_its_run(run: Path, inside: str) -> None:
    before = sorted(run.rglob("*"))
    result = CliRunner().invoke(
        cli, ["export", str(run), "--to", "sft", "--out", str(run / inside)]
    )
    assert result.exit_code == 1
    assert "the run itself, or in it" in result.output and f"{run}-export" in result.output
    assert sorted(run.rglob("*")) == before


def test_a_small_file_has_a_size(run: Path, tmp_path: Path) -> None:
    words = ["export", str(run), "--to", "stepwise", "--out", str(tmp_path / "out")]
    said = CliRunner().invoke(cli, words).stderr
    size = sum(each.stat().st_size for each in (tmp_path / "out").glob("**/*.parquet"))
    assert size < 50_000, "as megabytes it would be 0.0"
    assert f"{size / 1000:.1f} KB in 1 file" in said
