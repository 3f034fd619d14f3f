"""A bound on work that says the same on a busy machine as on a quiet one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bounded_work(seconds: float = 20.0) -> Iterator[None]:
    """Fail if a block costs this process more processor time than that.

    For work that must not grow with the square of its input: that takes minutes, and what is well
    takes a second, so the bound decides nothing close. Time that others have the processor, and
    time spent waiting, do not count.
    """
    start = time.process_time()
    yield
    spent = time.process_time() - start
    assert spent < seconds, f"{spent:.1f} s of processor time"
