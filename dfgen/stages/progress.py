"""Lets a stage report how far it is, to whoever draws it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told what happens, in rows."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        """Note that a stage begins; earlier runs finished `done` of `total` rows."""

    def advance(self, rows: int, accepted: int = 0, rejected: int = 0, note: str = "") -> None:
        """Note finished rows, some of them accepted or rejected for good."""

    def finish(self, stage: str) -> None:
        """Note that the stage is complete."""

    def tell(self, sentence: str) -> None:
        """Say something that a person should read, between two stages."""


class Silence:
    """Reports nothing; for programs and tests."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        """Ignore."""

    def advance(self, rows: int, accepted: int = 0, rejected: int = 0, note: str = "") -> None:
        """Ignore."""

    def finish(self, stage: str) -> None:
        """Ignore."""

    def tell(self, sentence: str) -> None:
        """Ignore."""
