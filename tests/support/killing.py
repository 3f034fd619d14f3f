"""Ends a process before one of its renames or removals, as far as a test can do so from within."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Killed(BaseException):
    """The end of a process: nothing of the package catches it."""


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
