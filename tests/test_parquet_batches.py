"""Batches are bounded by bytes, whatever the length of rows, and no footer ends the process."""

from __future__ import annotations

import ast
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfgen.export.load import load_groups
from dfgen.export.tables import TABLES
from dfgen.parquet_batches import find_filled, iter_batches, list_leaves
from dfgen.publish.safety import Findings, Scanner
from dfgen.records import Mask
from dfgen.stages.value.given import _iter_masks
from dfgen.store.shards import ShardTable
from dfgen.store.visible_damage import look_at_file
from dfgen.trainers.privileged import read_contexts
from dfgen.trainers.reading import open_groups
from dfgen.validate.path import _read_files
from tests.store.examples import make_mask
from tests.support.code_trees import parse_file

MIB = 2**20
PACKAGE = Path(__file__).parents[1] / "dfgen"


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of every batch that is read of a Parquet file."""
    found: list[int] = []
    real = pq.ParquetFile.iter_batches

    def watched(*args: Any, **kwargs: Any) -> Iterator[pa.RecordBatch]:
        for batch in real(*args, **kwargs):
            found.append(batch.nbytes)
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    return found


def draw_ids(count: int) -> Any:
    """Token ids, which a file packs into half of their size in memory."""
    return np.random.default_rng(0).integers(0, 20_000, count).astype(np.int32)


def write_lists(path: Path, lengths: list[int], group: int) -> pa.Table:
    """Token ids to each row."""
    ends = np.append(0, np.cumsum(lengths)).astype(np.int32)
    ids = pa.ListArray.from_arrays(pa.array(ends), pa.array(draw_ids(ends[-1])))
    table = pa.table({"id": np.arange(len(lengths)), "ids": ids})
    pq.write_table(table, path, row_group_size=group)
    return table


def read(path: Path, *columns: str, most: int = MIB, rows: int = 1000) -> list[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        return list(iter_batches(file, most, rows, columns or None))


def test_what_is_packed_small_counts_as_large_as_it_becomes(tmp_path: Path) -> None:
    table = write_lists(tmp_path / "a.parquet", [10_000] * 500, 500)
    assert (tmp_path / "a.parquet").stat().st_size < 0.6 * table.nbytes
    batches = read(tmp_path / "a.parquet")
    assert max(batch.nbytes for batch in batches) <= 1.1 * MIB
    assert pa.Table.from_batches(batches).equals(table)


def test_long_rows_behind_many_short_ones(tmp_path: Path) -> None:
    table = write_lists(tmp_path / "a.parquet", [1] * 5000 + [20_000] * 100, 1000)
    batches = read(tmp_path / "a.parquet")
    assert max(batch.nbytes for batch in batches) <= 1.1 * MIB
    assert [batch.num_rows for batch in batches[:5]] == [1000] * 5
    assert pa.Table.from_batches(batches).equals(table)


def test_a_row_above_the_bound_comes_alone(tmp_path: Path) -> None:
    write_lists(tmp_path / "a.parquet", [500_000] * 3, 3)
    assert [batch.num_rows for batch in read(tmp_path / "a.parquet")] == [1, 1, 1]
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        leaf = list_leaves(file)[1]
    assert [batch.num_rows for batch in read(tmp_path / "a.parquet", leaf)] == [1, 1, 1]
    assert [batch.num_rows for batch in read(tmp_path / "a.parquet", "id", rows=2)] == [1, 1, 1]


def test_short_rows_are_counted(tmp_path: Path) -> None:
    write_lists(tmp_path / "a.parquet", [1] * 5, 5)
    assert [batch.num_rows for batch in read(tmp_path / "a.parquet", rows=2)] == [2, 2, 1]


def test_a_file_without_rows(tmp_path: Path) -> None:
    write_lists(tmp_path / "a.parquet", [], 1)
    assert sum(batch.num_rows for batch in read(tmp_path / "a.parquet")) == 0


def write_groups(path: Path, prompts: int, tokens: int) -> Path:
    """Groups of 8 answers: ids, log-probs, masks that are mostly zeros."""
    schema = TABLES["groups"].make_schema("0" * 64)
    inner = schema.field("trajectories").type.value_type
    rows = 8 * prompts
    ids = draw_ids(rows * tokens)
    given_by = {"completion_ids": ids, "logprobs": -ids / 20_000, "loss_mask": ids < 99}
    edges = pa.array(np.arange(0, rows * tokens + 1, tokens), pa.int32())
    lists = {
        name: pa.ListArray.from_arrays(
            edges, pa.array(values).cast(inner.field(name).type.value_type, safe=False)
        )
        for name, values in given_by.items()
    }
    given: dict[str, Any] = {
        "trajectory_id": pa.array([f"p{i // 8}-{i % 8}" for i in range(rows)]),
        "completion_text": pa.array(["It is 3."] * rows),
        **lists,
    }
    members = [given.get(f.name, pa.nulls(rows, f.type)) for f in inner]
    nested = pa.StructArray.from_arrays(members, fields=list(inner))
    groups = pa.ListArray.from_arrays(pa.array(np.arange(0, rows + 1, 8), pa.int32()), nested)
    columns = {"prompt_id": pa.array([f"p{i}" for i in range(prompts)]), "trajectories": groups}
    arrays = [columns.get(f.name, pa.nulls(prompts, f.type)) for f in schema]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)
    return path


def write_given(path: Path, rows: int, tokens: int) -> Path:
    ends = pa.array(np.arange(0, rows * tokens + 1, tokens), pa.int32())
    marks = pa.ListArray.from_arrays(ends, pa.array(draw_ids(rows * tokens)))
    pq.write_table(
        pa.table({"trajectory_id": list(map(str, range(rows))), "loss_mask": marks}), path
    )
    return path


def write_contexts(path: Path, rows: int, size: int) -> Path:
    pictures = [[{"bytes": os.urandom(size), "path": None}] for _ in range(rows)]
    names = [str(i) for i in range(rows)]
    table = {"trajectory_id": names, "teacher_prompt": names, "teacher_images": pictures}
    pq.write_table(pa.table(table), path)
    return path


def write_masks(folder: Path, rows: int, tokens: int) -> ShardTable:
    table = ShardTable(folder, Mask)
    masks = (make_mask("a", i).model_dump() for i in range(rows))
    long = {"completion_ids": draw_ids(tokens).tolist(), "loss_mask": [False] * tokens}
    long |= {"token_bytes": list(range(tokens + 1)), "step_ids": [0] * tokens}
    table.write(0, [{**mask, **long} for mask in masks])
    return table


def read_store(folder: Path) -> None:
    assert len(list(write_masks(folder, 60, 20_000).iter_rows())) == 60


def read_mask_files(folder: Path) -> None:
    path = write_masks(folder, 60, 20_000).path(0)
    assert len(list(_read_files([path]))) == 60


def read_for_trainers(folder: Path) -> None:
    source = open_groups(write_groups(folder / "g.parquet", 64, 10_000))
    nested = ("trajectory_id", "completion_ids", "loss_mask")
    batches = source.read_batches(("prompt_id",), nested)
    assert sum(batch.num_rows for _, batch in batches) == 64


def read_rows(folder: Path) -> None:
    rows = load_groups(write_groups(folder / "g.parquet", 64, 10_000))
    assert sum(1 for _ in rows) == 64


def read_given(folder: Path) -> None:
    path = write_given(folder / "m.parquet", 3000, 1000)
    assert sum(1 for _ in _iter_masks(path, {"0"})) == 1


def read_teacher(folder: Path) -> None:
    assert len(read_contexts(write_contexts(folder / "t.parquet", 48, MIB))) == 48


def scan(folder: Path) -> None:
    path = write_groups(folder / "g.parquet", 512, 1000)
    Scanner(Findings()).scan_parquet(path, "g")


READERS: list[tuple[Callable[[Path], None], int]] = [
    (read_store, 2),
    (read_mask_files, 2),
    (read_for_trainers, 32),
    (read_rows, 16),
    (read_given, 16),
    (read_teacher, 16),
    (scan, 16),
]


@pytest.mark.parametrize(("reader", "most"), READERS, ids=lambda v: getattr(v, "__name__", ""))
def test_no_reader_holds_more_for_longer_rows(
    reader: Callable[[Path], None], most: int, tmp_path: Path, sizes: list[int]
) -> None:
    reader(tmp_path)
    assert sizes and max(sizes) <= 1.1 * most * MIB


def test_nobody_else_reads_batches() -> None:
    calls = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(parse_file(path))
        if isinstance(node, ast.Attribute) and node.attr == "iter_batches"
    }
    assert calls == {"parquet_batches.py"}


def test_what_is_filled(tmp_path: Path) -> None:
    shy = [[]] * 80 + [None, [{"a": [], "b": None}], [{"a": [1], "b": None}]]
    columns = {"none": pa.nulls(83, pa.int32()), "late": [None] * 82 + [0], "shy": shy}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=70)
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        leaves = list_leaves(file)
        found = find_filled(file, leaves)
    assert len(leaves) == 4
    assert found == {"late", "shy.list.element.a.list.element"}


def flip_footers(folder: Path) -> None:
    """Flip bits of a footer, one at a time, and have everybody read the file."""
    path = write_masks(folder, 3, 5).path(0)
    table, whole = ShardTable(folder, Mask), path.read_bytes()
    readers: list[Callable[[], Any]] = [
        lambda: look_at_file(path, 3),
        lambda: table.verify(0),
        lambda: list(table.iter_rows(0)),
        lambda: table.find_filled(0),
        lambda: list(_read_files([path])),
        lambda: Scanner(Findings()).scan_parquet(path, "g"),
    ]
    for reader in readers:
        reader()
    end = 8 * (len(whole) - 8)
    start = end - 8 * int.from_bytes(whole[-8:-4], "little")
    for place in random.Random(0).sample(range(start, end), 400):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        for reader in readers:
            with suppress(Exception):
                reader()


def test_no_footer_ends_the_process(tmp_path: Path) -> None:
    code = "import sys, tests.test_parquet_batches as t; t.flip_footers(t.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=PACKAGE.parent, check=True)


def test_nobody_asks_a_footer_for_its_columns() -> None:
    """`RowGroupMetaData.column` of a damaged one ends the process; see `iter_batches`.

    So row groups are taken out of footers in one place, whatever the variables are called.
    """
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(parse_file(path))
        if isinstance(node, ast.Attribute) and node.attr == "row_group"
    }
    assert users == {"parquet_batches.py"}
    asked = {
        ast.unparse(node.value)
        for node in ast.walk(parse_file(PACKAGE / "parquet_batches.py"))
        if isinstance(node, ast.Attribute) and node.attr in ("column", "to_dict")
    }
    assert asked == {"file.schema"}
