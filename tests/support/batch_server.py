"""A server of the OpenAI batch form on 127.0.0.1: files, batches, results, and misbehaviour.

It follows https://platform.openai.com/docs/api-reference/batch and .../files: what is uploaded is a
JSONL file, a batch is made of a file, is validated line by line, worked on, and leaves an output
file and an error file. What it was asked is on record, so that a test can count what was paid.
"""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.loopback import Received, Reply, write_error

URL = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


_COUNTS = ("total", "completed", "failed")


@dataclass
class Stored:
    """An uploaded file, or one that the server has made."""

    id: str
    name: str
    data: bytes
    purpose: str
    listed_at: float = 0.0


@dataclass
class Fate:
    """What becomes of a batch.

    Attributes:
        polls: looks at it that find it unfinished.
        end: `completed`, or `expired`, `cancelled`.
        done: rows that are answered before that end; None: all.
        shuffle: the output is in another order.
        twice: rows whose result stands in the output twice.
        lost: rows that are in no file at all.
        hold: unfinished while it is true.
    """

    polls: int = 1
    end: str = "completed"
    done: int | None = None
    shuffle: bool = True
    twice: int = 0
    lost: int = 0
    hold: bool = False


@dataclass
class Batch:
    """A batch as the server knows it."""

    id: str
    file_id: str
    metadata: dict[str, str]
    window: str
    priority: Any
    fate: Fate
    created: float
    status: str = "validating"
    looks: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    output: str | None = None
    error_file: str | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0))
    listed_at: float = 0.0


Fault = Callable[[str, int], Reply | None]
"""Given what is asked ("POST /files", "GET /batches/*", ...), and how often it was before."""


