"""A table is described in one file; everything else knows tables from the list alone."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dfgen
from dfgen.errors import InputError
from dfgen.export.digest import MaskDigest
from dfgen.export.exporting import export_tables
from dfgen.export.shard import Shard
from dfgen.export.tables import TABLES, find_table
from dfgen.export.tables.table import ExportTable
from dfgen.store.finished import open_finished
from tests.support.code_trees import parse_file

PACKAGE = Path(dfgen.__file__).parent


def list_literals(path: Path) -> set[str]:
    """Every string of a module that is no docstring."""
    tree = parse_file(path)
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("name", ["preference", "stepwise", "chord", "luffy"])
def test_a_tables_name_stands_in_its_own_file_only(name: str) -> None:
    files = [path for path in PACKAGE.rglob("*.py") if name in list_literals(path)]
    assert files == [PACKAGE / f"export/tables/{name}.py"]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_table_says_what_it_is(table: ExportTable) -> None:
    schema = table.make_schema("0" * 64)
    assert table.description[0].islower() and not table.description.endswith(".")
    assert len(table.name) + len(table.description) < 94  # the help's width
    inner = schema
    if table.nested_in is not None:
        inner = pa.schema(list(schema.field(table.nested_in).type.value_type))
    assert "trajectory_id" in inner.names
    if table.mask_column is not None:
        assert inner.field(table.mask_column).type == pa.list_(pa.bool_())


def test_a_new_table_is_exported_counted_and_digested(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_lengths(shard: Shard) -> dict[str, object]:
        ids = shard.masks["completion_ids"].to_pylist()
        names = shard.masks["trajectory_id"]
        return {"trajectory_id": names, "length": [len(each) for each in ids]}

    lengths = ExportTable(
        "lengths",
        "tokens of each answer",
        lambda: [("trajectory_id", pa.string()), ("length", pa.int64())],
        make_lengths,
        mask_column=None,
        needs_prompts=False,
    )
    monkeypatch.setitem(TABLES, "lengths", lengths)
    manifest = export_tables(open_finished(run), ["lengths"], tmp_path / "out")
    (file,) = manifest.tables["lengths"].files
    table = pq.read_table(tmp_path / "out" / file.path)
    assert table.num_rows == manifest.tables["lengths"].rows == 32
    digest = MaskDigest(lengths)
    digest.update(table)
    assert digest.hexdigest() == manifest.tables["lengths"].masks_sha256


def test_a_newer_version_of_a_table_is_another_table() -> None:
    table = replace(TABLES["groups"], version=2)
    assert (TABLES["groups"].label, table.label) == ("groups/1", "groups/2")


def test_an_unknown_table_is_named_with_those_there_are(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)no table 'group'.*groups, trajectories"):
        find_table("group")
    with pytest.raises(InputError, match="no table 'group'"):
        export_tables(open_finished(run), ["group"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
