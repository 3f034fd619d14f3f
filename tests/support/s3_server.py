"""A real S3 server on this machine: moto's, which decides conditional writes as S3 does.

server = start_s3()
address = server.make_bucket() + "/runs/demo"
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import itertools
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

from dfgen.store.shared.files import SharedFiles
from tests.support.loopback import find_closed_port
from tests.support.waiting import wait_until

_NUMBERS = itertools.count()


class S3Server:
    """A running server. Credentials and endpoint are in `environment`.

    Attributes:
        endpoint: its address.
        environment: what a command needs to find it.
    """

    def __init__(self, log: Path) -> None:
        port = find_closed_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.environment = make_environment(self.endpoint)
        code = "import sys; from moto.server import main; main(sys.argv[1:])"
        with log.open("wb") as written:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, "-H", "127.0.0.1", "-p", str(port)],
                stdout=subprocess.DEVNULL,
                stderr=written,
                env={**os.environ, "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(1 << 26)},
            )
        self.log = log
        wait_until(lambda: _answers(port), lambda: self._process.poll() is None)

    def make_bucket(self) -> str:
        """Make a bucket nobody has used; returns its address."""
        name = f"test-{next(_NUMBERS)}-{secrets.token_hex(4)}"
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        with urllib.request.urlopen(request, timeout=30):
            return f"s3://{name}"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def make_environment(endpoint: str) -> dict[str, str]:
    """Variables by which a client finds a server and is let in."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "not-a-real-secret",
        "AWS_REGION": "us-east-1",
    }


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@functools.cache
def share_server() -> S3Server:
    """Start the server of this process's tests, when it is first asked for."""
    folder = tempfile.TemporaryDirectory(prefix="dfgen-s3-")
    server = S3Server(Path(folder.name) / "log")

    def end() -> None:
        server.close()
        folder.cleanup()

    atexit.register(end)
    return server


STARTING = threading.Lock()


@functools.cache
def _share_bucket() -> str:
    return share_server().make_bucket()


def open_in_bucket(path: Path) -> SharedFiles:
    """Open shared files in a folder of their own for each path."""
    from dfgen.store.bucket.address import parse_address
    from dfgen.store.bucket.opening import open_objects
    from dfgen.store.shared.bucket_files import BucketFiles

    with STARTING:  # threads may come at the same time
        os.environ |= share_server().environment
        bucket = _share_bucket()
    folder = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    return BucketFiles(open_objects(parse_address(f"{bucket}/{folder}")), "shared")
