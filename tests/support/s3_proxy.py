"""A server between dfgen and a real S3 server that refuses requests as S3 does on bad days."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Refusal = tuple[int, str]
"""Status and code of an answer, such as (503, "SlowDown")."""

Rule = Callable[[str, str], Refusal | None]
"""Given method and path of a request: how it is refused; None: it is passed on."""


class S3Proxy:
    """A running proxy.

    Attributes:
        endpoint: its address.
        rule: asked for each request.
        refused: how many requests were.
    """

    def __init__(self, target: str) -> None:
        self.rule: Rule = lambda method, path: None
        self.refused = 0
        place = urlsplit(target).netloc
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                refusal = proxy.rule(self.command, self.path)
                if refusal is not None:
                    proxy.refused += 1
                    self.answer(refusal[0], {}, _write_error(refusal[1]))
                    return
                connection = http.client.HTTPConnection(place, timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers))
                found = connection.getresponse()
                content = found.read()
                self.answer(found.status, dict(found.getheaders()), content)
                connection.close()

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815

            def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                left_out = {"content-length", "transfer-encoding", "connection", "date", "server"}
                self.send_response(status)
                for name, value in headers.items():
                    kept = self.command == "HEAD" and name.lower() == "content-length"
                    if kept or name.lower() not in left_out:
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Nothing: tests look at outcomes."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _write_error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>as asked for</Message></Error>".encode()
