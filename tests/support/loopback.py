"""An OpenAI-compatible server on 127.0.0.1 that answers, or misbehaves, on command."""

from __future__ import annotations

import json
import math
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self


@dataclass(frozen=True)
class Received:
    """A request as it came in.

    Attributes:
        number: 0 for the server's first request.
        payload: the JSON body.
    """

    number: int
    path: str
    headers: Mapping[str, str]
    payload: dict[str, Any]

    @property
    def text(self) -> str:
        """All text of the last message."""
        content = self.payload["messages"][-1]["content"]
        if isinstance(content, str):
            return content
        return "".join(part.get("text", "") for part in content)


@dataclass(frozen=True)
class Reply:
    """What to answer.

    Attributes:
        body: an object to send as JSON, or raw bytes.
        delay: seconds before the headers; `HELD` is until the client hangs up.
        body_delay: seconds between headers and body.
        drop: `before` closes the connection without an answer, `half` in the middle of the body.
    """

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    body_delay: float = 0.0
    drop: Literal["before", "half"] | None = None


#: As a delay: for as long as the client waits.
HELD = math.inf

Answer = Callable[[Received], Reply]


@dataclass
class Arrivals:
    """When requests came: for bounds from above, which a slow machine only makes easier to keep."""

    times: list[float] = field(default_factory=list)

    def note(self) -> None:
        """One has come."""
        self.times.append(time.monotonic())

    def measure_seconds(self) -> float:
        """Seconds from the first to the last."""
        return max(self.times) - min(self.times)


def write_completion(
    text: str,
    *,
    token_ids: list[int] | None = None,
    logprobs: list[float] | None = None,
    finish_reason: str = "stop",
    **choice: Any,
) -> dict[str, Any]:
    """Write the JSON of a chat completion as vLLM does."""
    entries = None
    if logprobs is not None:
        entries = {"content": [{"token": "", "logprob": value} for value in logprobs]}
    body: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "tiny",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": finish_reason,
                "logprobs": entries,
                **choice,
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
    if token_ids is not None:
        body["choices"][0]["token_ids"] = token_ids
        body["prompt_token_ids"] = [0] * 7
    return body


def write_error(message: str, *, code: str | None = None) -> dict[str, Any]:
    """Write the JSON of an OpenAI error."""
    return {"error": {"message": message, "type": "error", "param": None, "code": code}}


class LoopbackServer:
    """Serves POST /v1/chat/completions in threads, and GET /v1/models, as a context manager.

    Args:
        answer: called for every request, in that request's thread.
        port: 0 for any that is free.
        models: answers GET requests by path and headers; None: nothing is found.
        host: the address that it listens on, of this machine.
    """

    def __init__(
        self,
        answer: Answer,
        port: int = 0,
        models: Callable[[str, Mapping[str, str]], Reply] | None = None,
        host: str = "127.0.0.1",
    ):
        self.answer = answer
        self.list_models = models or (lambda path, headers: Reply(write_error("none"), 404))
        self.received: list[Received] = []
        self.peak = 0
        self.in_flight = 0
        self._lock = threading.Lock()
        self._server = _Server((host, port), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="loopback"
        )

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return "http://{}:{}/v1".format(*self._server.server_address)

    @property
    def count(self) -> int:
        """Requests so far."""
        return len(self.received)

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

    def take_request(self, path: str, headers: Mapping[str, str], payload: Any) -> Received:
        """Count a request in."""
        with self._lock:
            received = Received(len(self.received), path, headers, payload)
            self.received.append(received)
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
        return received

    def end_request(self) -> None:
        """Count a request out; called before the answer's last byte leaves."""
        with self._lock:
            self.in_flight -= 1


def find_closed_port() -> int:
    """Return a port of 127.0.0.1 where nothing listens, and no other test will.

    It stays taken for the life of this process; who asks for it by number may listen there.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    port = int(probe.getsockname()[1])
    probe.detach()
    return port


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    owner: LoopbackServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        owner = self.server.owner
        length = int(self.headers.get("content-length", 0))
        payload = json.loads(self.rfile.read(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = owner.take_request(self.path, headers, payload)
        try:
            reply = owner.answer(received)
            self._delay(reply.delay)
        finally:
            owner.end_request()
        self._send(reply)

    def do_GET(self) -> None:
        """Answer `/models`; no test counts these requests among `received`."""
        self._send(self.server.owner.list_models(self.path, dict(self.headers.items())))

    def _delay(self, seconds: float) -> None:
        if seconds != HELD:
            time.sleep(seconds)
            return
        # Nothing more is sent on a connection whose answer is awaited, so that what comes is its
        # end.
        select.select([self.connection], [], [])

    def _send(self, reply: Reply) -> None:
        if reply.drop == "before":
            self.close_connection = True
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        headers = {"content-type": "application/json", **reply.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self._delay(reply.body_delay)
        if reply.drop == "half":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""
