"""Carries requests to servers and their answers back. Nothing is judged or sent again here.

aiohttp does it, with the headers that an account of the OpenAI API needs. The API's own Python
client costs 0.9 ms of processor time for a request on top of what is done here, because it is made
for single calls: 64 requests in flight that take 50 ms each would keep more than a core busy with
nothing but headers (`tests/benchmarks/repair_speed.py`).
"""

from __future__ import annotations

import io
import os
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from dfgen.engines.openai.endpoint import Endpoint, write_login
from dfgen.errors import EngineError
from dfgen.version import VERSION

COMPLETIONS = "/chat/completions"

LARGEST_ANSWER = 32 * 1024 * 1024
"""Bytes of one answer. A server that sends more is not one that answers questions, and answers of
all requests in flight are in memory at once."""
# Seconds to establish a connection; the section's timeout is for a whole answer.
_CONNECT_TIMEOUT = 30.0
# aiohttp warns of longer bodies unless they come as files.
_LARGE_BODY = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said; names of headers are matched in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class FormBody:
    """A form with files, which are read as they are sent."""

    form: aiohttp.FormData


Body = bytes | FormBody | Path
"""A path is a file that is read as it is sent."""


@dataclass(frozen=True)
class _Route:
    """How an endpoint is reached; its parts hold secrets."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    proxy: str | None = field(repr=False)
    proxy_headers: dict[str, str] = field(repr=False)


class Transport:
    """Sends chat completion requests. Lives in one event loop; use `open_transport`."""

    def __init__(self, http: aiohttp.ClientSession, endpoints: Sequence[Endpoint]):
        self._http = http
        self._routes = {endpoint: _find_route(endpoint) for endpoint in endpoints}

    async def post(self, endpoint: Endpoint, body: bytes) -> Answer:
        """Send one request and read its answer, of whatever status, to the end.

        A redirect is not followed: it is the answer.

        Raises:
            aiohttp.ClientError: no connection, or it broke.
            TimeoutError: no complete answer in time.
        """
        route = self._routes[endpoint]
        data = body if len(body) < _LARGE_BODY else io.BytesIO(body)
        async with self._http.post(
            route.url,
            data=data,
            headers=route.headers,
            proxy=route.proxy,
            proxy_headers=route.proxy_headers,
            # Pictures and key were given to this address and to no other.
            allow_redirects=False,
        ) as response:
            return Answer(response.status, response.headers, await _read(response))

    async def get(self, endpoint: Endpoint, path: str) -> Answer:
        """Ask for a resource below the base URL, such as `/models`. Raises as `post` does."""
        return await self.call(endpoint, "GET", path)

    async def call(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send any request to a resource below the base URL. Raises as `post` does.

        Args:
            headers: further ones; those with an empty value are left out.
        """
        is_file = isinstance(body, FormBody | Path)
        async with self._open(endpoint, method, path, body, headers, is_file=is_file) as response:
            return Answer(response.status, response.headers, await _read(response))

    async def download(
        self,
        endpoint: Endpoint,
        path: str,
        target: Path,
        most: int,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Read a file into a file; only an answer other than 200 has a body here.

        Args:
            most: bytes; what is larger is read no further, and is an answer 413.

        Raises:
            OSError: it cannot be written.
            aiohttp.ClientError: no connection, or it broke.
            TimeoutError: nothing came for too long.
        """
        async with self._open(endpoint, "GET", path, None, headers, is_file=True) as response:
            if response.status != 200:
                return Answer(response.status, response.headers, await _read(response))
            size = 0
            with target.open("wb") as file:
                async for part in response.content.iter_chunked(1 << 20):
                    size += len(part)
                    if size > most:
                        response.close()
                        said = b"the file goes on for more than %d bytes" % most
                        return Answer(413, response.headers, said)
                    file.write(part)
            return Answer(response.status, response.headers, b"")

    def _open(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: Body | None,
        headers: Mapping[str, str] | None,
        *,
        is_file: bool = False,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        route = self._routes[endpoint]
        parts = urlsplit(route.url)
        asked, _, query = path.partition("?")
        url = parts._replace(
            path=parts.path.removesuffix(COMPLETIONS) + asked,
            query="&".join(filter(None, (parts.query, query))),
        ).geturl()
        sent = {**route.headers, **(headers or {})}
        data: Any = body
        if isinstance(body, FormBody):
            data = body.form
            del sent["Content-Type"]  # the form's own, which says where its parts end
        elif isinstance(body, Path):
            data = body.open("rb")
        elif body is not None and len(body) >= _LARGE_BODY:
            data = io.BytesIO(body)
        timeout = self._http.timeout
        if is_file:
            # 200 MB have as much time as they need, as long as something comes.
            timeout = aiohttp.ClientTimeout(
                sock_connect=timeout.sock_connect, sock_read=timeout.total
            )
        return self._http.request(
            method,
            url,
            data=data,
            headers={name: value for name, value in sent.items() if value},
            proxy=route.proxy,
            proxy_headers=route.proxy_headers,
            allow_redirects=False,
            timeout=timeout,
        )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > LARGEST_ANSWER:
            # Read as no JSON, which it is not any more.
            response.close()
            return b"larger than %d bytes: " % LARGEST_ANSWER + parts[0][:100]
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


@asynccontextmanager
async def open_transport(endpoints: Sequence[Endpoint], timeout: float) -> AsyncIterator[Transport]:
    """Open connections for the time of one `generate`.

    Args:
        timeout: seconds for one try, from sending to the last byte.
    """
    limits = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, _CONNECT_TIMEOUT))
    # How many are in flight is decided elsewhere.
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=limits) as http:
        yield Transport(http, endpoints)


def _find_route(endpoint: Endpoint) -> _Route:
    parts = urlsplit(endpoint.base_url)
    # Without the login, which aiohttp would show in its own errors.
    url = parts._replace(
        netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/") + COMPLETIONS
    ).geturl()
    headers = list_headers(endpoint)
    if login := write_login(parts):
        # Name and password in the address take the key's place.
        headers["Authorization"] = f"Basic {login}"
    proxy, proxy_login = find_proxy(endpoint.base_url)
    proxy_headers = {"Proxy-Authorization": f"Basic {proxy_login}"} if proxy_login else {}
    if parts.scheme == "http":
        # No tunnel is opened: the proxy reads the request itself.
        headers |= proxy_headers
    return _Route(url, headers, proxy, proxy_headers)


def list_headers(endpoint: Endpoint) -> dict[str, str]:
    """Headers of every request to a server: its key, and what the environment says of the account.

    OPENAI_ORG_ID and OPENAI_PROJECT_ID name whom to charge; OPENAI_CUSTOM_HEADERS holds further
    headers, one `Name: value` on a line, which replace none of dfgen's own. The API's own
    client reads the same names (https://platform.openai.com/docs/api-reference/authentication).
    """
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    account = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
    headers |= {name: os.environ[key] for name, key in account.items() if os.environ.get(key)}
    fixed = {"User-Agent": f"dfgen/{VERSION}", "Authorization": f"Bearer {endpoint.key}"}
    taken = {name.lower() for name in headers | fixed}
    for line in os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines():
        name, _, value = (part.strip() for part in line.partition(":"))
        if name and name.lower() not in taken:
            headers[name] = value
    return headers | fixed


def find_proxy(url: str) -> tuple[str | None, str | None]:
    """Read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY: the proxy for an address, if any.

    Returns:
        Its address without user name and password, and these as they travel.

    Raises:
        EngineError: a proxy of a kind that is not spoken (SOCKS).
    """
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None, None
    proxy = urlsplit(found if "://" in found else f"http://{found}")
    if proxy.scheme not in ("http", "https") or not proxy.hostname:
        raise EngineError(
            f"the environment names a proxy of the kind {proxy.scheme!r}, which is not supported.",
            hint="Set HTTPS_PROXY to an http:// proxy, or NO_PROXY to the server's host.",
        )
    return f"{proxy.scheme}://{proxy.netloc.rpartition('@')[2]}", write_login(proxy)
