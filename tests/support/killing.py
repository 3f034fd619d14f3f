"""Ends a process before a step that it takes on disk, as far as a test can do so from within."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dfgen.store import run as run_module
from dfgen.store.shards import ShardTable


class Killed(BaseException):
    """The end of a process: nothing of the package catches it."""


def list_below(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    tasks = Path("/proc", str(pid), "task").glob("*/children")
    try:
        own = [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:  # it has just ended
        return []
    return own + [below for child in own for below in list_below(child)]


def press_ctrl_c(pid: int) -> None:
    """Interrupt a command and all that it has started, as a terminal does."""
    for each in (pid, *list_below(pid)):
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGINT)


@contextmanager
def kill_after(monkeypatch: pytest.MonkeyPatch, moves: int) -> Iterator[None]:
    """Raise `Killed` instead of the next rename or removal of a path, once so many were done."""
    left = [moves]

    def count_down(real: Any) -> Any:
        def act(self: Path, *args: Any, **kwargs: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(self, *args, **kwargs)

        return act

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", count_down(Path.replace))
        patch.setattr(Path, "unlink", count_down(Path.unlink))
        yield


def kill_before_write(patch: pytest.MonkeyPatch, moment: int, *, manifest: bool = True) -> None:
    """Raise `Killed` instead of the write of this number: of tables, entries and run.json.

    Args:
        manifest: whether those of run.json count.
    """
    left = [moment]

    def count() -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            count()
            return real(*arguments)

        return call

    real_remove = ShardTable.remove

    def remove(table: ShardTable, shard: int) -> None:
        if table.exists(shard):
            count()
        real_remove(table, shard)

    patch.setattr(ShardTable, "write", counted(ShardTable.write))
    patch.setattr(ShardTable, "remove", remove)
    for name in ("write_entry", "update_manifest") if manifest else ("write_entry",):
        patch.setattr(run_module, name, counted(getattr(run_module, name)))
