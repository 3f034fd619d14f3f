"""The real `vllm serve` on 127.0.0.1."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.killing import list_below
from tests.support.loopback import find_closed_port

LIMIT_S = 240


@dataclass
class Served:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self.port}/v1"

    def count_finished(self) -> int:
        """Completions that the server has finished, whoever still wanted them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found = re.findall(
            r'^vllm:request_success_total\{.*finished_reason="(?:stop|length)".*\} ([\d.e+]+)$',
            text,
            re.MULTILINE,
        )
        assert found
        return int(sum(map(float, found)))

    def wait_until_ready(self) -> None:
        """Wait for the first answer to a health check."""
        start = time.monotonic()
        while True:
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            assert time.monotonic() - start < LIMIT_S, "the server did not come up"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2).close()
                return
            except OSError:
                time.sleep(0.3)

    def kill(self) -> None:
        """Kill -9 the server and its workers."""
        for pid in (self.process.pid, *list_below(self.process.pid)):
            with suppress(ProcessLookupError):  # a worker that sees its server gone
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def serve(
    model: Path, name: str, folder: Path, *options: str, api_key: str | None = None
) -> Iterator[Served]:
    """Start a server on a free port, ready when this returns; its log is written to `folder`."""
    port = find_closed_port()
    command = [
        str(Path(sys.executable).with_name("vllm")),
        *("serve", str(model), "--host", "127.0.0.1", "--port", str(port)),
        *("--served-model-name", name, "--dtype", "float32", "--enforce-eager"),
        *("--max-num-seqs", "8", "--limit-mm-per-prompt", '{"image": 1}'),
        *options,
    ]
    # Its workers need a process of their own; the tests' own setting is for engines inside pytest.
    env = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "1"}
    if api_key is not None:
        env["VLLM_API_KEY"] = api_key
    log = folder / f"serve-{port}.log"
    with log.open("wb") as file:
        # In the session of the tests, so that nothing of it outlives them.
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=env)
    served = Served(process, port, log)
    try:
        served.wait_until_ready()
        yield served
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                served.kill()
