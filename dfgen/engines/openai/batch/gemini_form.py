"""Speaks the batch form of the Gemini API: files by the media service, long-running operations.

https://ai.google.dev/gemini-api/docs/batch-api and .../files. A batch keeps the name that it was
given (`displayName`), and so does a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dfgen.config.batch import BatchConfig
from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Message, Request
from dfgen.engines.openai.batch.carrier import Carrier, Paging, read_name
from dfgen.engines.openai.batch.form import (
    Answered,
    End,
    LineError,
    Seen,
    convert,
    is_whole_upload,
    read_custom_id,
    sum_counts,
)
from dfgen.engines.openai.batch.ledger import OutFile
from dfgen.engines.openai.batch.providers import PROVIDERS
from dfgen.engines.openai.batch.request_file import Row, RowWriter
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.payload import build_payload
from dfgen.engines.openai.pictures import fit_pictures
from dfgen.engines.openai.transport import Answer
from dfgen.errors import EngineError

_ENDS: dict[str, End] = {
    "SUCCEEDED": "completed",
    "FAILED": "failed",
    "EXPIRED": "expired",
    "CANCELLED": "cancelled",
}
_STOPS = {"STOP": "stop", "MAX_TOKENS": "length"}
_FILTERED = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY")
_CODES = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 13: 500, 14: 503, 16: 401}
"""HTTP status of a google.rpc.Code."""


class GeminiForm:
    """The form of the Gemini API."""

    def __init__(self) -> None:
        self.rules = PROVIDERS["gemini"]

    def list_headers(self, endpoint: Endpoint) -> dict[str, str]:
        """List the headers by which the key travels."""
        return {"x-goog-api-key": endpoint.key, "Authorization": ""}

    def write_row(self, writer: RowWriter, config: OpenAIConfig, request: Request) -> Row:
        """Write a request as a row."""
        messages = fit_pictures(request.messages, config.max_image_bytes)
        return writer.write(request.key, messages, partial(_build, config, request))

    def upload(self, carrier: Carrier, path: Path, out: OutFile) -> Answer:
        """Upload a file by the resumable protocol, in one piece."""
        order = json.dumps({"file": {"display_name": out.name}}).encode()
        begin = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(path.stat().st_size),
            "X-Goog-Upload-Header-Content-Type": "application/jsonl",
        }
        media = carrier.at(_find_base(carrier.endpoint, "upload"))
        begun = media.send_once("POST", "/files", lambda: order, **begin)
        if not 200 <= begun.status < 300:
            return begun
        address = urlsplit(begun.headers.get("x-goog-upload-url", ""))
        if not address.query:
            raise EngineError("the server does not say where a file is to be uploaded.")
        finish = {"X-Goog-Upload-Offset": "0", "X-Goog-Upload-Command": "upload, finalize"}
        # Its address is the one above with a ticket: nothing is sent anywhere else.
        where = f"/files?{address.query}"
        return media.send_once("POST", where, lambda: path, **finish)

    def read_file_id(self, body: Mapping[str, Any]) -> str:
        """Read the name of an uploaded file, such as `files/abc`."""
        return read_name(body["file"]["name"])

    def create(
        self,
        carrier: Carrier,
        path: Path,  # noqa: ARG002  # it is uploaded already
        out: OutFile,
        model: str,
        config: BatchConfig,
    ) -> Answer:
        """Make a batch of an uploaded file."""
        batch: dict[str, Any] = {
            "displayName": out.name,
            "inputConfig": {"fileName": out.file_id},
        }
        if config.priority is not None:
            batch["priority"] = str(config.priority)
        data = json.dumps({"batch": batch}).encode()
        name = model.removeprefix("models/")
        return carrier.send_once("POST", f"/models/{name}:batchGenerateContent", lambda: data)

    def read_batch_id(self, body: Mapping[str, Any]) -> str:
        """Read the name of a batch that was made, such as `batches/abc`."""
        return read_name(body["name"])

    def find_file(self, carrier: Carrier, out: OutFile) -> str | None:
        """Find a whole file by its name."""
        for entry in carrier.list_pages("/files", paging=_list_by("files")):
            whole = is_whole_upload(entry.get("sizeBytes"), out)
            if entry.get("displayName") == out.name and whole:
                return read_name(entry["name"])
        return None

    def find_batch(self, carrier: Carrier, out: OutFile) -> str | None:
        """Find a batch by its name."""
        for entry in carrier.list_pages("/batches", paging=_list_by("operations")):
            if (entry.get("metadata") or {}).get("displayName") == out.name:
                return read_name(entry["name"])
        return None

    def look(self, carrier: Carrier, batch_id: str) -> Seen | None:
        """Look how a batch stands; None: the provider does not know it."""
        body = carrier.ask(f"/{batch_id}")
        if body is None:
            return None
        about = body.get("metadata") or {}
        status = str(about.get("state") or "").rpartition("STATE_")[2]
        output = body.get("response") or about.get("output") or {}
        file = output.get("responsesFile")
        base = _find_base(carrier.endpoint, "download").base_url
        results = (f"{base}/{read_name(file)}:download?alt=media",) if file else ()
        error = body.get("error")
        errors = (
            (LineError(None, str(error.get("code")), str(error.get("message"))),) if error else ()
        )
        if not status:
            raise ValueError(f"{str(about.get('state'))[:80]!r} is no state of a batch")
        return Seen(status, _ENDS.get(status), results, errors)

    def read_row(self, line: bytes) -> Answered | None:
        """Read a row of results; None: it is none."""
        try:
            row = json.loads(line)
            custom_id = read_custom_id(row["key"])
            if error := row.get("error"):
                code = error.get("code")
                status = _CODES.get(code, code if isinstance(code, int) and code >= 400 else 500)
                return Answered(custom_id, status, {"error": error})
            return Answered(custom_id, 200, convert(read_response, row["response"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def _list_by(entries: str) -> Paging:
    return Paging(entries, "pageSize", "pageToken", "nextPageToken")


def _find_base(endpoint: Endpoint, service: str) -> Endpoint:
    """The media service beside the API: https://host/v1beta -> https://host/upload/v1beta."""
    parts = urlsplit(endpoint.base_url)
    return replace(endpoint, base_url=parts._replace(path=f"/{service}{parts.path}").geturl())


