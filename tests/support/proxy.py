"""A forward proxy on 127.0.0.1, such as stands between many clusters and the rest."""

from __future__ import annotations

import base64
import http.client
import select
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit


class LoopbackProxy:
    """Passes on POST requests to http:// addresses and tunnels (CONNECT) to others.

    Args:
        login: `user:password` that it wants; without it the answer is 407.

    Attributes:
        seen: `POST http://host:port/path` or `CONNECT host:port`, of requests that it let through.
        refused: how many it did not.
    """

    def __init__(self, login: str | None = None) -> None:
        self.login = login
        self.seen: list[str] = []
        self.refused = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="proxy"
        )

    @property
    def url(self) -> str:
        """The address for HTTP_PROXY, login included."""
        login = f"{self.login}@" if self.login else ""
        return f"http://{login}127.0.0.1:{self._server.server_address[1]}"

    @property
    def plain_url(self) -> str:
        """The address without the login."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    owner: LoopbackProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self._let_in():
            return
        parts = urlsplit(self.path)
        assert parts.scheme == "http" and parts.hostname
        headers = {
            name: value
            for name, value in self.headers.items()
            if not name.lower().startswith(("proxy-", "connection"))
        }
        onward = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=300)
        try:
            onward.request("POST", parts.path, body, headers)
            answer = onward.getresponse()
            content = answer.read()
        finally:
            onward.close()
        self.send_response(answer.status)
        self.send_header("content-type", answer.getheader("content-type", ""))
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_CONNECT(self) -> None:
        if not self._let_in():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=300) as onward:
            self.send_response(200)
            self.end_headers()
            pipes = {self.connection: onward, onward: self.connection}
            while ready := select.select(list(pipes), [], [], 30)[0]:
                for source in ready:
                    data = source.recv(65536)
                    if not data:
                        self.close_connection = True
                        return
                    pipes[source].sendall(data)

    def _let_in(self) -> bool:
        owner = self.server.owner
        given = self.headers.get("proxy-authorization", "")
        if owner.login and given != "Basic " + base64.b64encode(owner.login.encode()).decode():
            owner.refused += 1
            self.send_response(407)
            self.send_header("proxy-authenticate", "Basic")
            self.send_header("content-length", "0")
            self.end_headers()
            return False
        owner.seen.append(f"{self.command} {self.path}")
        return True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""
