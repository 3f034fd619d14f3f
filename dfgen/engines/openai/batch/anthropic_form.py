"""Speaks Anthropic's Message Batches: requests go in the call itself, and have no name of ours.

https://platform.claude.com/docs/en/api/messages/batches. A batch keeps no name that it was given,
so one whose handing over was cut short is not found again (`Provider.tags`). Seeds and JSON schemas
have no place in the form and are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dfgen.config.batch import BatchConfig
from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Message, Request
from dfgen.engines.openai.batch.carrier import Carrier, read_name
from dfgen.engines.openai.batch.form import (
    Answered,
    Seen,
    convert,
    read_custom_id,
    read_status,
    sum_counts,
)
from dfgen.engines.openai.batch.ledger import OutFile
from dfgen.engines.openai.batch.providers import PROVIDERS
from dfgen.engines.openai.batch.request_file import Row, RowWriter
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.payload import build_payload
from dfgen.engines.openai.pictures import fit_pictures
from dfgen.engines.openai.transport import Answer

VERSION = "2023-06-01"

_STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "refusal": "content_filter",
}
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "overloaded_error": 529,
}
_CUT = {"expired": "batch_expired", "canceled": "batch_cancelled"}


class AnthropicForm:
    """The form of the Anthropic API."""

    def __init__(self) -> None:
        self.rules = PROVIDERS["anthropic"]

    def list_headers(self, endpoint: Endpoint) -> dict[str, str]:
        """List the headers by which the key travels."""
        return {"x-api-key": endpoint.key, "anthropic-version": VERSION, "Authorization": ""}

    def write_row(self, writer: RowWriter, config: OpenAIConfig, request: Request) -> Row:
        """Write a request as a row."""
        messages = fit_pictures(request.messages, config.max_image_bytes)
        return writer.write(request.key, messages, partial(_build, config, request))

    def create(
        self,
        carrier: Carrier,
        path: Path,
        out: OutFile,  # noqa: ARG002  # its name has no place
        model: str,  # noqa: ARG002  # stands in each row
        config: BatchConfig,  # noqa: ARG002  # there is one window
    ) -> Answer:
        """Hand the rows of a file over in one call."""
        whole = path.with_suffix(".json")
        try:
            with path.open("rb") as rows, whole.open("wb") as target:
                for number, row in enumerate(rows):
                    target.write((b"," if number else b'{"requests":[') + row.rstrip(b"\n"))
                target.write(b"]}")
            return carrier.send_once("POST", self.rules.batches, lambda: whole)
        finally:
            whole.unlink(missing_ok=True)

    def read_batch_id(self, body: Mapping[str, Any]) -> str:
        """Read the id of a batch that was made."""
        return read_name(body["id"])

    def look(self, carrier: Carrier, batch_id: str) -> Seen | None:
        """Look how a batch stands; None: the provider does not know it."""
        body = carrier.ask(f"{self.rules.batches}/{batch_id}")
        if body is None:
            return None
        status = read_status(body["processing_status"])
        if status != "ended":
            return Seen(status)
        # Whether it was cut, each row says for itself.
        return Seen(status, "completed", (f"{self.rules.batches}/{batch_id}/results",))

    def read_row(self, line: bytes) -> Answered | None:
        """Read a row of results; None: it is none."""
        try:
            row = json.loads(line)
            custom_id, result = read_custom_id(row["custom_id"]), row["result"]
            kind = result["type"]
            if kind in _CUT:
                return Answered(custom_id, None, {}, _CUT[kind])
            if kind == "succeeded":
                return Answered(custom_id, 200, convert(read_message, result["message"]))
            error = result["error"]
            error = error.get("error", error)
            status = _STATUSES.get(error.get("type"), 500)
            return Answered(custom_id, status, {"error": error})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def _build(config: OpenAIConfig, request: Request, messages: tuple[Message, ...]) -> dict[str, Any]:
    payload = build_payload(config, replace(request, messages=messages))
    params: dict[str, Any] = {
        name: payload[name] for name in ("model", "max_tokens") if name in payload
    }
    params.setdefault("max_tokens", payload.get("max_completion_tokens"))
    if payload.get("top_p", 1) < 1:
        params["top_p"] = payload["top_p"]
    else:  # newer models take only one of the two
        params["temperature"] = payload.get("temperature", 1.0)
    if "stop" in payload:
        params["stop_sequences"] = payload["stop"]
    chat = payload["messages"]
    system = [message["content"] for message in chat if message["role"] == "system"]
    if system:
        params["system"] = "\n".join(system)
    params["messages"] = [
        {"role": message["role"], "content": list(_write_parts(message["content"]))}
        for message in chat
        if message["role"] != "system"
    ]
    # What the user adds for this server wins, as it does online.
    return {"custom_id": request.key, "params": params | config.extra_body}


def _write_parts(content: str | list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        yield {"type": "text", "text": content}
        return
    for part in content:
        if part["type"] == "text":
            yield part
        else:
            head, _, data = part["image_url"]["url"].partition(";base64,")
            mime = head.removeprefix("data:")
            source = {"type": "base64", "media_type": mime, "data": data}
            yield {"type": "image", "source": source}


def read_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of the Anthropic API as a chat completion of the OpenAI API."""
    text = "".join(part["text"] for part in message["content"] if part.get("type") == "text")
    usage = message.get("usage") or {}
    read = [usage.get(name) for name in ("input_tokens", "cache_creation_input_tokens")]
    cached = usage.get("cache_read_input_tokens")
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": _STOPS.get(message.get("stop_reason") or "", message.get("stop_reason")),
        "stop_reason": message.get("stop_sequence"),
    }
    return {
        "choices": [choice],
        "usage": {
            "prompt_tokens": sum_counts((*read, cached)) if read[0] is not None else None,
            "completion_tokens": usage.get("output_tokens"),
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    }
