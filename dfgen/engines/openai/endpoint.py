"""Finds a server's address and the key that opens it.

The key leaves this file only for the headers of a request."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from dfgen.config.engine import OpenAIConfig
from dfgen.config.hiding import names_secret
from dfgen.errors import EngineError, map_all

DEFAULT_BASE_URL = "https://api.openai.com/v1"
# What local servers without authentication are customarily sent: the client wants some key.
NO_KEY = "EMPTY"
SHORTEST_SECRET = 4
"""Characters. A shorter key protects nothing, and to take it out would eat letters of every
word."""
SHORTEST_REPLACED_ANYWHERE = 8
"""Characters. A shorter one is taken out where it stands alone, not inside of words."""


@dataclass(frozen=True)
class Endpoint:
    """A server and its key.

    Attributes:
        base_url: as the user wrote it.
        key: never printed: not by repr, and `redact` takes it out of what a server says.
    """

    base_url: str = field(repr=False)
    key: str = field(repr=False)

    @property
    def shown_url(self) -> str:
        """The base URL for messages and manifests: without user name, password and query."""
        parts = urlsplit(self.base_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))

    def redact(self, text: str, shortest: int = SHORTEST_SECRET) -> str:
        """Replace the key and any password of the URL in a text that came from elsewhere.

        Args:
            shortest: characters; what is shorter stays.
        """
        parts = urlsplit(self.base_url)
        secrets = [self.key, parts.password or "", unquote(parts.password or "")]
        if parts.password:
            secrets.append(write_login(parts) or "")
        secrets += [value for name, value in parse_qsl(parts.query) if names_secret(name)]
        for secret in secrets:
            if secret == NO_KEY or len(secret) < shortest:
                continue
            if len(secret) < SHORTEST_REPLACED_ANYWHERE:
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
            else:
                text = text.replace(secret, "***")
        return text


def write_login(address: SplitResult) -> str | None:
    """Write an address's user name and password as they travel (RFC 7617), if it has any."""
    if not (address.username or address.password):
        return None
    login = f"{unquote(address.username or '')}:{unquote(address.password or '')}"
    return base64.b64encode(login.encode()).decode()


def resolve_endpoints(config: OpenAIConfig) -> list[Endpoint]:
    """Find base URLs and key of a section, from the section and the environment.

    Raises:
        EngineError: no http(s) URL, no key where one is needed, or a key that no header can carry;
            of all addresses.
    """
    given = config.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    urls = [given] if isinstance(given, str) else given
    return map_all(
        lambda url: _resolve(url, config), dict.fromkeys(urls), "addresses cannot be used"
    )


def _resolve(base_url: str, config: OpenAIConfig) -> Endpoint:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EngineError(
            f"base_url must be an http:// or https:// address, not {(parts.scheme or base_url)!r}.",
            hint="Such as http://localhost:8000/v1",
        )
    key = os.environ.get(config.api_key_env, "").strip()
    if not key:
        if not _is_loopback(parts.hostname):
            raise EngineError(
                f"the environment variable {config.api_key_env} is not set, and "
                f"{Endpoint(base_url, '').shown_url} is not on this machine.",
                hint=f"Set it to the key: export {config.api_key_env}=... "
                f"(={NO_KEY} for a server that wants none).",
            )
        key = NO_KEY
    if not key.isascii() or not key.isprintable() or " " in key:
        # The HTTP library would put the whole header, key included, into its own error.
        raise EngineError(
            f"the value of {config.api_key_env} cannot be a key: it holds spaces, line breaks or "
            "non-ASCII characters.",
            hint="Set it again, without quotes or a trailing line.",
        )
    return Endpoint(base_url, key)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
