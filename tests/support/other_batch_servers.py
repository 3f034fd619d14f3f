"""Servers of Anthropic's and Gemini's batch forms on 127.0.0.1, by their documentation.

https://platform.claude.com/docs/en/api/messages/batches and
https://ai.google.dev/gemini-api/docs/batch-api (files: https://ai.google.dev/api/files).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.batch_server import BatchServer
from tests.support.loopback import Reply

KEY = "for-tests-only-91x"


class MistralServer(BatchServer):
    """Takes jobs in Mistral's words: https://docs.mistral.ai/api/endpoint/batch."""

    full_rows = False

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request."""
        if method == "POST" and path.endswith("/batch/jobs"):
            job = json.loads(body)
            assert type(job.pop("timeout_hours")) is int
            assert job.pop("model")
            (file_id,) = job.pop("input_files")
            hours = json.loads(body)["timeout_hours"]
            job |= {"input_file_id": file_id, "completion_window": f"{hours}h"}
            body = json.dumps(job).encode()
        return super().handle(method, path.replace("/batch/jobs", "/batches"), headers, body)


class TogetherServer(BatchServer):
    """Takes uploads and says what it made in Together's words:
    https://docs.together.ai/reference/batch-create."""

    full_rows = False

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request."""
        reply = super().handle(method, path.replace("/files/upload", "/files"), headers, body)
        if method == "POST" and path.endswith("/batches"):
            return Reply({"job": reply.body}, reply.status)
        return reply


class AnthropicServer(BatchServer):
    """Answers with `answer(text)`: a text, or an error's type, or `expired`."""

    def __init__(self, answer: Callable[[str], tuple[str, str]], polls: int = 1) -> None:
        super().__init__(lambda received: Reply())
        self.say, self.polls = answer, polls
        self.made: dict[str, list[dict[str, Any]]] = {}
        self.looks: Counter[str] = Counter()

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request."""
        assert headers["x-api-key"] == KEY and headers["anthropic-version"] == "2023-06-01"
        assert "authorization" not in headers
        steps = path.removeprefix("/v1/messages/batches").strip("/").split("/")
        if method == "POST":
            rows = json.loads(body)["requests"]
            for row in rows:
                assert set(row) == {"custom_id", "params"} and len(row["custom_id"]) <= 64
                self.submitted[row["custom_id"]] += 1
                self.pictures.update(_hash_blocks(row["params"]["messages"]))
            name = f"msgbatch_{len(self.made) + 1}"
            self.made[name] = rows
            return Reply(self._show(name))
        if steps[-1] == "results":
            lines = [json.dumps(self._answer(row)).encode() for row in self.made[steps[0]]]
            return Reply(b"\n".join(reversed(lines)) + b"\n")
        self.looks[steps[0]] += 1
        return Reply(self._show(steps[0]))

    def _show(self, name: str) -> dict[str, Any]:
        ended = self.looks[name] > self.polls
        status = "ended" if ended else "in_progress"
        return {"id": name, "type": "message_batch", "processing_status": status}

    def _answer(self, row: dict[str, Any]) -> dict[str, Any]:
        params = row["params"]
        assert params["max_tokens"] and params["messages"][0]["role"] == "user"
        text = "".join(p["text"] for p in params["messages"][-1]["content"] if p["type"] == "text")
        kind, said = self.say(text)
        result: dict[str, Any] = {"type": kind}
        if kind == "errored":
            result["error"] = {"type": "error", "error": {"type": said, "message": said}}
        elif kind == "succeeded":
            usage = {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 2}
            content = [{"type": "text", "text": said}]
            result["message"] = {"content": content, "stop_reason": "end_turn", "usage": usage}
        return {"custom_id": row["custom_id"], "result": result}


def _hash_blocks(messages: list[dict[str, Any]]) -> list[str]:
    return [
        hashlib.sha256(base64.b64decode(part["source"]["data"])).hexdigest()
        for message in messages
        for part in message["content"]
        if part["type"] == "image"
    ]


class GeminiServer(BatchServer):
    """Answers with `answer(text)`: a text, or the code of an error."""

    def __init__(self, answer: Callable[[str], str | int], polls: int = 1) -> None:
        super().__init__(lambda received: Reply())
        self.say, self.polls = answer, polls
        self.names: dict[str, str] = {}
        self.data: dict[str, bytes] = {}
        self.made: dict[str, dict[str, Any]] = {}
        self.looks: Counter[str] = Counter()
        self.lose_create = 0
        self.priorities: list[Any] = []

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return super().url.replace("/v1", "/v1beta")

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request."""
        assert headers["x-goog-api-key"] == KEY
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/upload/v1beta/files":
            return self._take_file(headers, query, body)
        if parts.path.startswith("/download/v1beta/"):
            name = parts.path.removeprefix("/download/v1beta/").removesuffix(":download")
            assert query["alt"] == "media"
            return Reply(self.data[name])
        where = parts.path.removeprefix("/v1beta/")
        if where == "files":
            return self._page(
                "files", [{"name": n, "displayName": d} for n, d in self.names.items()], query
            )
        if where == "batches":
            return self._page("operations", list(self.made.values()), query)
        if where.endswith(":batchGenerateContent"):
            return self._begin(json.loads(body)["batch"])
        return self._look(where)

    def _take_file(
        self, headers: Mapping[str, str], query: Mapping[str, str], body: bytes
    ) -> Reply:
        if headers["x-goog-upload-command"] == "start":
            ticket = str(len(self.names))
            self.names[f"files/{ticket}"] = json.loads(body)["file"]["display_name"]
            host = super().url.removesuffix("/v1")
            address = f"{host}/upload/v1beta/files?upload_id={ticket}&upload_protocol=resumable"
            return Reply({}, headers={"x-goog-upload-url": address})
        name = f"files/{query['upload_id']}"
        self.data[name] = body
        return Reply({"file": {"name": name, "displayName": self.names[name]}})

    def _begin(self, batch: dict[str, Any]) -> Reply:
        rows = [
            json.loads(line) for line in self.data[batch["inputConfig"]["fileName"]].splitlines()
        ]
        for row in rows:
            self.submitted[row["key"]] += 1
            for content in row["request"]["contents"]:
                for part in content["parts"]:
                    if "inlineData" in part:
                        data = base64.b64decode(part["inlineData"]["data"])
                        self.pictures[hashlib.sha256(data).hexdigest()] += 1
        name = f"batches/{len(self.made) + 1}"
        about = {"state": "BATCH_STATE_PENDING", "displayName": batch["displayName"], "rows": rows}
        self.priorities.append(batch.get("priority"))
        self.made[name] = {"name": name, "metadata": about}
        if self.lose_create:
            self.lose_create -= 1
            return Reply(drop="before")
        return Reply(self.made[name])

    def _look(self, name: str) -> Reply:
        self.looks[name] += 1
        operation = self.made[name]
        if self.looks[name] > self.polls and "response" not in operation:
            rows = operation["metadata"]["rows"]
            file = f"files/out-{len(self.data)}"
            self.data[file] = b"".join(
                json.dumps(self._answer(row)).encode() + b"\n" for row in rows
            )
            operation["metadata"]["state"] = "BATCH_STATE_SUCCEEDED"
            operation |= {"done": True, "response": {"responsesFile": file}}
        return Reply(operation)

    def _answer(self, row: dict[str, Any]) -> dict[str, Any]:
        parts = row["request"]["contents"][-1]["parts"]
        said = self.say("".join(part.get("text", "") for part in parts))
        if isinstance(said, int):
            return {"key": row["key"], "error": {"code": said, "message": "no"}}
        candidate = {"content": {"parts": [{"text": said}]}, "finishReason": "STOP"}
        usage = {"promptTokenCount": 7, "cachedContentTokenCount": 4, "candidatesTokenCount": 2}
        return {"key": row["key"], "response": {"candidates": [candidate], "usageMetadata": usage}}

    def _page(self, name: str, entries: list[Any], query: Mapping[str, str]) -> Reply:
        first = int(query.get("pageToken", 0))
        more = {"nextPageToken": str(first + 2)} if first + 2 < len(entries) else {}
        return Reply({name: entries[first : first + 2], **more})
