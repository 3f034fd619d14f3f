"""Progress on stderr: bars on a terminal, a line now and then elsewhere.

All count the rows of this start, from 0 to those that were left to do when it began; what earlier
starts have done is said once, beside them.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType

import click

from dfgen.terminal_text import show_line

# Seconds between lines when stderr is a file: enough to see life, too few to fill a log.
LINE_INTERVAL = 30.0


class LineProgress:
    """One line when a stage starts, every half minute, and when it ends."""

    def __init__(self) -> None:
        self.stage = ""
        self.total: int | None = None
        self.rows = self.accepted = self.rejected = 0
        self.began = self.spoke = 0.0

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def start(self, stage: str, total: int | None, done: int) -> None:
        """Note that a stage begins."""
        self.stage, self.rows = stage, 0
        self.total = None if total is None else total - done
        self.accepted = self.rejected = 0
        self.began = self.spoke = time.monotonic()
        todo = "begun" if self.total is None else f"{_count_rows(self.total)} to do"
        before = f", {done:,} done before" if done else ""
        click.echo(f"{stage}: {todo}{before}", err=True)

    def advance(self, rows: int, accepted: int = 0, rejected: int = 0, note: str = "") -> None:
        """Note finished rows."""
        self.rows += rows
        self.accepted += accepted
        self.rejected += rejected
        if time.monotonic() - self.spoke >= LINE_INTERVAL:
            self.spoke = time.monotonic()
            click.echo(f"{self.stage}: {self._state()} {note}".rstrip(), err=True)

    def finish(self, stage: str) -> None:
        """Note that the stage is complete."""
        took = time.monotonic() - self.began
        click.echo(f"{stage}: done, {self._state()}, {took:.1f} s", err=True)

    def tell(self, sentence: str) -> None:
        """Print a line."""
        click.echo(show_line(sentence), err=True)

    def _state(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        rejected = f", {self.rejected:,} rejected" if self.rejected else ""
        accepted = f", {self.accepted:,} accepted" if self.accepted else ""
        last = self.rows if self.total is None else self.total
        return f"{self.rows:,}{of} row{'s' * (last != 1)}{accepted}{rejected}"


def _count_rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


class BarProgress:
    """A bar per stage with rate, time left, accepted and rejected rows."""

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        from dfgen.report.console import open_console

        self.bars = Progress(
            TextColumn("{task.description:>8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
            console=open_console(stderr=True),
        )
        self.task: object = None
        self.rows = self.accepted = self.rejected = 0
        self.began = 0.0
        self.before = ""

    def __enter__(self) -> BarProgress:
        self.bars.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.__exit__(kind, error, trace)

    def start(self, stage: str, total: int | None, done: int) -> None:
        """Note that a stage begins."""
        self.rows = self.accepted = self.rejected = 0
        self.began = time.monotonic()
        self.before = f"{done:,} done before" if done else ""
        self.task = self.bars.add_task(
            stage, total=None if total is None else total - done, state=self.before, rate=""
        )

    def advance(self, rows: int, accepted: int = 0, rejected: int = 0, note: str = "") -> None:
        """Note finished rows."""
        self.rows += rows
        self.accepted += accepted
        self.rejected += rejected
        parts = [self.before, f"{self.accepted:,} accepted" if self.accepted else ""]
        parts += [f"{self.rejected:,} rejected" if self.rejected else "", show_line(note)]
        rate = self.rows / max(time.monotonic() - self.began, 1e-9)
        self.bars.update(
            self.task,  # type: ignore[arg-type]
            advance=rows,
            state=", ".join(part for part in parts if part),
            rate=f"{rate:,.1f}/s",
        )

    def finish(self, stage: str) -> None:  # noqa: ARG002
        """Note that the stage is complete."""
        task = self.bars.tasks[self.task]  # type: ignore[call-overload]
        self.bars.update(self.task, total=task.completed)  # type: ignore[arg-type]

    def tell(self, sentence: str) -> None:
        """Print a line above the bars."""
        self.bars.console.print(show_line(sentence), soft_wrap=True)


def make_progress(quiet: bool) -> LineProgress | BarProgress | QuietProgress:
    """Bars on a terminal, lines elsewhere, nothing with --quiet."""
    if quiet:
        return QuietProgress()
    return BarProgress() if sys.stderr.isatty() else LineProgress()


class QuietProgress(LineProgress):
    """Says nothing."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        """Ignore."""

    def advance(self, rows: int, accepted: int = 0, rejected: int = 0, note: str = "") -> None:
        """Ignore."""

    def finish(self, stage: str) -> None:
        """Ignore."""

    def tell(self, sentence: str) -> None:
        """Ignore."""
