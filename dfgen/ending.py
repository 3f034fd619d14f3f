"""Ends a command on SIGTERM and SIGHUP as Ctrl-C does: what is open is closed on the way out.

Without that, a process that is asked to end dies where it stands: a lock, a file half written and
the processes that it has started stay behind.
"""

from __future__ import annotations

import os
import signal
import stat
from contextlib import suppress
from types import FrameType

BEYOND = 128
"""Shells say that a signal has ended a command by an exit code: this and the signal's number."""

INTERRUPTED = BEYOND + signal.SIGINT


class Ended(KeyboardInterrupt):
    """A signal other than that of Ctrl-C asks the process to end.

    Attributes:
        exit_code: with which it does.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = BEYOND + number


def end_in_order() -> None:
    """From now on, raise `Ended` on SIGTERM and SIGHUP; what is ignored (`nohup`) stays so."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def find_exit_code(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code that says which signal has ended a command."""
    return interrupt.exit_code if isinstance(interrupt, Ended) else INTERRUPTED


def leave_terminal() -> None:
    """Let what is said from now on go nowhere where it went to a terminal: that is gone.

    Writing to it is an error, and what a process still has to finish must not fail of that.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        with suppress(OSError):
            # isatty() says no of a terminal that has hung up.
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                os.dup2(nowhere, stream)
    os.close(nowhere)


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    if number == signal.SIGHUP:
        leave_terminal()
    raise Ended(number)
