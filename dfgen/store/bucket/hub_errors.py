"""Turns what the Hub answers about a bucket into a `StorageError` with the way out.

As in dfgen.store.bucket.errors, the text of an answer is never shown, only its status.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from dfgen.errors import DfgenError, StorageError
from dfgen.store.os_errors import RESUME

_NO_TOKEN = (
    "there is no token for the Hub, and without one the bucket cannot be seen or changed",
    f"Set HF_TOKEN to a token with the role `write`, or log in with `hf auth login`, {RESUME}",
)
_BAD_TOKEN = (
    "the Hub does not take the token: it is expired, revoked or not its own",
    f"Set HF_TOKEN to another one, or log in again with `hf auth login`, {RESUME}",
)
_DENIED = (
    "the token does not allow it",
    f"It needs the role `write` for this bucket. Set HF_TOKEN to such a one, {RESUME}",
)
_FULL = ("the storage of the bucket's owner is used up", f"Free some space, {RESUME}")
_THROTTLED = (
    "the Hub asks to slow down, and still does after every retry",
    "It counts requests over five minutes. Wait that long, or write less often "
    f"(`bucket.flush_seconds`), {RESUME}",
)
_BROKEN = ("the Hub has an error, and still does after every retry", f"Wait a little, {RESUME}")
_UNREACHABLE = (
    "the Hub cannot be reached",
    f"Look at the network and at HF_ENDPOINT, {RESUME}",
)
_UNKNOWN = "the Hub has refused it"
# Names, because huggingface_hub moved from requests over httpx to httpx2, and each has its own.
_NETWORK = frozenset({"TransportError", "TimeoutException", "NetworkError", "ConnectionError"})
_BY_STATUS = {
    402: _FULL,
    403: _DENIED,
    413: _FULL,
    429: _THROTTLED,
    507: _FULL,
}
_STATUS = re.compile(r"HTTP status (?:client|server) error \(([45]\d\d)")


@contextmanager
def explain_hub_errors(where: str, doing: str) -> Iterator[None]:
    """Raise `StorageError` for what huggingface_hub or hf_xet raises in the block.

    Errors of this machine's own disk pass.

    Args:
        where: address of what the block works on.
        doing: verb for the message: `cannot <doing> it: ...`.
    """
    try:
        yield
    except DfgenError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise describe_failure(where, doing, error) from None


def describe_failure(where: str, doing: str, error: Exception) -> StorageError:
    """Return the error for people; the text of the client's own never gets into it."""
    status = _find_status(error)
    cause, hint = _find_cause(where, error, status)
    if cause == _UNKNOWN:
        cause = f"{_UNKNOWN} ({type(error).__name__})"
    said = f" ({status})" if status else ""
    return StorageError(
        f"cannot {doing} it: {cause}{said}. Nothing half-written counts as done.",
        where=where,
        hint=hint,
    )


def _find_cause(where: str, error: Exception, status: int) -> tuple[str, str]:
    from huggingface_hub import get_token

    if status == 401:
        return _NO_TOKEN if get_token() is None else _BAD_TOKEN
    if status == 404:
        bucket = "/".join(where.split("/")[3:5])
        return (
            "there is no such bucket, or the token may not see it",
            f"`hf buckets create {bucket} --private` makes it (dfgen does not, because who may "
            f"read it is yours to say). Or mend the address, {RESUME}",
        )
    if status >= 500 and status not in _BY_STATUS:
        return _BROKEN
    if not status and _NETWORK.intersection(kind.__name__ for kind in type(error).__mro__):
        return _UNREACHABLE
    return _BY_STATUS.get(status, (_UNKNOWN, f"Put that right, {RESUME}"))


def _find_status(error: Exception) -> int:
    """Return the HTTP status that an error stands for; 0: none.

    hf_xet puts it into words.
    """
    status = getattr(getattr(error, "response", None), "status_code", 0)
    found = _STATUS.search(str(error))
    # A batch of which a part was refused is answered with 200.
    return status if isinstance(status, int) and status >= 400 else int(found[1] if found else 0)


def describe_missing(where: str) -> StorageError:
    """Return the error for a huggingface_hub that is too old for buckets."""
    return StorageError(
        "the installed huggingface_hub does not know the Hub's Storage Buckets.",
        where=where,
        hint="pip install --upgrade 'huggingface_hub>=1.5' hf_xet",
    )


def refuse_offline(where: str) -> None:
    """Raise `StorageError` if HF_HUB_OFFLINE is on: nothing could come of any request."""
    value = os.environ.get("HF_HUB_OFFLINE", os.environ.get("TRANSFORMERS_OFFLINE", ""))
    if value.upper() in ("1", "ON", "YES", "TRUE"):
        raise StorageError(
            "HF_HUB_OFFLINE is set, so the Hub cannot be reached.",
            where=where,
            hint="Unset it, or work on a copy: `hf buckets sync` brings one to a disk.",
        )
