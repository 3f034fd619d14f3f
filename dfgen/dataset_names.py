"""Lists names in an exported or published data set that no single table owns."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

MANIFEST = "dfgen.json"
FORMAT: Literal["dfgen.dataset/1"] = "dfgen.dataset/1"
"""Of the manifest."""
MOST_BYTES = 1 << 28
"""Of the manifest; a hundred thousand files take a tenth of it."""
SPLIT = "train"

STAGING = "publish"
"""Folder of a run in which what is to be published is put together."""

TABLE_KEY = b"dfgen.table"
"""Schema metadata of a published file: `<table>/<version>`."""

TOKENIZER_KEY = b"dfgen.tokenizer"
"""Schema metadata of a published file: sha256 of the tokenizer that its ids belong to."""


def name_shard(shard: int, shards: int) -> str:
    """Return the file name that `datasets` knows as part of the split `train`."""
    return f"{SPLIT}-{shard:05d}-of-{shards:05d}.parquet"


def leaves_folder(name: str) -> bool:
    """Say whether the path of a file in a data set, as its manifest has it, leads elsewhere."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
