"""Writes float32 numbers in as few digits as lead back to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def list_floats(values: NDArray[np.float32]) -> list[Any]:
    """Return Python floats that print short (`-0.1`) and are the same float32 when read again."""
    return [float(str(value)) for value in np.asarray(values, np.float32)]
