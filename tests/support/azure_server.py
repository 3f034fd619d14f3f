"""Azure's own emulator on this machine (Azurite, from npm), which decides conditional writes.

server = share_server()
address = server.make_container() + "/runs/demo"
"""

from __future__ import annotations

import atexit
import base64
import functools
import hashlib
import hmac
import itertools
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from email.utils import formatdate
from pathlib import Path

from dfgen.store.shared.files import SharedFiles
from tests.support.loopback import find_closed_port
from tests.support.waiting import wait_until

ACCOUNT = "devstoreaccount1"
# Published with the emulator, the same everywhere.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_VERSION = "2021-08-06"
_NUMBERS = itertools.count()
_COMMAND = "azurite-blob"


def find_azurite() -> str | None:
    """Return the emulator's command: of `make cluster-env`, or one that is installed."""
    beside = Path(sys.prefix) / "node_modules" / ".bin" / _COMMAND
    return str(beside) if beside.exists() else shutil.which(_COMMAND)


class AzureServer:
    """A running emulator.

    Attributes:
        environment: what a command needs to find it.
    """

    def __init__(self, folder: Path) -> None:
        command = find_azurite()
        assert command is not None
        port = find_closed_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.environment = {
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": self.endpoint,
        }
        words = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)]
        self._process = subprocess.Popen(
            [command, *words, "--silent", "--skipApiVersionCheck"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: _answers(port), lambda: self._process.poll() is None)

    def make_container(self) -> str:
        """Make a container nobody has used; returns its address."""
        name = f"test-{next(_NUMBERS)}-{secrets.token_hex(4)}"
        date = formatdate(usegmt=True)
        resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        headers = f"x-ms-date:{date}\nx-ms-version:{_VERSION}"
        said = "PUT" + "\n" * 12 + f"{headers}\n{resource}"
        key = hmac.new(base64.b64decode(KEY), said.encode(), hashlib.sha256).digest()
        request = urllib.request.Request(
            f"{self.endpoint}/{ACCOUNT}/{name}?restype=container",
            method="PUT",
            headers={
                "x-ms-date": date,
                "x-ms-version": _VERSION,
                "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(key).decode()}",
                "Content-Length": "0",
            },
        )
        with urllib.request.urlopen(request, timeout=30):
            return f"az://{name}"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@functools.cache
def share_server() -> AzureServer:
    """Start the server of this process's tests, when it is first asked for."""
    folder = tempfile.TemporaryDirectory(prefix="dfgen-azure-", ignore_cleanup_errors=True)
    server = AzureServer(Path(folder.name))

    def end() -> None:
        server.close()
        folder.cleanup()

    atexit.register(end)
    return server


@functools.cache
def _share_container() -> str:
    server = share_server()
    os.environ |= server.environment
    return server.make_container()


def open_in_container(path: Path) -> SharedFiles:
    """Open shared files in a folder of their own for each path."""
    from dfgen.store.bucket.address import parse_address
    from dfgen.store.bucket.opening import open_objects
    from dfgen.store.shared.bucket_files import BucketFiles
    from tests.support.s3_server import STARTING

    with STARTING:  # threads may come at the same time
        container = _share_container()
    folder = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    return BucketFiles(open_objects(parse_address(f"{container}/{folder}")), "shared")
