"""Serves a repairer in a job of its own and hands its address over through a folder that all see.

The job of a server writes `server-N.json` once the server answers, and takes it away when it goes.
Workers ask the addresses that they find before they use them: a job that was killed takes nothing
away, and one that comes back, on another node, has another address.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.listing import list_models
from dfgen.errors import LaunchError
from dfgen.regular_files import read_json
from dfgen.stages.stopping import StopSignal
from dfgen.store.atomic_files import replace_file
from dfgen.store.os_errors import explain_os_errors

KEY_VARIABLE = "DFGEN_SERVER_KEY"
"""Environment variable by which workers are given the servers' key."""

LOOK_S = 2.0
"""Seconds between two looks whether a server answers, or has ended."""

ASK_S = 15.0
"""Seconds between two questions to the scheduler whether anybody is left to serve."""

WAIT_S = 3600.0
"""Seconds that a worker waits for a server: queueing for GPUs is not among them, loading is."""

ENOUGH_S = 300.0
"""Seconds after the first server answers in which workers wait for the others, too."""

_END_S = 30.0
_TIMEOUT_S = 5.0
_MOST_BYTES = 1 << 16
_ADDRESS = re.compile(r"http://[\w.-]{1,253}:[0-9]{1,5}/v1", re.ASCII)


@dataclass(frozen=True)
class Place:
    """Where a server's job stands among those of its launch: number `index` of `count`."""

    folder: Path
    index: int
    count: int

    @property
    def file(self) -> Path:
        """What it says of itself."""
        return self.folder / f"server-{self.index}.json"


def serve(
    command: Sequence[str],
    place: Place,
    key: str,
    is_over: Callable[[], bool],
    stop: StopSignal,
) -> bool:
    """Run a server until nobody is left to serve.

    Args:
        command: words that start it, but for `--host HOST --port PORT`; vLLM and SGLang take these.
        place: where its address is written.
        key: that it demands of clients; it finds it in VLLM_API_KEY.
        is_over: asked now and then whether anybody is left.
        stop: entered by the caller.

    Returns:
        False if a stop was asked for before.

    Raises:
        LaunchError: the command cannot be started, or the server has ended by itself.
        StorageError: the address cannot be written.
    """
    port = _find_port()
    url = f"http://{socket.gethostname()}:{port}/v1"
    environment = {**os.environ, "VLLM_API_KEY": key}
    full = [*command, "--host", "0.0.0.0", "--port", str(port)]  # workers are elsewhere
    _forget(place)
    try:
        # A group of its own: an engine's processes end with it, and after what it answers.
        process = subprocess.Popen(full, env=environment, start_new_session=True)
    except OSError as error:
        reason = f"the server cannot be started: {error.strerror}"
        _write(place, {"failed": reason})
        raise LaunchError(f"{reason}.", where=command[0]) from None
    try:
        with stop.calling(lambda: process.send_signal(signal.SIGTERM)):
            return _attend(process, place, url, key, is_over, stop)
    finally:
        _end(process)


def _attend(
    process: subprocess.Popen[bytes],
    place: Place,
    url: str,
    key: str,
    is_over: Callable[[], bool],
    stop: StopSignal,
) -> bool:
    announced = False
    asked = time.monotonic()
    while process.poll() is None:
        if stop.requested:
            break
        if not announced and does_answer(url, key):
            _write(place, {"url": url, "count": place.count})
            announced = True
        if time.monotonic() - asked >= ASK_S:
            asked = time.monotonic()
            if is_over():
                _forget(place)
                return True
        time.sleep(LOOK_S)
    _forget(place)
    if stop.requested:
        return False
    reason = f"the server ended with exit code {process.returncode}"
    _write(place, {"failed": reason})
    raise LaunchError(f"{reason}; what it said stands above.", where=str(process.args))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and what it has started, by force if asking is of no use."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def find_servers(folder: Path, key: str, stop: StopSignal, wait_s: float = WAIT_S) -> list[str]:
    """Wait until the servers of a launch answer; returns their base URLs.

    All of them if they come up within a few minutes of the first, else those that answer.

    Returns:
        Nothing if a stop was asked for meanwhile.

    Raises:
        LaunchError: every server has failed, or none answers in time.
    """
    began = time.monotonic()
    first: float | None = None
    while not stop.requested:
        notes = [_read(path) for path in sorted(folder.glob("server-*.json"))]
        urls = [note["url"] for note in notes if is_address(note.get("url"))]
        answering = [url for url in urls if does_answer(url, key)]
        counts = [note.get("count") for note in notes]
        count = max((each for each in counts if type(each) is int), default=1)
        failed = [str(note["failed"]) for note in notes if "failed" in note]
        now = time.monotonic()
        if answering:
            first = now if first is None else first
            if len(answering) + len(failed) >= count or now - first >= ENOUGH_S:
                return answering
        elif len(failed) >= count:
            raise LaunchError(
                f"no server of the repairer is up: {failed[0]}.",
                where=str(folder),
                hint="Its log lies there, too.",
            )
        elif now - began >= wait_s:
            raise LaunchError(
                f"no server of the repairer answers after {wait_s:,.0f} s.", where=str(folder)
            )
        time.sleep(LOOK_S)
    return []


def is_address(url: object) -> bool:
    """Say whether a note holds an address as `serve` writes it: the key is sent there."""
    return isinstance(url, str) and bool(_ADDRESS.fullmatch(url))


def does_answer(url: str, key: str) -> bool:
    """Say whether a server lists its models to who has the key."""
    listing = list_models([Endpoint(url, key)], "", _TIMEOUT_S)[0]
    return listing.models is not None and listing.denied is None


def _find_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("", 0)) as held:
        return int(held.getsockname()[1])


def _write(place: Place, note: dict[str, Any]) -> None:
    with explain_os_errors(place.file, "write"), replace_file(place.file) as temporary:
        temporary.write_text(json.dumps(note), "utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        note = read_json(path, _MOST_BYTES)
    except (OSError, ValueError):  # taken away, or being written, at this moment
        return {}
    return note if isinstance(note, dict) else {}


def _forget(place: Place) -> None:
    with explain_os_errors(place.file, "remove"):
        place.file.unlink(missing_ok=True)
