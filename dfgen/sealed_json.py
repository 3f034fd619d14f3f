"""Gives a JSON file a checksum of its own content, so that damage in it is found like any other.

The checksum stands in the file, beside what it is of. It is of what the file says, not of its
bytes: keys may stand in another order, and a file that somebody has pretty-printed is still whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "content_sha256"
"""Key of the checksum in the file."""


def seal(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON data with the checksum of all of it as its last key."""
    return {**data, SEAL: compute_seal(data)}


def is_whole(data: Mapping[str, Any]) -> bool | None:
    """Say whether data is what it was when it was sealed; None if it never was."""
    noted = data.get(SEAL)
    try:
        if noted is None:
            return False if _is_renamed(data) else None
        return bool(noted == compute_seal(data))
    except RecursionError:  # deeper than anything that was sealed
        return False


def compute_seal(data: Mapping[str, Any]) -> str:
    """Compute the sha256 of what JSON data says, its seal left out, 64 hex digits."""
    said = {key: value for key, value in data.items() if key != SEAL}
    # Numbers that are keys become texts first, as in the file, because texts sort in another order.
    text = json.dumps(json.loads(json.dumps(said)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_renamed(data: Mapping[str, Any]) -> bool:
    """Whether a seal stands there under another name, which damage may have given it."""
    return any(
        value == compute_seal({name: each for name, each in data.items() if name != key})
        for key, value in data.items()
        if isinstance(value, str) and len(value) == 64
    )
