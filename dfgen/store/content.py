"""The identity of a set of prompts: a hash over what they say, not over where they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_FIELDS = ("prompt_id", "question", "choices", "answer", "answer_type", "solution", "metadata")


class ContentHash:
    """sha256 over prompts in their order.

    Feed it every accepted prompt, then give `hexdigest()` as the fact `content` to
    `Run.check_stage("prompts", ...)`. Pictures count with the hashes in `image_info`; the column
    `source` does not count, so a file that has moved still holds the same prompts.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, prompt: Mapping[str, Any]) -> None:
        """Add one prompt, as a mapping of the columns of `dfgen.records.Prompt`."""
        parts = [prompt[name] for name in _FIELDS]
        parts.append([info["sha256"] for info in prompt["image_info"]])
        self._hash.update(json.dumps(parts).encode() + b"\n")

    def hexdigest(self) -> str:
        """64 hex digits."""
        return self._hash.hexdigest()
