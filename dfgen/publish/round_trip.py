"""Loads published tables with `datasets` alone.

python -m dfgen.publish.round_trip REPO REVISION CONFIG [CONFIG ...]
"""

from __future__ import annotations

import json
import os
import sys

BATCH_ROWS = 256
STREAM_ABOVE = 4 * 10**9
"""Bytes; a larger table is streamed, so that it needs no room on the disk."""


def main(repo_id: str, revision: str, *configs: str) -> None:
    """Print rows, trajectories and mask digest of every table as one line of JSON."""
    import datasets

    datasets.disable_progress_bars()
    print(json.dumps({config: load_table(repo_id, revision, config) for config in configs}))


def load_table(repo_id: str, revision: str, config: str) -> dict[str, int | str]:
    """Return what one table turns out to hold."""
    import datasets
    import pyarrow as pa

    from dfgen.export.digest import MaskDigest
    from dfgen.export.tables import find_table

    builder = datasets.load_dataset_builder(repo_id, config, revision=revision)
    streaming = (builder.info.download_size or 0) > STREAM_ABOVE
    table = datasets.load_dataset(
        repo_id, config, split="train", revision=revision, streaming=streaming
    ).with_format("arrow")
    digest = MaskDigest(find_table(config))
    rows = 0
    for batch in table.iter(batch_size=BATCH_ROWS):
        part = batch if isinstance(batch, pa.Table) else pa.table(batch)
        digest.update(part)
        rows += part.num_rows
    return {"rows": rows, "trajectories": digest.trajectories, "masks": digest.hexdigest()}


if __name__ == "__main__":
    main(*sys.argv[1:])
    # `datasets` leaves threads of Arrow's that hold Python objects. One that lets go of them while
    # the interpreter ends aborts the process (https://github.com/apache/arrow/issues/34314).
    sys.stdout.flush()
    os._exit(0)
