"""Names in an exported or published data set."""

from __future__ import annotations

from typing import Literal, get_args

Config = Literal["groups", "trajectories", "preference", "stepwise"]

CONFIGS: tuple[Config, ...] = get_args(Config)
"""In the order of the card; the first one published is the default."""

MANIFEST = "dfgen.json"
SPLIT = "train"

TABLE_KEY = b"dfgen.table"
"""Schema metadata of a published file: `<config>/<version>`."""

TOKENIZER_KEY = b"dfgen.tokenizer"
"""Schema metadata of a published file: sha256 of the tokenizer that its ids belong to."""

TABLE_VERSION = 1


def name_table(config: Config) -> str:
    """What stands under `dfgen.table`."""
    return f"{config}/{TABLE_VERSION}"


def name_shard(shard: int, shards: int) -> str:
    """The file name that `datasets` knows as part of the split `train`."""
    return f"{SPLIT}-{shard:05d}-of-{shards:05d}.parquet"
