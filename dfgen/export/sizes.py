"""How many bytes each row of an Arrow table takes, pictures included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa


def measure_rows(table: pa.Table) -> NDArray[np.int64]:
    """int64[rows]: uncompressed bytes of values (offsets and null bits left out)."""
    total = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        parts = [measure_values(chunk) for chunk in column.chunks]
        total += np.concatenate(parts) if parts else 0
    return total


def measure_values(array: pa.Array) -> NDArray[np.int64]:
    """int64[length]: bytes of each value of an array."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind: Any = array.type
    if pa.types.is_struct(kind):
        total = np.zeros(len(array), np.int64)
        for field in array.flatten():
            total += measure_values(field)
        return total
    if pa.types.is_list(kind):
        lengths = _to_lengths(pc.list_value_length(array))
        inner = measure_values(array.flatten())
        edges = np.append(0, np.cumsum(inner))
        ends = np.cumsum(lengths)
        return np.asarray(edges[ends] - edges[ends - lengths], dtype=np.int64)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _to_lengths(pc.binary_length(array))
    return np.full(len(array), max(1, kind.bit_width // 8), np.int64)


def _to_lengths(values: Any) -> NDArray[np.int64]:
    import pyarrow.compute as pc

    lengths: NDArray[np.int64] = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64)
