"""Waits for the signal that ends `dfgen view`: Ctrl-C, SIGTERM, or a terminal that is gone."""

from __future__ import annotations

import asyncio
import signal

from dfgen.ending import BEYOND, leave_terminal


def end_on_signals() -> asyncio.Future[int]:
    """From now on, let a signal set the exit code that is returned: 0 of Ctrl-C, with which a
    person ends it as is meant.

    No exception comes up in the midst of an answer. What is ignored (`nohup`) stays so.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            leave_terminal()
        if not ended.done():
            ended.set_result(0 if number == signal.SIGINT else BEYOND + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, end, number)
    return ended
