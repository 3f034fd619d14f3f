"""Keeps Ctrl-C from child processes: it is the parent that stops, and it stops them.

A terminal sends SIGINT to every process of its group. A child that is still importing has no
handler of its own yet, so it dies with a traceback, and the parent takes that for a fault. What is
started inside of `shield_children` has SIGINT blocked from its first instruction on, because a
signal mask, unlike a handler, is inherited through exec (POSIX, `execve`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def shield_children() -> Iterator[None]:
    """Let processes that are started meanwhile never see a Ctrl-C.

    This process is still told of it, and its handler runs: a thread that waits takes the signal in
    the place of the one that starts processes.
    """
    # multiprocessing starts a process of its own with the first child, and unblocks SIGINT then.
    resource_tracker.ensure_running()
    ended = threading.Event()
    receiver = threading.Thread(target=ended.wait, name="dfgen-interrupts", daemon=True)
    receiver.start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        ended.set()
        receiver.join()
