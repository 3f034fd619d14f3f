"""Lets a stage report how far it is, to whoever draws it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told what happens, in rows."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        """A stage begins; `done` of `total` rows were finished by earlier runs."""

    def advance(self, rows: int, accepted: int = 0, rejected: int = 0, note: str = "") -> None:
        """Rows finished; some of them accepted or rejected for good."""

    def finish(self, stage: str) -> None:
        """The stage is complete."""


class Silence:
    """Reports nothing; for programs and tests."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        """Ignore."""

    def advance(self, rows: int, accepted: int = 0, rejected: int = 0, note: str = "") -> None:
        """Ignore."""

    def finish(self, stage: str) -> None:
        """Ignore."""
