"""Tells what an error of a server means: send the request again, give up its row, or end the run.

`Backoff` says how long to wait before a request is sent again. The loop that waits, sends and
counts the tries is in `session`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import aiohttp

from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.transport import Answer
from dfgen.errors import EngineError
from dfgen.retry_after import read_retry_after
from dfgen.terminal_text import show_text

RETRIED_STATUSES = frozenset({408, 409, 425, 429})
BUSY_STATUSES = frozenset({429, 503, 529})
"""The server is well and has no place (529: Anthropic's word for it)."""
OVERLOAD_STATUSES = BUSY_STATUSES | {502, 504}
"""What a server, or a gateway before it, may also say because it is asked too much."""
_TOO_LONG = (
    "context_length_exceeded",
    "context length",
    "context window",
    "maximum model length",
    "max_model_len",
    "prompt is too long",
    "input is too long",
    "longer than the maximum",
    # vLLM 0.32, of a prompt that fills the context to the last token.
    "max_tokens must be at least 1, got",
)
_FILTERED = ("content_filter", "content management policy", "content_policy")
_BROKEN_IMAGE = ("cannot identify image", "failed to load image", "invalid image", "decode image")
_SCHEMA = ("response_format", "json_schema", "structured output", "structured_output", "guided")
_QUICK_RETRIES = 2
_SHOWN = 500
# Before secrets are taken out: half a key could stand at a cut.
_READ = 8000


@dataclass(frozen=True, slots=True)
class Fault:
    """An error that concerns one request.

    Attributes:
        retry: whether the same request may succeed later.
        reason: code of the reject if it does not.
        detail: one sentence, without the key.
        answered: whether the server answered at all.
        refused: whether nothing listened at the address.
        busy: whether the server is well and has no place (429, 503): waiting is all it needs.
        retry_after: seconds that the server asked to wait.
    """

    retry: bool
    reason: str
    detail: str
    answered: bool = True
    refused: bool = False
    busy: bool = False
    retry_after: float | None = None


def classify_error(error: Exception, endpoint: Endpoint, model: str) -> Fault:
    """Tell what it means that no answer came, or only a part of one.

    Raises:
        EngineError: no request can succeed: a certificate or a proxy that refuses.
    """
    detail = endpoint.redact(_describe(error))
    if isinstance(error, TimeoutError):
        return Fault(True, "server_error", "no complete answer in time", answered=False)
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.InvalidURL) or (
        isinstance(error, aiohttp.ClientHttpProxyError) and error.status in (401, 403, 407)
    ):
        raise EngineError(
            f"there is no way to {endpoint.shown_url} for {model!r}: {detail}",
            hint="Check `base_url`; SSL_CERT_FILE, which names the certificates that are trusted; "
            "and HTTPS_PROXY. What is finished is kept; the same command goes on from there.",
        )
    refused = isinstance(error, aiohttp.ClientConnectorError)
    if isinstance(error, aiohttp.ClientPayloadError):
        detail = f"the answer broke off: {detail}"
    else:
        detail = f"connection failed: {detail}"
    return Fault(True, "server_error", detail, answered=False, refused=refused)


def classify_answer(answer: Answer, endpoint: Endpoint, model: str) -> Fault:
    """Tell what an answer means that is no completion.

    Raises:
        EngineError: no request can succeed: key refused, model or path unknown, no credit left, or
            the server redirects.
    """
    if target := find_redirect(answer, endpoint):
        raise EngineError(
            f"the server at {endpoint.shown_url} sends requests on to {target} (HTTP "
            f"{answer.status}), and redirects are not followed: prompts, pictures and the key go "
            "to no other address than `base_url`.",
            hint="If that server is the right one, set `base_url` to its address (it usually ends "
            "in /v1). What is finished is kept; the same command goes on from there.",
        )
    status, error = answer.status, _read_error(answer.body)
    code = error.get("code")
    said = endpoint.redact(_read_message(error, answer.body))[:_SHOWN]
    detail = f"HTTP {status}: {said}"
    if status in (401, 402, 403, 404, 407) or code == "insufficient_quota":
        raise _stop(status, detail, endpoint, model)
    if status in RETRIED_STATUSES or status >= 500:
        return Fault(
            True,
            "rate_limited" if status == 429 else "server_error",
            detail,
            busy=status in BUSY_STATUSES,
            retry_after=read_retry_after(answer.headers),
        )
    return Fault(False, _name_refusal(status, f"{code} {said}".lower()), detail)


