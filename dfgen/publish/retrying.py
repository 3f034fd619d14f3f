"""Calls the Hub again where that may help, and explains what fails for good."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

from dfgen.errors import PublishError
from dfgen.retry_after import read_retry_after

T = TypeVar("T")

TRIES = 4
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0

_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
# Names, because huggingface_hub moved from requests over httpx to httpx2, and each has its own.
_NETWORK_ERRORS = frozenset(
    {"TransportError", "TimeoutException", "NetworkError", "ConnectionError", "Timeout"}
)
_ADVICE = {
    401: "The token is not valid. Set HF_TOKEN, or log in again with `hf auth login`.",
    403: "The token may not write there. It needs the role `write` for this repository.",
    404: "There is no such repository or branch, or the token may not see it.",
    413: "The Hub refused the size of a request; publish fewer tables at once.",
}


def read_status(error: BaseException) -> int | None:
    """Read the HTTP status that an error stands for, if it stands for one."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def is_transient(error: BaseException) -> bool:
    """Say whether the same call may work a moment later."""
    status = read_status(error)
    if status is not None:
        return status in _TRANSIENT
    return any(kind.__name__ in _NETWORK_ERRORS for kind in type(error).__mro__)


def choose_wait(error: BaseException, tries: int) -> float:
    """Seconds to wait after try number `tries` (from 1): what the Hub asks for, else doubling."""
    found = getattr(getattr(error, "response", None), "headers", None) or {}
    headers = {name.lower(): str(value) for name, value in found.items()}
    asked = read_retry_after(headers)
    if asked is not None:
        return min(asked, LONGEST_WAIT_S * 5)
    # `RateLimit: "api";r=0;t=55`: t seconds until the quota is full again (IETF draft).
    window = re.search(r"\bt=(\d+)", headers.get("ratelimit", ""))
    if window:
        return min(float(window[1]), LONGEST_WAIT_S * 5)
    return float(min(FIRST_WAIT_S * 2 ** (tries - 1), LONGEST_WAIT_S))


def call_hub(
    what: str,
    action: Callable[[], T],
    *,
    also: tuple[type[Exception], ...] = (),
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call the Hub; when it is busy or away, wait and call again.

    Only for calls that may be repeated without harm.

    Args:
        what: for messages: "cannot <what>".
        also: further errors that are worth another try.

    Raises:
        PublishError: the Hub refuses, or was not there `TRIES` times.
    """
    for tries in range(1, TRIES + 1):
        try:
            return action()
        except Exception as error:
            if tries == TRIES or not (is_transient(error) or isinstance(error, also)):
                raise explain(what, error) from error
            sleep(choose_wait(error, tries))
    raise AssertionError


def explain(what: str, error: BaseException) -> PublishError:
    """Return an error of the client library in words."""
    if isinstance(error, PublishError):
        return error
    status = read_status(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = getattr(error, "server_message", None) or (
        lines[0] if lines else type(error).__name__
    )
    shown = f"{status}: {message}" if status else f"{type(error).__name__}: {message}"
    hint = _ADVICE.get(status or 0)
    if hint is None:
        hint = "Give the same command again: what is already on the Hub is not sent again."
    return PublishError(f"cannot {what} ({shown}).", hint=hint)
