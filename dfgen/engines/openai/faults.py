"""What an error of the client means: try again, give up this row, or give up the run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import openai

from dfgen.engines.openai.endpoint import Endpoint
from dfgen.errors import EngineError

RETRIED_STATUSES = frozenset({408, 409, 425, 429})
BUSY_STATUSES = frozenset({429, 503})
_TOO_LONG = (
    "context_length_exceeded",
    "context length",
    "context window",
    "maximum model length",
    "max_model_len",
    "prompt is too long",
    "input is too long",
    "longer than the maximum",
)
_FILTERED = ("content_filter", "content management policy", "content_policy")
_BROKEN_IMAGE = ("cannot identify image", "failed to load image", "invalid image", "decode image")
_SCHEMA = ("response_format", "json_schema", "structured output", "structured_output", "guided")
_SHOWN = 500


class BrokenAnswerError(Exception):
    """The connection was lost in the middle of an answer."""


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


def judge_error(error: Exception, endpoint: Endpoint, model: str) -> Fault:
    """Tell what an error of one try means.

    Raises:
        EngineError: no request can succeed: key refused, model or path unknown, no credit left.
    """
    if isinstance(error, openai.APIStatusError):
        return _judge_status(error, endpoint, model)
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        refused = False
        detail = "no complete answer in time"
    elif isinstance(error, BrokenAnswerError):
        refused = False
        detail = f"the answer broke off: {endpoint.redact(str(error))}"
    elif isinstance(error, openai.APIConnectionError):
        refused = any(type(cause).__name__ == "ConnectError" for cause in _list_causes(error))
        detail = f"connection failed: {endpoint.redact(_describe_cause(error))}"
    else:
        raise EngineError(f"the openai client failed: {endpoint.redact(str(error))}")
    return Fault(True, "server_error", detail, answered=False, refused=refused)


def _judge_status(error: openai.APIStatusError, endpoint: Endpoint, model: str) -> Fault:
    status = error.status_code
    said = endpoint.redact(_read_message(error))
    detail = f"HTTP {status}: {said}"
    if status in (401, 402, 403, 404) or error.code == "insufficient_quota":
        raise _stop(status, detail, endpoint, model)
    if status in RETRIED_STATUSES or status >= 500:
        return Fault(
            True,
            "rate_limited" if status == 429 else "server_error",
            detail,
            busy=status in BUSY_STATUSES,
            retry_after=read_retry_after(error.response.headers),
        )
    return Fault(False, _name_refusal(status, f"{error.code} {said}".lower()), detail)


def refuses_schema(fault: Fault) -> bool:
    """Tell whether a server refused a request because of its `response_format`."""
    if fault.retry or fault.reason != "bad_request":
        return False
    return any(mark in fault.detail.lower() for mark in _SCHEMA)


def _stop(status: int, detail: str, endpoint: Endpoint, model: str) -> EngineError:
    hints = {
        401: "Check the key in the environment variable that `api_key_env` names.",
        403: "This key may not use this model; check its permissions.",
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


def _read_message(error: openai.APIStatusError) -> str:
    """Return what the server said: the message of its error object, else the start of its body."""
    body = error.body
    if isinstance(body, Mapping):
        nested = body.get("error")
        inner = nested if isinstance(nested, Mapping) else body
        message = inner.get("message") or inner.get("detail")
        if message:
            return str(message)[:_SHOWN]
    return (str(body) if body else "no message")[:_SHOWN]


def read_retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds to wait that an answer's headers name, or None.

    Reads `retry-after-ms` and `Retry-After` in both of its forms (RFC 9110, 10.2.3).

    Args:
        now: seconds since the epoch, for the form that names a date.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, date.timestamp() - (time.time() if now is None else now))


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _describe_cause(error: BaseException) -> str:
    """Return the innermost explanation: "Connection error." alone explains nothing."""
    texts = [str(cause) for cause in _list_causes(error) if str(cause)]
    return texts[-1][:_SHOWN] if texts else type(error).__name__