def _build(config: OpenAIConfig, request: Request, messages: tuple[Message, ...]) -> dict[str, Any]:
    payload = build_payload(config, replace(request, messages=messages))
    asked: dict[str, Any] = {
        "temperature": payload.get("temperature"),
        "topP": payload.get("top_p"),
        "topK": payload.get("top_k"),
        "maxOutputTokens": payload.get("max_tokens") or payload.get("max_completion_tokens"),
        "seed": request.seed % 2**31,
        "stopSequences": payload.get("stop"),
    }
    if request.response_schema is not None:
        asked |= {
            "responseMimeType": "application/json",
            "responseJsonSchema": request.response_schema,
        }
    chat = payload["messages"]
    roles = {"user": "user", "assistant": "model"}
    order: dict[str, Any] = {
        "contents": [
            {"role": roles[message["role"]], "parts": list(_write_parts(message["content"]))}
            for message in chat
            if message["role"] != "system"
        ],
        "generationConfig": {name: value for name, value in asked.items() if value is not None},
    }
    system = [message["content"] for message in chat if message["role"] == "system"]
    if system:
        order["systemInstruction"] = {"parts": [{"text": "\n".join(system)}]}
    return {"key": request.key, "request": order | config.extra_body}


def _write_parts(content: str | list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        yield {"text": content}
        return
    for part in content:
        if part["type"] == "text":
            yield {"text": part["text"]}
        else:
            head, _, data = part["image_url"]["url"].partition(";base64,")
            yield {"inlineData": {"mimeType": head.removeprefix("data:"), "data": data}}


def read_response(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return a response of the Gemini API as a chat completion of the OpenAI API."""
    usage = response.get("usageMetadata") or {}
    candidates = response.get("candidates") or [{"finishReason": "SAFETY"}]
    parts = (candidates[0].get("content") or {}).get("parts") or ()
    text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
    reason = str(candidates[0].get("finishReason"))
    written = [usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount")]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "content_filter" if reason in _FILTERED else _STOPS.get(reason, reason),
    }
    return {
        "choices": [choice],
        "usage": {
            "prompt_tokens": usage.get("promptTokenCount"),
            "completion_tokens": sum_counts(written),
            "prompt_tokens_details": {"cached_tokens": usage.get("cachedContentTokenCount")},
        },
    }
