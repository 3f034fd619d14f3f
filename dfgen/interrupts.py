"""Keeps Ctrl-C from child processes: it is the parent that stops, and it stops them.

A terminal sends SIGINT to every process of its group, and SIGHUP when it goes away. A child that is
still importing has no handler of its own yet, so it dies, of SIGINT with a traceback, and the
parent takes that for a fault. What is started inside of `shield_children` has both blocked from its
first instruction on, because a signal mask, unlike a handler, is inherited through exec (POSIX,
`execve`). Schedulers and `systemd` send SIGTERM to every process alike: it may be kept from a child
that its parent never ends by it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path

_OF_TERMINALS = {signal.SIGINT, signal.SIGHUP}
"""What a terminal sends to all of its processes: Ctrl-C, and that it is gone."""

_WAKING = signal.SIGURG
"""Ends a system call of the thread that waits in it; nobody dies of it who does not know it."""


@contextmanager
def shield_children(*more: signal.Signals) -> Iterator[None]:
    """Let processes that are started meanwhile never see a Ctrl-C.

    This process is still told of it, and its handler runs: a thread that waits takes the signal in
    the place of the one that starts processes, and wakes it if it is waiting for something.

    Args:
        more: signals that they never see either.
    """
    start_tracker()
    with _waking_main():
        ended = threading.Event()
        receiver = threading.Thread(target=ended.wait, name="dfgen-interrupts", daemon=True)
        receiver.start()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_OF_TERMINALS, *more})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            ended.set()
            receiver.join()


def start_tracker() -> None:
    """Start the process that multiprocessing has for itself, unless it is there.

    That would start with the first lock or child, unblock SIGINT, and die of a SIGHUP; the next
    lock that is let go of would then be told of on the terminal, with tracebacks.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ending_children() -> Iterator[None]:
    """End the processes that were started meanwhile, should a Ctrl-C end what starts them.

    Whoever has started one whole ends it himself. One that was only half started is nobody's, and
    would write a traceback as soon as it finds its parent's pipe closed. Where the system does not
    list the children of a process, it does.
    """
    before = _list_children()
    try:
        yield
    except KeyboardInterrupt:
        for pid in _list_children() - before:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise


def _list_children() -> set[int]:
    lists = Path("/proc/self/task").glob("*/children")
    with suppress(OSError):  # a thread has just ended
        return {int(pid) for each in lists for pid in each.read_text().split()}
    return set()


@contextmanager
def _waking_main() -> Iterator[None]:
    """While entered by the main thread, a stop that another thread takes ends what it waits for.

    Python runs handlers in the main thread only, between two of its own instructions: one that
    waits for another process would hear of the signal when that has answered.
    """
    main = threading.main_thread()
    alone = threading.current_thread() is main and signal.getsignal(_WAKING) is signal.SIG_DFL
    if not alone or (before := signal.set_wakeup_fd(-1)) != -1:
        if alone:
            signal.set_wakeup_fd(before)
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def pass_on() -> None:
        while number := os.read(reading, 1)[0]:
            if number in {*_OF_TERMINALS, signal.SIGTERM} and main.ident is not None:
                signal.pthread_kill(main.ident, _WAKING)

    signal.signal(_WAKING, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    waker = threading.Thread(target=pass_on, name="dfgen-waking", daemon=True)
    waker.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        os.set_blocking(writing, True)
        os.write(writing, b"\0")
        waker.join()
        signal.signal(_WAKING, signal.SIG_DFL)
        os.close(reading)
        os.close(writing)
