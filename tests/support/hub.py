"""A Hub on the loopback that follows the recorded protocol of huggingface_hub, faults included.

    with HubStub(tmp_path) as hub:
        run_client(..., env=hub.environment(tmp_path / "home"))
        hub.faults.append(Fault("POST", r"/commit/", status=503))

The API is on 127.0.0.1 and large files on localhost, because a redirect to the same origin is
followed by the client in another way. Two doors: LFS (`xet=False`; the client must be told not to
use Xet, which nothing negotiates) and Xet, whose content store is a folder that `hf_xet` opens by
`local://`.
"""

from __future__ import annotations

import json
import re
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.hub_api import ROUTES, TOKEN, Failure
from tests.support.hub_buckets import BUCKET_ROUTES, HubBuckets
from tests.support.hub_store import HubState


@dataclass
class Fault:
    """What goes wrong, and how often.

    Attributes:
        after: the request is carried out, and only its answer is lost.
        skip: matching requests that go well before.
        drop: the connection is closed without an answer.
        hook: called instead of failing (to change the repository meanwhile).
        holds: what the body of the request has to hold.
    """

    method: str
    path: str
    status: int = 503
    times: int = 1
    after: bool = False
    skip: int = 0
    drop: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    hook: Callable[[], None] | None = None
    holds: bytes = b""

    def hits(self, method: str, path: str, body: bytes) -> bool:
        if method != self.method or not re.search(self.path, path) or not self.times:
            return False
        if self.holds not in body:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class HubStub:
    """The two servers and their state; a context manager.

    Args:
        folder: for the content store of Xet.
        xet: which door is open.
        multipart: sends LFS files above this size in parts of it.
    """

    def __init__(self, folder: Path, *, xet: bool = False, multipart: int | None = None) -> None:
        cas = folder / "cas" if xet else None
        if cas:
            cas.mkdir(parents=True)
        self.state = HubState(cas)
        self.xet = xet
        self.multipart = multipart
        self.faults: list[Fault] = []
        self.log: list[tuple[str, str, int]] = []
        self.errors: list[str] = []
        self.working = 0
        self._counting = threading.Lock()
        self.api = _Server(("127.0.0.1", 0), _Handler)
        self.blobs = _Server(("127.0.0.1", 0), _Handler)
        for server in (self.api, self.blobs):
            server.hub = self
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            for server in (self.api, self.blobs)
        ]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api.server_address[1]}"

    @property
    def blob_url(self) -> str:
        return f"http://localhost:{self.blobs.server_address[1]}"

    def environment(self, home: Path) -> dict[str, str]:
        """Variables of a client with an empty cache."""
        variables = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_TOKEN": TOKEN}
        variables |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
        variables["HF_HUB_DISABLE_XET"] = "0" if self.xet else "1"
        return variables

    @contextmanager
    def count_in(self) -> Iterator[None]:
        """Count a request as one that is worked on."""
        with self._counting:
            self.working += 1
        try:
            yield
        finally:
            with self._counting:
                self.working -= 1

    def count(self, method: str, pattern: str) -> int:
        """Requests so far whose path matches."""
        return sum(m == method and bool(re.search(pattern, p)) for m, p, _ in self.log)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self.api, self.blobs):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()
        assert not self.errors, self.errors[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    hub: HubStub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Handler(HubBuckets, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        self._serve("HEAD")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def _serve(self, method: str) -> None:
        hub = self.server.hub
        with hub.count_in():
            self._carry_out(hub, method)

    def _carry_out(self, hub: HubStub, method: str) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # the client died while it sent this
            self.close_connection = True
            return None
        split = urlsplit(self.path)
        hub.log.append((method, split.path, len(body)))
        fault = next((f for f in hub.faults if f.hits(method, split.path, body)), None)
        if fault and fault.hook:
            fault.hook()
            fault = None
        if fault and not fault.after:
            return self._fail(fault)
        try:
            with hub.state.lock:
                answer = self._route(method, split.path, parse_qs(split.query), body)
        except Failure as failure:
            answer = (failure.status, failure.headers, {"error": str(failure)})
        except Exception:
            hub.errors.append(traceback.format_exc())
            answer = (418, {}, {"error": "the stub itself failed"})
        if fault:
            return self._fail(fault)
        return self._send(method, *answer)

    def _fail(self, fault: Fault) -> None:
        if fault.drop:
            self.close_connection = True
            return
        self._send("POST", fault.status, fault.headers, {"error": "injected"})

    def _send(self, method: str, status: int, headers: dict[str, str], body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if method != "HEAD":
            self.wfile.write(data)

    def _route(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        if self.server is self.server.hub.blobs:
            return self._serve_blob(method, path, body)
        for verb, pattern, name in (*ROUTES, *BUCKET_ROUTES):
            match = re.fullmatch(pattern, path)
            if match and method in verb.split("|"):
                parts = {key: unquote(value) for key, value in match.groupdict("").items()}
                self._authorize(name)
                return getattr(self, name)(query=query, body=body, **parts)
        raise Failure(404, f"no route {method} {path}", "EntryNotFound")
