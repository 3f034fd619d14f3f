"""Turns batches of Arrow into rows of Python values, row by row where one of them cannot be."""

from __future__ import annotations

from typing import Any

from dfgen.prompts.row_edge import make_storable

BATCH_BYTES, BATCH_ROWS = 16 * 1024 * 1024, 32
"""Rows hold pictures of up to megabytes; a batch stands in memory twice while it is converted."""


def to_rows(batch: Any) -> list[dict[str, Any] | str]:
    """Return the rows of a batch or table; a text in place of a row says what is wrong with it."""
    try:
        return list(batch.to_pylist(maps_as_pydicts="strict"))
    except MemoryError:
        raise
    except Exception:  # see _to_row
        return [_to_row(batch.slice(index, 1)) for index in range(batch.num_rows)]


def _to_row(batch: Any) -> dict[str, Any] | str:
    try:
        return dict(batch.to_pylist(maps_as_pydicts="strict")[0])
    except MemoryError:
        raise
    # Text that is not UTF-8, a date that Python has no value for, a map with a key twice, lists a
    # thousand deep: Arrow raises whatever Python raises.
    except Exception as error:
        return f"a cell cannot be read: {make_storable(str(error))}"
