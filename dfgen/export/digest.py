"""Hashes what a table says about masks, so that any reader can prove it got what was written.

Files can be compared by their own hashes; this one tells whether what a library loads is what was
written, whatever it did to types and layout on the way.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.export.tables.table import ExportTable


class MaskDigest:
    """sha256 over `trajectory_id`, a zero byte, and the mask as one byte per entry, row by row.

    Args:
        table: which table; it says where its masks stand.
    """

    def __init__(self, table: ExportTable) -> None:
        self._nested_in = table.nested_in
        self._column = table.mask_column
        self._hash = hashlib.sha256()
        self.trajectories = 0

    def update(self, table: pa.Table) -> None:
        """Add the rows of a part of the table."""
        if self._nested_in is not None:
            for chunk in table[self._nested_in].chunks:
                rows = chunk.flatten()
                masks = None if self._column is None else rows.field(self._column)
                self._add(rows.field("trajectory_id"), masks)
            return
        ids = table["trajectory_id"]
        masks = None if self._column is None else table[self._column]
        for index, chunk in enumerate(ids.chunks):
            self._add(chunk, None if masks is None else masks.chunk(index))

    def hexdigest(self) -> str:
        """Return 64 hex digits."""
        return self._hash.hexdigest()

    def _add(self, ids: Any, masks: Any) -> None:
        names = [name or "" for name in ids.to_pylist()]
        self.trajectories += len(names)
        if masks is None:
            self._hash.update(b"".join(name.encode() + b"\0" for name in names))
            return
        offsets = masks.offsets.to_numpy()
        values = masks.values.to_numpy(zero_copy_only=False).astype(np.uint8).tobytes()
        for name, start, end in zip(names, offsets, offsets[1:], strict=False):
            self._hash.update(name.encode() + b"\0" + values[start:end])
