"""Keeps in run.json how much was drawn in what time, which `dfgen stats` divides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfgen.store.run import Run

_PART = 4


class DrawingTime:
    """What one process has drawn of a run, pass after pass.

    A worker of a shared run has a few shards in a pass. Each note is a new run.json, which is the
    larger, the more shards there are, and which all others then read; so a pass is noted only when
    as much has come together as makes a part of what was noted before.

    Args:
        run: to which this is added.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._noted = 0
        self._fresh: dict[str, float] = {}

    def add(self, *, cells: int, tokens: int, seconds: float) -> None:
        """Count a pass. Raises `StorageError`."""
        passed = {"cells": cells, "tokens": tokens, "seconds": round(seconds, 3)}
        self._fresh = _add(self._fresh, passed)
        if _PART * self._fresh["cells"] >= self._noted:
            self.note()

    def note(self) -> None:
        """Note what is not noted yet. Raises `StorageError`."""
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, {}
        self._noted += int(fresh["cells"])
        self._run.note_stage("sample", lambda facts: {"drawn": _add(facts.get("drawn", {}), fresh)})


def _add(before: Mapping[str, Any], more: Mapping[str, float]) -> dict[str, float]:
    return {name: before.get(name, 0) + value for name, value in more.items()}
