"""A hash over what a table says about masks, which any reader can compute again.

Files can be compared by their own hashes; this one tells whether what a library loads is what was
written, whatever it did to types and layout on the way.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.export.names import Config

if TYPE_CHECKING:
    import pyarrow as pa

MASK_COLUMNS: dict[Config, str | None] = {
    "groups": "loss_mask",
    "trajectories": "loss_mask",
    "preference": None,
    "stepwise": "labels",
}
"""The list of booleans that is hashed beside the trajectory's id."""


class MaskDigest:
    """sha256 over `trajectory_id`, a zero byte, and the mask as one byte per entry, row by row."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._column = MASK_COLUMNS[config]
        self._hash = hashlib.sha256()
        self.trajectories = 0

    def update(self, table: pa.Table) -> None:
        """Add the rows of a part of the table."""
        if self._config == "groups":
            for chunk in table["trajectories"].chunks:
                rows = chunk.flatten()
                self._add(rows.field("trajectory_id"), rows.field(self._column))
            return
        ids = table["trajectory_id"]
        masks = None if self._column is None else table[self._column]
        for index, chunk in enumerate(ids.chunks):
            self._add(chunk, None if masks is None else masks.chunk(index))

    def hexdigest(self) -> str:
        """64 hex digits."""
        return self._hash.hexdigest()

    def _add(self, ids: Any, masks: Any) -> None:
        names = ids.to_pylist()
        self.trajectories += len(names)
        if masks is None:
            self._hash.update(b"".join(name.encode() + b"\0" for name in names))
            return
        offsets = masks.offsets.to_numpy()
        values = masks.values.to_numpy(zero_copy_only=False).astype(np.uint8).tobytes()
        for name, start, end in zip(names, offsets, offsets[1:], strict=False):
            self._hash.update(name.encode() + b"\0" + values[start:end])