class BatchServer:
    """Serves /v1/files and /v1/batches in threads, as a context manager.

    Args:
        answer: answers one row, as `LoopbackServer` answers a request.
        plan: the fate of the n-th batch.
        fault: misbehaviour of an endpoint.
        accepted: called when an upload or a batch has been taken and nothing was answered yet.
        max_requests, max_bytes: of a file; what is over is refused.
        lists, tags: whether the provider lists files and batches, and keeps metadata.
        unlisted_s: seconds until what was taken is listed.

    Attributes:
        full_rows: whether a row must name method and address.
    """

    full_rows = True

    def __init__(
        self,
        answer: Callable[[Received], Reply],
        plan: Callable[[int], Fate] = lambda number: Fate(),
        fault: Fault = lambda what, before: None,
        accepted: Callable[[str], None] = lambda what: None,
        *,
        max_requests: int = 50_000,
        max_bytes: int = 200_000_000,
        lists: bool = True,
        tags: bool = True,
        unlisted_s: float = 0.0,
        port: int = 0,
    ) -> None:
        self.answer, self.plan, self.fault, self.accepted = answer, plan, fault, accepted
        self.max_requests, self.max_bytes = max_requests, max_bytes
        self.lists, self.tags, self.unlisted_s = lists, tags, unlisted_s
        self.files: dict[str, Stored] = {}
        self.batches: dict[str, Batch] = {}
        self.asked: Counter[str] = Counter()
        self.submitted: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.pictures: Counter[str] = Counter()
        self.lines: list[dict[str, Any]] = []
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="batches"
        )

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

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

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request."""
        parts = urlsplit(path)
        steps = parts.path.removeprefix("/v1/").strip("/").split("/")
        what = f"{method} /{'/'.join([steps[0], *('*' if i == 1 else s for i, s in _tail(steps))])}"
        with self._lock:
            before = self.asked[what]
            self.asked[what] += 1
        if (reply := self.fault(what, before)) is not None:
            return reply
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self._lock:
            reply, taken = self._route(method, steps, query, headers, body)
        if taken:
            self.accepted(taken)
        return reply

    def _route(  # noqa: PLR0911  # a table
        self,
        method: str,
        steps: list[str],
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[Reply, str]:
        match (method, *steps):
            case ("POST", "files"):
                return self._upload(headers, body)
            case ("GET", "files"):
                return self._list(self.files, self._show_file, query), ""
            case ("GET", "files", name, "content") if name in self.files:
                return Reply(self.files[name].data), ""
            case ("GET", "files", name) if name in self.files:
                return Reply(self._show_file(self.files[name])), ""
            case ("DELETE", "files", name) if name in self.files:
                del self.files[name]
                return Reply({"id": name, "object": "file", "deleted": True}), ""
            case ("POST", "batches"):
                return self._create(json.loads(body))
            case ("GET", "batches"):
                return self._list(self.batches, self._show_batch, query), ""
            case ("GET", "batches", name) if name in self.batches:
                self._work(self.batches[name])
                return Reply(self._show_batch(self.batches[name])), ""
            case ("POST", "batches", name, "cancel") if name in self.batches:
                self.batches[name].fate.end = "cancelled"
                return Reply(self._show_batch(self.batches[name])), ""
        return Reply(write_error(f"no such thing: {'/'.join(steps)}"), 404), ""

    def _upload(self, headers: Mapping[str, str], body: bytes) -> tuple[Reply, str]:
        fields = read_form(headers, body)
        name, data = fields["file"]
        if len(data) > self.max_bytes:
            said = f"file of {len(data)} bytes is over the limit of {self.max_bytes}"
            return Reply(write_error(said, code="file_too_large"), 413), ""
        stored = Stored(
            f"file-{len(self.files) + 1:04d}",
            name,
            data,
            fields["purpose"][1].decode(),
            time.monotonic() + self.unlisted_s,
        )
        self.files[stored.id] = stored
        return Reply(self._show_file(stored)), "file"

    def _create(self, order: Mapping[str, Any]) -> tuple[Reply, str]:
        stored = self.files.get(order.get("input_file_id", ""))
        if stored is None or order.get("endpoint") != URL or not order.get("completion_window"):
            return Reply(write_error("invalid batch"), 400), ""
        metadata = order.get("metadata") or {}
        if len(metadata) > 16 or any(len(k) > 64 or len(v) > 512 for k, v in metadata.items()):
            return Reply(write_error("invalid metadata"), 400), ""
        number = len(self.batches)
        batch = Batch(
            f"batch_{number + 1:04d}",
            stored.id,
            dict(metadata) if self.tags else {},
            order["completion_window"],
            order.get("priority"),
            self.plan(number),
            time.time(),
            listed_at=time.monotonic() + self.unlisted_s,
        )
        self.batches[batch.id] = batch
        self._validate(batch)
        return Reply(self._show_batch(batch)), "batch"

    def _validate(self, batch: Batch) -> None:
        rows = self.files[batch.file_id].data.splitlines()
        seen: set[str] = set()
        if len(rows) > self.max_requests:
            batch.errors.append(_say(None, "too_many_requests", f"{len(rows)} requests"))
        for number, raw in enumerate(rows, 1):
            try:
                row = json.loads(raw)
                body = row["body"]
                named = (row["method"], row["url"]) if self.full_rows else ("POST", URL)
                if named != ("POST", URL) or not body["model"]:
                    raise KeyError("url")
            except (ValueError, KeyError, TypeError) as error:
                batch.errors.append(_say(number, "invalid_json_line", f"not a request: {error}"))
                continue
            if row["custom_id"] in seen:
                batch.errors.append(_say(number, "duplicate_custom_id", row["custom_id"]))
            if body.get("model") == "unknown":
                batch.errors.append(_say(number, "model_not_found", "no such model"))
            if "REFUSE THIS LINE" in raw.decode():
                batch.errors.append(_say(number, "invalid_request", "this line is refused"))
            seen.add(row["custom_id"])
        batch.counts["total"] = len(rows)
        if batch.errors:
            batch.status = "failed"
            return
        for raw in rows:
            row = json.loads(raw)
            self.lines.append(row)
            self.submitted[row["custom_id"]] += 1
            self.pictures.update(hash_pictures(row["body"]))

    def _work(self, batch: Batch) -> None:
        """Come a step further each time somebody looks."""
        batch.looks += 1
        fate = batch.fate
        if batch.status in ENDED or fate.hold:
            return
        if batch.looks <= fate.polls:
            batch.status = "in_progress"
            return
        rows = [json.loads(raw) for raw in self.files[batch.file_id].data.splitlines()]
        done = rows if fate.done is None else rows[: fate.done]
        output, failed = [], []
        for row in done[fate.lost :]:
            reply = self.answer(Received(0, URL, {}, row["body"]))
            line = _write_result(row["custom_id"], reply)
            if reply.status == 200:
                self.answered[row["custom_id"]] += 1
                output.append(line)
            else:
                failed.append(line)
        for row in rows[len(done) :]:
            code = {"expired": "batch_expired", "cancelled": "batch_cancelled"}[fate.end]
            said = {"code": code, "message": f"This request could not be executed: {code}."}
            failed.append({"custom_id": row["custom_id"], "response": None, "error": said})
        output += output[: fate.twice]
        if fate.shuffle:
            random.Random(batch.id).shuffle(output)
        batch.counts |= {"completed": len(output), "failed": len(failed)}
        batch.output = self._make_file(output) if output else None
        batch.error_file = self._make_file(failed) if failed else None
        batch.status = fate.end

    def _make_file(self, rows: list[dict[str, Any]]) -> str:
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        stored = Stored(f"file-{len(self.files) + 1:04d}", "output.jsonl", data, "batch_output")
        self.files[stored.id] = stored
        return stored.id

    def _list(
        self, things: Mapping[str, Any], show: Callable[[Any], Any], query: Mapping[str, str]
    ) -> Reply:
        if not self.lists:
            return Reply(write_error("not implemented"), 404)
        now = time.monotonic()
        found = [each for each in reversed(list(things.values())) if each.listed_at <= now]
        if "purpose" in query:
            found = [each for each in found if each.purpose == query["purpose"]]
        names = [each.id for each in found]
        first = names.index(query["after"]) + 1 if query.get("after") in names else 0
        page = found[first : first + min(int(query.get("limit", 20)), 3)]
        more = first + len(page) < len(found)
        data = [show(each) for each in page]
        return Reply({"object": "list", "data": data, "has_more": more})

    def _show_file(self, stored: Stored) -> dict[str, Any]:
        return {
            "id": stored.id,
            "object": "file",
            "bytes": len(stored.data),
            "created_at": 0,
            "filename": stored.name,
            "purpose": stored.purpose,
        }

    def _show_batch(self, batch: Batch) -> dict[str, Any]:
        errors = {"object": "list", "data": batch.errors} if batch.errors else None
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": URL,
            "errors": errors,
            "input_file_id": batch.file_id,
            "completion_window": batch.window,
            "status": batch.status,
            "output_file_id": batch.output,
            "error_file_id": batch.error_file,
            "created_at": int(batch.created),
            "request_counts": batch.counts,
            "metadata": batch.metadata or None,
        }


def hash_pictures(body: Mapping[str, Any]) -> list[str]:
    """The sha256 of every picture of a chat, as the server reads it."""
    found = []
    for message in body["messages"]:
        if isinstance(message["content"], list):
            for part in message["content"]:
                if part["type"] == "image_url":
                    found.append(hash_data_url(part["image_url"]["url"]))
    return found


def hash_data_url(url: str) -> str:
    """The sha256 of what a data URL holds."""
    import base64

    head, _, data = url.partition(",")
    assert head.startswith("data:image/"), head
    assert head.endswith(";base64"), head
    return hashlib.sha256(base64.b64decode(data, validate=True)).hexdigest()


def read_form(headers: Mapping[str, str], body: bytes) -> dict[str, tuple[str, bytes]]:
    """Read multipart/form-data: field -> (file name, bytes)."""
    head = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    found = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        found[str(name)] = (part.get_filename() or "", data)
    return found


def _tail(steps: list[str]) -> list[tuple[int, str]]:
    return list(enumerate(steps))[1:]


def _say(line: int | None, code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "line": line, "param": None}


def _write_result(name: str, reply: Reply) -> dict[str, Any]:
    response = {"status_code": reply.status, "request_id": "r", "body": reply.body}
    return {"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    owner: BatchServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that are killed are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _do(self) -> None:
        try:
            body = self._read_body()
        except EOFError:  # whoever sent it is dead, and has asked for nothing
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.owner.handle(self.command, self.path, headers, body)
        if reply.drop == "before":
            self.close_connection = True
            return
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"content-type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if reply.drop == "half":
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        self.wfile.write(data)

    def _read_body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self._read_exactly(int(self.headers.get("content-length", 0)))
        parts = []
        while size := int(self._read_line(), 16):
            parts.append(self._read_exactly(size))
            self._read_line()
        self.rfile.readline()
        return b"".join(parts)

    def _read_exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _read_line(self) -> bytes:
        line = self.rfile.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return line

    def do_GET(self) -> None:
        """Answer a question."""
        self._do()

    def do_POST(self) -> None:
        """Take something."""
        self._do()

    def do_DELETE(self) -> None:
        """Take something away."""
        self._do()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""
