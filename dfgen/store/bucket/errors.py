"""Turns what an object store answers into a `StorageError` with the way out.

Of the answer itself only its code and status are shown: an address that was asked for may carry a
signature, and a body may repeat what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from dfgen.errors import DfgenError, StorageError
from dfgen.store.os_errors import RESUME

_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>|\"code\":\s*\"([A-Za-z]{1,60})\"")
_STATUS = re.compile(r"status code: (\d{3})")

_EXPIRED = (
    "the credentials have expired",
    f"Renew them (`aws sso login`, a new session token, ...), {RESUME}",
)
_REFUSED = (
    "the credentials are missing or not accepted",
    "dfgen takes them from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY, ... or the machine's own role). "
    f"Set them, {RESUME}",
)
_DENIED = (
    "the credentials do not allow it",
    "dfgen lists, reads, writes and deletes objects of the run's folder (S3: ListBucket, "
    f"GetObject, PutObject, DeleteObject). Allow that, {RESUME}",
)
_THROTTLED = (
    "the store asks to slow down, and still does after every retry",
    f"Wait a little or use fewer workers, {RESUME}",
)
_NO_BUCKET = ("there is no such bucket", "Make it, or mend the address.")
_FULL = ("the store is full, or its quota is used up", f"Free some space, {RESUME}")
_READ_ONLY = ("the store is read-only", f"Make it writable, {RESUME}")
_NO_PATH = (
    "an object lies there whose name is no path: `//`, `..` or an unprintable sign is in it",
    f"dfgen has not written it. Remove it, {RESUME}",
)
_UNREACHABLE = (
    "the store cannot be reached",
    f"Look at the network and at the endpoint (AWS_ENDPOINT_URL), {RESUME}",
)

_BY_CODE = {
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"), _EXPIRED),
    **dict.fromkeys(("RequestExpired", "ExpiredAuthenticationToken"), _EXPIRED),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"), _REFUSED),
    **dict.fromkeys(("AuthenticationFailed", "InvalidAuthenticationInfo"), _REFUSED),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AuthorizationFailure"), _DENIED),
    **dict.fromkeys(("SlowDown", "ServerBusy", "TooManyRequests", "Throttling"), _THROTTLED),
    **dict.fromkeys(("RequestLimitExceeded", "ServiceUnavailable"), _THROTTLED),
    **dict.fromkeys(("NoSuchBucket", "ContainerNotFound", "BucketNotFound"), _NO_BUCKET),
    **dict.fromkeys(("QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull"), _FULL),
    **dict.fromkeys(("AccountRequiresHttps", "MethodNotAllowed"), _READ_ONLY),
}
_BY_NAME = {"InvalidPathError": _NO_PATH}
_BY_STATUS = {
    "401": _REFUSED,
    "403": _DENIED,
    "405": _READ_ONLY,
    "413": _FULL,
    "429": _THROTTLED,
    "503": _THROTTLED,
    "507": _FULL,
}


@contextmanager
def explain_store_errors(where: str, doing: str) -> Iterator[None]:
    """Raise `StorageError` for what an object store client raises in the block.

    `FileNotFoundError` of a single object passes, and so do errors about conditions (`create`,
    `replace`): they are answers.

    Args:
        where: address of what the block works on.
        doing: verb for the message: `cannot <doing> it: ...`.
    """
    try:
        yield
    except DfgenError:
        raise
    except Exception as error:
        if is_answer(error):
            raise
        raise describe_failure(where, doing, error) from None


def is_answer(error: Exception) -> bool:
    """Say whether an error is the answer to a question: not there, there already, changed."""
    name = type(error).__name__
    if isinstance(error, FileNotFoundError):
        return _find_code(str(error)) not in ("NoSuchBucket", "ContainerNotFound")
    return name in ("AlreadyExistsError", "PreconditionError")


def describe_failure(where: str, doing: str, error: Exception) -> StorageError:
    """Return the error for people; the text of the client's own never gets into it."""
    text = str(error)
    code, status = _find_code(text), _find_status(text)
    known = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if known is None and not status:
        known = _UNREACHABLE if _is_network(text) else _BY_NAME.get(type(error).__name__)
    cause, hint = known or (f"the store has refused it ({type(error).__name__})", _ADVICE)
    said = " ".join(part for part in (status, code) if part)
    return StorageError(
        f"cannot {doing} it: {cause}{f' ({said})' if said else ''}. "
        "Nothing half-written counts as done.",
        where=where,
        hint=hint,
    )


_ADVICE = f"Put that right, {RESUME}"


def _find_code(text: str) -> str:
    found = _CODE.search(text)
    return "" if found is None else found[1] or found[2]


def _find_status(text: str) -> str:
    found = _STATUS.search(text)
    return "" if found is None else found[1]


def _is_network(text: str) -> bool:
    words = ("error sending request", "connect", "dns", "timed out", "timeout", "HTTP error")
    return any(word.lower() in text.lower() for word in words)
