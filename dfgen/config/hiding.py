"""Takes secrets out of settings before these are written or shown.

Keys belong into the environment, and settings that hold one all the same are used as they are, but
neither a run directory nor a terminal gets to see it: a run is passed on, an output is pasted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

HIDDEN = "***"
"""Stands in place of a secret."""

_SECRET = re.compile(
    r"(?i)(?:^|[-_.])(?:api[-_]?key|key|secret|password|passwd|pwd|authorization|auth|credentials?"
    r"|bearer|cookie|signature|sig|(?:access|auth|hf|id|refresh|session|api|bearer|x)[-_]?token)$"
    r"|^token$|apikey$|secretkey$|accesskey$"
)
_CALLED_KEY = re.compile(r"(?i)^(?:sort|foreign|primary|public|dict|cache|json)[-_]?key$")


def names_secret(name: str) -> bool:
    """Say whether a setting of this name holds a secret; `max_tokens` and `stop_token` do not."""
    return _SECRET.search(name) is not None and not _CALLED_KEY.match(name)


def hide_secrets(value: Any, name: str = "") -> Any:
    """Return settings as plain data with `***` in place of every text that a secret's name has."""
    if isinstance(value, dict):
        return {key: hide_secrets(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [hide_secrets(each, name) for each in value]
    if isinstance(value, str) and value and names_secret(name):
        return HIDDEN
    if isinstance(value, str) and "://" in value:
        return hide_in_url(value)
    return value


def list_hidden(value: Any, name: str = "") -> Iterator[str]:
    """Name the settings in whose place `***` stands, with dots between the parts of a name."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from list_hidden(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for each in value:
            yield from list_hidden(each, name)
    elif isinstance(value, str) and (value == HIDDEN or f"={HIDDEN}" in value):
        yield name


def hide_in_url(url: str) -> str:
    """Return an address without user name and password, and with `***` for keys in its query."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:  # no address after all; whoever opens it says so
        return url
    if any(names_secret(key) for key, _ in query):
        shown = ((key, HIDDEN if names_secret(key) else value) for key, value in query)
        text = "&".join(f"{quote(key)}={quote(value, safe='*')}" for key, value in shown)
        parts = parts._replace(query=text)
    if "@" in parts.netloc:
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return parts.geturl() if parts != urlsplit(url) else url
