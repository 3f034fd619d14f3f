"""A Parquet file whose column names are no UTF-8 is refused by its name, whoever reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfgen.errors import DfgenError
from dfgen.export.sources import open_files
from dfgen.export.tables import GROUPS
from dfgen.report.curves import read_curves
from dfgen.trainers.privileged import read_contexts
from dfgen.trainers.reading import read_schema
from dfgen.validate.path import validate_path
from tests.prompts.source_files import prompts

READERS: dict[str, Callable[[Path], object]] = {
    "prompts": lambda path: prompts(path=str(path)),
    "curves": read_curves,
    "export": lambda path: list(open_files([path], GROUPS).batches(None)),
    "privileged": read_contexts,
    "trainers": read_schema,
    "validate": lambda path: validate_path(path, None),
}


@pytest.mark.parametrize("reader", READERS)
def test_names_that_are_no_text(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"question": ["a"], "XXXX": ["1"]}), path, store_schema=False)
    whole = path.read_bytes()
    assert whole.count(b"XXXX") > 1
    path.write_bytes(whole.replace(b"XXXX", b"\xff\xfe\xff\xfe"))
    with pytest.raises(DfgenError) as raised:
        READERS[reader](path)
    assert "a.parquet" in str(raised.value)
