"""A process that waits with heavy libraries imported, and becomes a command when it is asked to.

    python -m tests.support.preloaded SOCKET MODULE [MODULE ...]

See `tests.support.forking`, which starts it. Every order comes over a connection of its own with
two descriptors, for stdout and stderr. It is carried out by a grandchild; the child in between
tells the other end its pid, waits for it and tells its exit code.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import re
import runpy
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 200_000
LOOK_S = 1.0


@dataclass(frozen=True)
class Order:
    """A command: `python -m MODULE ARGUMENTS` with all of its surroundings."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    stdout: int
    stderr: int

    def carry_out(self) -> None:
        """Run the module as `__main__`; the interpreter ends as it does after any other."""
        os.dup2(self.stdout, 1)
        os.dup2(self.stderr, 2)
        os.close(self.stdout)
        os.close(self.stderr)
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        sys.path[0] = self.folder
        sys.argv = [self.module, *self.arguments]
        # What the command starts in its turn (`python -m ...`) takes the same short way.
        sys.executable = self.environment.get("DFGEN_TEST_PYTHON", sys.executable)
        runpy.run_module(self.module, run_name="__main__", alter_sys=True)


NO_COMMAND = re.compile(r"__main__$|\.trainers\.")
"""Modules that no command needs beforehand; those of trainers load torch, or want a trainer."""


def import_modules(names: list[str]) -> None:
    """Import modules; `package.*` is a package with all that is in it.

    What is not installed here is left out: without it a command starts later, that is all.
    """
    for name in names:
        with contextlib.suppress(ImportError):
            package = importlib.import_module(name.removesuffix(".*"))
            if name.endswith(".*"):
                folders = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
                import_modules([m.name for m in folders if not NO_COMMAND.search(m.name)])


def wait_for_order(listener: socket.socket) -> Order | None:
    """Fork for every order; returns it in the process that is to carry it out.

    Returns None when whoever started this process is gone.
    """
    parent = os.getppid()
    listener.settimeout(LOOK_S)
    while os.getppid() == parent:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        finally:
            reap()
        with connection:
            if os.fork() == 0:
                listener.close()
                return keep(connection)
    return None


def keep(connection: socket.socket) -> Order:
    """Fork once more, and look after that process; returns in it alone."""
    message, descriptors, _, _ = socket.recv_fds(connection, MOST_BYTES, 2)
    order: dict[str, Any] = json.loads(message)
    child = os.fork()
    if child == 0:
        connection.close()
        return Order(**order, stdout=descriptors[0], stderr=descriptors[1])
    for descriptor in descriptors:
        os.close(descriptor)
    # Ctrl-C is for the command.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whoever gave the order may be gone.
    with contextlib.suppress(OSError):
        connection.send(str(child).encode())
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def reap() -> None:
    """Let go of those that have done their work."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main(path: str, *modules: str) -> Order | None:
    """Import, listen, wait; the caller carries out the order that comes back, at its top level."""
    import_modules(list(modules))
    # Collections in the children would copy every page that they look at.
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(64)
    print("ready", flush=True)
    with listener:
        return wait_for_order(listener)


if __name__ == "__main__":
    _order = main(*sys.argv[1:])
    if _order is not None:
        _order.carry_out()
