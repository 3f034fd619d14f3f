"""Chooses the settings of every Parquet file that dfgen writes.

zstd level 3 on tokens and text (a quarter smaller than the usual snappy); pictures, which are
compressed already, raw and plain, so that equal pictures are equal bytes in the file; content-
defined chunking, so that a new version of a data set uploads only what changed; page index for
viewers and range reads; row groups of about 64 MB, below the limits of the Hub's viewer.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from dfgen.records import Prompt
from dfgen.store.arrow_schema import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

PAGES_END = "dfgen.pages_end"
"""Key in the footer of a run's file: where its last page ends, so that a file without its middle
shows. Every column's place in the footer says it too, but pyarrow 26 ends the process where these
are damaged (`dfgen.parquet_batches`)."""

ROW_GROUP_BYTES = 64 * 1024 * 1024
"""Uncompressed size at which a row group ends."""

_CHUNKING = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}
_RAW_LEAF = "bytes"


PICTURE_FEATURE = json.dumps({"info": {"features": {"images": [{"_type": "Image"}]}}})
"""Metadata `huggingface` of a schema with a column `images`: it makes `datasets` show pictures.

It names only that column, in the form of a plain list, which datasets 3.6 and 5.2 both restore
(`_type: List` is unknown to 3.6); both infer the rest from Arrow. `datasets` compares types to the
letter and knows no "not null", so the column must be of `make_images_type()`.
"""


def make_images_type() -> pa.DataType:
    """Pictures as encoded bytes with a name, every part nullable."""
    import pyarrow as pa

    return pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


@cache
def make_file_schema(model: type[BaseModel]) -> pa.Schema:
    """Make the Arrow schema of a record as it is written to a file.

    Prompts say which column holds pictures (`PICTURE_FEATURE`), and that column gives up "not null"
    for it; the rows are validated before they are written.
    """
    import pyarrow as pa

    schema = arrow_schema(model)
    if model is not Prompt:
        return schema
    index = schema.get_field_index("images")
    schema = schema.set(index, pa.field("images", make_images_type()))
    return schema.with_metadata({**arrow_schema(model).metadata, "huggingface": PICTURE_FEATURE})


def make_writer_options(schema: pa.Schema) -> dict[str, Any]:
    """Keyword arguments of `pyarrow.parquet.ParquetWriter`."""
    import pyarrow as pa

    leaves = _list_leaves(schema)
    coded = [leaf for leaf in leaves if not _is_raw(leaf)]
    options: dict[str, Any] = {
        "compression": {leaf: "NONE" if _is_raw(leaf) else "ZSTD" for leaf in leaves},
        "compression_level": dict.fromkeys(coded, 3),
        "use_dictionary": coded,
        "write_page_checksum": True,
        "write_page_index": True,
        "version": "2.6",
    }
    # pyarrow 21 brought content-defined chunking; dfgen also runs with 20.
    if int(pa.__version__.split(".")[0]) >= 21:
        options["use_content_defined_chunking"] = _CHUNKING
    return options


def _is_raw(leaf: str) -> bool:
    return leaf.rpartition(".")[2] == _RAW_LEAF


@cache
def _list_leaves(schema: pa.Schema) -> tuple[str, ...]:
    """Parquet's own names of the leaf columns, such as `images.list.element.bytes`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    columns = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return tuple(columns.column(i).path for i in range(len(columns)))
