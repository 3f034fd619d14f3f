"""Handles one worker process from the pool's side."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from dfgen.errors import DfgenError
from dfgen.grade.worker import READY, WorkerSetup
from dfgen.interrupts import shield_children

if TYPE_CHECKING:
    from dfgen.grade.verdict import GradeItem

# A fresh interpreter, as with multiprocessing's "spawn", but the caller's main module is not run
# again: grading also works in notebooks, from standard input and in unguarded scripts.
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from dfgen.grade.worker import serve; serve(int(sys.argv[1]))"
)


class WorkerHandle:
    """One worker process and what it is doing.

    Args:
        setup: the first message.
        start_timeout_s: seconds until it must have said that it is ready.
        timeout_s: seconds for one item.
    """

    def __init__(self, setup: WorkerSetup, start_timeout_s: float, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        ours, theirs = socket.socketpair()
        with theirs, shield_children(signal.SIGTERM):
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(theirs.fileno()), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # standard output belongs to the command's data
                pass_fds=(theirs.fileno(),),
            )
        self.connection: Connection[object, object] = Connection(ours.detach())
        self.deadline = time.monotonic() + start_timeout_s
        self.ready = False
        self.graded = 0
        self.item: GradeItem | tuple[GradeItem, ...] | None = None
        try:
            self.connection.send(setup)
        except OSError:
            self.kill()
            raise self._explain_start() from None

    def assign(self, item: GradeItem | tuple[GradeItem, ...]) -> None:
        """Give the worker an item, or several, at once or as soon as it is ready.

        Raises:
            OSError: the process is dead.
        """
        self.item = item
        if self.ready:
            count = len(item) if isinstance(item, tuple) else 1
            self.deadline = time.monotonic() + self._timeout_s * count
            self.connection.send(item)

    def receive(self) -> object | None:
        """Return a verdict (a list of them for a tuple), or None when it was another message.

        Raises:
            EOFError, OSError: the process died.
        """
        message = self.connection.recv()
        if message == READY:
            self.ready = True
            if self.item is not None:
                self.assign(self.item)
            return None
        self.graded += 1
        self.item = None
        return message

    def kill(self) -> str:
        """End the process now and return how it ended, in words."""
        code = self._process.poll()
        self._process.kill()
        self._process.wait()
        self.connection.close()
        if code is None:
            return "killed"
        if code < 0:
            return f"died by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"

    def stop(self) -> None:
        """Let the process end by itself; kill it when it does not."""
        self.connection.close()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_for_death(self) -> None:
        """Give a process whose connection broke a moment to leave its exit status."""
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return

    @staticmethod
    def _explain_start() -> DfgenError:
        return DfgenError(
            "the process that grades answers cannot be started.",
            hint="Run `python -c 'import math_verify'`; its error output tells why.",
        )

    def explain_start(self) -> DfgenError:
        """Return the error for a worker that never became ready."""
        return self._explain_start()
