"""Lets a stage report how far it is, to whoever draws it."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from dfgen.store.activity import ActivityFile


class Progress(Protocol):
    """Told what happens, in rows."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        """Note that a stage begins; earlier runs finished `done` of `total` rows."""

    def advance(self, rows: int, accepted: int = 0, rejected: int = 0, note: str = "") -> None:
        """Note finished rows, some of them accepted or rejected for good."""

    def finish(self, stage: str) -> None:
        """Note that the stage is complete."""

    def tell(self, sentence: str) -> None:
        """Say something that a person should read, where no row is finished for a while."""


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


class NotedProgress:
    """Hands on what is reported, and keeps it where `dfgen status` finds it while this is entered.

    Args:
        inner: who draws it.
        file: that `dfgen status` reads; the lock of the run is held.
        shared: several work on the run: rows that are not to do here are nothing that an earlier
            start has done, and are left out.

    Attributes:
        worked: whether a stage has begun.
    """

    def __init__(self, inner: Progress, file: ActivityFile, *, shared: bool = False) -> None:
        self._inner = inner
        self._file = file
        self._shared = shared
        self.worked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.remove()

    def start(self, stage: str, total: int | None, done: int) -> None:
        """Note that a stage begins."""
        self.worked = True
        if self._shared:
            total, done = None if total is None else total - done, 0
        self._inner.start(stage, total, done)
        self._file.start(stage, total, done)

    def advance(self, rows: int, accepted: int = 0, rejected: int = 0, note: str = "") -> None:
        """Note finished rows."""
        self._inner.advance(rows, accepted, rejected, note)
        self._file.advance(rows, accepted, rejected, note)

    def finish(self, stage: str) -> None:
        """Note that the stage is complete."""
        self._inner.finish(stage)
        self._file.tell("")

    def tell(self, sentence: str) -> None:
        """Hand on what takes its time."""
        self._inner.tell(sentence)
        self._file.tell(sentence)
