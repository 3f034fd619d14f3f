"""Starts `python -m dfgen ...` in a moment: a process of its own, forked from one that waits.

    process = start_module("dfgen", "run", "recipe.yaml", "--out", "runs/x")
    out, err = process.communicate(timeout=300)

Starting dfgen with models or `datasets` costs seconds of processor time, nearly all of it imports,
and tests do so more than a hundred times. A fork of a process that has the libraries imported is
the same command (own environment, folder, signals, exit code, children), except that a library
that was there already has read its environment variables. So there are two sets of libraries, and
tests about the start itself, or about a variable that a library reads as it is imported, start
`sys.executable` as users do.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Literal

ROOT = Path(__file__).parents[2]
Libraries = Literal["models", "hub"]

_SHARED = ("pyarrow.parquet", "numpy", "PIL.Image", "pydantic", "yaml", "rich.progress", "aiohttp")
_BELOW_HUB = ("pandas", "fsspec", "httpx", "httpx2", "dill", "multiprocess", "xxhash")
_READING = tuple(f"dfgen.{name}.*" for name in ("cli", "store", "export", "report", "publish"))
#: What each waiting process has imported. With `hub` nothing of Hugging Face is: huggingface_hub
#: and datasets read HF_ENDPOINT, HF_HOME and the like as they are imported.
PRELOADED: dict[Libraries, tuple[str, ...]] = {
    "models": (*_SHARED, "torch", "transformers.models.auto", "datasets", "openai", "dfgen.*"),
    "hub": (*_SHARED, *_BELOW_HUB, *_READING),
}

_LAUNCHER = """#!{python} -IS
import json, os, socket, sys
if sys.argv[1] != "-m":
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
order = dict(module=sys.argv[2], arguments=sys.argv[3:], environment=dict(os.environ))
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect({socket!r})
socket.send_fds(connection, [json.dumps(order | dict(folder=os.getcwd())).encode()], [1, 2])
connection.recv(100)
code = int(connection.recv(100) or 1)
sys.exit(code if code >= 0 else 128 - code)
"""


class Forked:
    """A running command; the part of `subprocess.Popen` that tests use.

    Attributes:
        pid: of the command itself.
        returncode: None while it runs, -N if signal N ended it.
    """

    def __init__(
        self, connection: socket.socket, args: list[str], stdout: IO[bytes], stderr: IO[bytes]
    ) -> None:
        self.args = args
        self.returncode: int | None = None
        self.pid = int(connection.recv(100))
        self._connection = connection
        self._files = stdout, stderr

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; returns the exit code."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._connection.recv(100))
            self._connection.close()
        return self.returncode

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end; returns what it wrote to stdout and stderr."""
        self.wait(timeout)
        texts = []
        for file in self._files:
            if not file.closed:
                file.seek(0)
                texts.append(file.read().decode())
                file.close()
            else:
                texts.append("")
        return texts[0], texts[1]


def start_module(
    module: str,
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    libraries: Libraries = "models",
    merge: bool = False,
) -> Forked:
    """Start `python -m MODULE ARGUMENTS`.

    Args:
        env: all of its environment; by default that of the tests.
        libraries: which of `PRELOADED` it finds imported.
        merge: stderr goes where stdout goes.
    """
    waiting = _start_waiting(libraries)
    words = list(map(str, arguments))
    order = {
        "module": module,
        "arguments": words,
        "environment": {**(os.environ if env is None else env), "DFGEN_TEST_PYTHON": waiting[1]},
        "folder": str(Path.cwd()),
    }
    # Files, not pipes: nobody has to read while the command runs.
    stdout, stderr = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(waiting[0])
    descriptors = [stdout.fileno(), (stdout if merge else stderr).fileno()]
    socket.send_fds(connection, [json.dumps(order).encode()], descriptors)
    return Forked(connection, [module, *words], stdout, stderr)


@functools.cache
def _start_waiting(libraries: Libraries) -> tuple[str, str]:
    """Socket of the process that waits, and a stand-in for `python` that asks it."""
    folder = tempfile.TemporaryDirectory(prefix="dfgen-waiting-")
    path, launcher = Path(folder.name) / "socket", Path(folder.name) / "python"
    launcher.write_text(_LAUNCHER.format(python=sys.executable, socket=str(path)), "utf-8")
    launcher.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.preloaded", str(path), *PRELOADED[libraries]],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"

    def end() -> None:
        process.terminate()
        process.wait()
        folder.cleanup()

    atexit.register(end)
    return str(path), str(launcher)