def find_redirect(answer: Answer, endpoint: Endpoint) -> str | None:
    """Return where an answer redirects to, without secrets, for messages; None if it does not."""
    target = answer.headers.get("location", "")
    if not 300 <= answer.status < 400 or not target:
        return None
    try:
        shown = Endpoint(urljoin(f"{endpoint.shown_url.rstrip('/')}/", target), "").shown_url
    except ValueError:
        shown = "an address that is none"
    return show_text(endpoint.redact(shown), _SHOWN)


def refuses_schema(fault: Fault) -> bool:
    """Tell whether a server refused a request because of its `response_format`."""
    if fault.retry or fault.reason != "bad_request":
        return False
    return any(mark in fault.detail.lower() for mark in _SCHEMA)


def _stop(status: int, detail: str, endpoint: Endpoint, model: str) -> EngineError:
    hints = {
        401: "Check the key in the environment variable that `api_key_env` names.",
        403: "This key may not use this model; check its permissions.",
        407: "Check user name and password of the proxy in HTTP_PROXY or HTTPS_PROXY.",
        404: f"Check `model` ({model!r}) and `base_url` (it usually ends in /v1).",
    }
    return EngineError(
        f"the server at {endpoint.shown_url} refuses to serve {model!r}: {detail}",
        hint=hints.get(status, "The account has no credit left.")
        + " What is finished is kept; the same command goes on from there.",
    )


def _name_refusal(status: int, said: str) -> str:
    if status == 413:
        return "request_too_large"
    for reason, marks in (
        ("prompt_too_long", _TOO_LONG),
        ("content_filter", _FILTERED),
        ("image_corrupt", _BROKEN_IMAGE),
    ):
        if any(mark in said for mark in marks):
            return reason
    return "bad_request"


def _read_error(body: bytes) -> dict[str, Any]:
    """Return the error object of an answer; empty where there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    nested = value.get("error") if isinstance(value, dict) else None
    inner = nested if isinstance(nested, dict) else value
    return inner if isinstance(inner, dict) else {}


def _read_message(error: Mapping[str, Any], body: bytes) -> str:
    """Return what the server said: the message of its error object, else the start of its body."""
    message = error.get("message") or error.get("detail")
    text = str(message) if message else body[:_READ].decode("utf-8", "replace").strip()
    return (text or "no message")[:_READ]


def _describe(error: Exception) -> str:
    """Return what happened in words, without addresses, which may hold passwords."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{error.status} {error.message}"
    return (str(error) or type(error).__name__)[:_SHOWN]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often a request is sent again, and how long to wait before each try.

    Waits double and are spread at random. With the defaults a request that fails each time is given
    up after about half a minute, in which a server can restart. A server that is well and only has
    no place (429, 503) is asked more often than `max_retries` says: see `session`.

    Attributes:
        max_retries: further tries after the first.
        base: seconds before the first retry, doubled for each further one.
        longest: no wait is longer, in seconds, before it is spread.
        longest_asked: what a server asks for counts only up to here, in seconds.
        spread: a wait is drawn from 1 - spread to 1 + spread times its length, so that requests
            which failed together do not come back together. What a server asks for is drawn from 1
            to 1 + spread / 2 times that.
    """

    max_retries: int = 5
    base: float = 1.0
    longest: float = 60.0
    longest_asked: float = 600.0
    spread: float = 0.25

    def compute_wait(
        self, retries_done: int, retry_after: float | None, *, by_chance: bool = False
    ) -> float:
        """Return the seconds to wait before the next try.

        Args:
            retries_done: 0 before the first retry.
            by_chance: the error says nothing of the server's load: the first two waits are a
                quarter as long, and whoever fails three times waits as if it were not so.
            retry_after: seconds that the server asked for, if it did. Up to `longest_asked` the
                wait is never shorter.
        """
        if retry_after is not None:
            asked = min(retry_after, self.longest_asked)
            return asked * (1 + random.random() * self.spread / 2)
        wait = min(self.base * 2.0 ** min(retries_done, 30), self.longest)
        if by_chance and retries_done < _QUICK_RETRIES:
            wait /= 4
        return wait * (1 + random.uniform(-self.spread, self.spread))
