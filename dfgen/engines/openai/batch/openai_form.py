"""Speaks the batch form of the OpenAI API, which most providers and servers have taken over.

https://platform.openai.com/docs/api-reference/batch; Together and Mistral differ in a few words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from dfgen.config.batch import BatchConfig
from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Message, Request
from dfgen.engines.openai.batch.carrier import Carrier, read_name
from dfgen.engines.openai.batch.form import (
    Answered,
    End,
    LineError,
    Seen,
    is_whole_upload,
    read_custom_id,
    read_status,
)
from dfgen.engines.openai.batch.ledger import OutFile
from dfgen.engines.openai.batch.providers import PROVIDERS, Provider
from dfgen.engines.openai.batch.request_file import Row, RowWriter
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.payload import build_payload
from dfgen.engines.openai.pictures import fit_pictures
from dfgen.engines.openai.transport import Answer, Body, FormBody

ENDPOINT = "/v1/chat/completions"
TAG = "dfgen"
"""Name of the metadata that holds a file's key."""

_ENDS: dict[str, End] = {
    "completed": "completed",
    "failed": "failed",
    "expired": "expired",
    "cancelled": "cancelled",
    # Mistral's words.
    "success": "completed",
    "timeout_exceeded": "expired",
}


class OpenAIForm:
    """The form of the OpenAI API.

    Args:
        provider: whose rules and words are followed.
    """

    def __init__(self, config: BatchConfig) -> None:
        self.rules: Provider = PROVIDERS[config.provider]
        self._is_mistral = config.provider == "mistral"

    def list_headers(self, endpoint: Endpoint) -> dict[str, str]:  # noqa: ARG002
        """The usual headers are all that it takes."""
        return {}

    def write_row(self, writer: RowWriter, config: OpenAIConfig, request: Request) -> Row:
        """Write a request as a row."""
        messages = fit_pictures(request.messages, config.max_image_bytes)
        return writer.write(
            request.key, messages, partial(self._build, config, request, request.key)
        )

    def _build(
        self, config: OpenAIConfig, request: Request, name: str, messages: tuple[Message, ...]
    ) -> dict[str, Any]:
        body = build_payload(config, replace(request, messages=messages))
        where = {"method": "POST", "url": ENDPOINT} if self.rules.full_rows else {}
        return {"custom_id": name, **where, "body": body}

    def upload(self, carrier: Carrier, path: Path, out: OutFile) -> Answer:
        """Upload a file."""

        def make_body() -> Body:
            form = aiohttp.FormData(default_to_multipart=True)
            form.add_field("purpose", self.rules.purpose)
            if self.rules.upload:  # Together asks for these beside the file
                form.add_field("file_name", out.name)
                form.add_field("file_type", "jsonl")
            form.add_field(
                "file", path.open("rb"), filename=out.name, content_type="application/jsonl"
            )
            return FormBody(form)

        return carrier.send_once("POST", self.rules.upload or self.rules.files, make_body)

    def read_file_id(self, body: Mapping[str, Any]) -> str:
        """Read the id of an uploaded file."""
        return read_name(body["id"])

    def create(
        self,
        carrier: Carrier,
        path: Path,  # noqa: ARG002  # other forms send the requests themselves
        out: OutFile,
        model: str,
        config: BatchConfig,
    ) -> Answer:
        """Make a batch of an uploaded file."""
        window = config.completion_window or self.rules.window
        order: dict[str, Any] = {"endpoint": ENDPOINT, "metadata": {TAG: out.key}}
        if self._is_mistral:
            hours = int(window.removesuffix("h"))  # the section takes nothing else
            order |= {"input_files": [out.file_id], "model": model, "timeout_hours": hours}
        else:
            order |= {"input_file_id": out.file_id, "completion_window": window}
        if config.priority is not None:
            order["priority"] = config.priority
        data = json.dumps(order).encode()
        return carrier.send_once("POST", self.rules.batches, lambda: data)

    def read_batch_id(self, body: Mapping[str, Any]) -> str:
        """Read the id of a batch that was made."""
        return read_name(_unwrap(body)["id"])

    def find_file(self, carrier: Carrier, out: OutFile) -> str | None:
        """Find the id of a whole file by its name."""
        query = {} if self.rules.upload else {"purpose": self.rules.purpose}
        for entry in carrier.list_pages(self.rules.files, query):
            if entry.get("filename") == out.name and is_whole_upload(entry.get("bytes"), out):
                return read_name(entry["id"])
        return None

    def find_batch(self, carrier: Carrier, out: OutFile) -> str | None:
        """Find the id of a batch by its tag, or by its file."""
        for entry in carrier.list_pages(self.rules.batches):
            batch = _unwrap(entry)
            tagged = (batch.get("metadata") or {}).get(TAG) == out.key
            files = [batch.get("input_file_id"), *(batch.get("input_files") or ())]
            if tagged or (out.file_id is not None and out.file_id in files):
                return read_name(batch["id"])
        return None

    def look(self, carrier: Carrier, batch_id: str) -> Seen | None:
        """Look how a batch stands; None: the provider does not know it."""
        body = carrier.ask(f"{self.rules.batches}/{batch_id}")
        if body is None:
            return None
        batch = _unwrap(body)
        status = read_status(batch["status"]).lower()
        names = ("output_file_id", "error_file_id", "output_file", "error_file")
        files = dict.fromkeys(read_name(batch[name]) for name in names if batch.get(name))
        results = tuple(f"{self.rules.files}/{name}/content" for name in files)
        return Seen(status, _ENDS.get(status), results, _read_errors(batch))

    def read_row(self, line: bytes) -> Answered | None:
        """Read a row of results; None: it is none."""
        return read_row(line)


def read_row(line: bytes) -> Answered | None:
    """Read a row of results in the OpenAI form; None: it is none."""
    try:
        row = json.loads(line)
        custom_id = read_custom_id(row["custom_id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    response = row.get("response")
    error = row.get("error")
    error = error if isinstance(error, dict) else {}
    code = str(error.get("code") or "")
    response = response if isinstance(response, dict) else {}
    body = response.get("body")
    status = _read_http_status(response.get("status_code"))
    if status is None and isinstance(body, dict) and "choices" in body:
        status = 200  # an answer is one, whatever is said beside it
    if status is None:
        # Without an answer: some say only what went wrong.
        status = None if code or not error else 500
        return Answered(custom_id, status, {"error": error}, code)
    # vLLM's run-batch has a refused request's error beside an empty body.
    body = body if isinstance(body, dict) else {"error": error}
    return Answered(custom_id, status, body, code)


def _read_http_status(value: Any) -> int | None:
    return value if type(value) is int and 100 <= value <= 599 else None


def _read_errors(batch: Mapping[str, Any]) -> tuple[LineError, ...]:
    errors = batch.get("errors") or batch.get("error") or []
    if isinstance(errors, dict):
        errors = errors.get("data") or []
    if not isinstance(errors, list):
        errors = [errors]
    found = []
    for entry in errors:
        error = entry if isinstance(entry, dict) else {"message": entry}
        line = error.get("line")
        found.append(
            LineError(
                line if type(line) is int else None,
                str(error.get("code") or ""),
                str(error.get("message") or ""),
            )
        )
    return tuple(found)


def _unwrap(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Together wraps what it has just made: {"job": {...}}."""
    job = body.get("job")
    return job if isinstance(job, dict) else body
