"""Carries files and questions about batches, one at a time, over the same connections as requests.

What may be asked twice without harm is asked again by itself; what may not, is the caller's affair.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.openai.classify import Backoff, Fault, classify_answer, classify_error
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.transport import Answer, Body, Transport, open_transport
from dfgen.errors import EngineError

T = TypeVar("T")

PAGE = 100
"""Files or batches of one page of a list."""
_MOST_PAGES = 1000

Outcome = Answer | Exception
"""What one try brought: an answer of whatever status, or the error of a connection."""


class Carrier:
    """Asks a server about files and batches.

    Args:
        config: of the server.
        endpoint: its address and key.
        backoff: waits between tries.
        cut: nobody waits any more once it is set.
        headers: further headers of every request; those of the engine give way.
    """

    def __init__(
        self,
        config: OpenAIConfig,
        endpoint: Endpoint,
        backoff: Backoff,
        cut: threading.Event,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.backoff = backoff
        self._config = config
        self._cut = cut
        self._headers = dict(headers or {})

    def at(self, endpoint: Endpoint) -> Carrier:
        """Return one that asks another service of the same host."""
        return Carrier(self._config, endpoint, self.backoff, self._cut, self._headers)

    def send_once(
        self, method: str, path: str, make_body: Callable[[], Body | None], **headers: str
    ) -> Answer:
        """Send a request once.

        Args:
            make_body: makes the body, for this try alone.

        Raises:
            aiohttp.ClientError: no connection, or it broke.
            TimeoutError: no complete answer in time.
        """

        async def send(transport: Transport) -> Answer:
            return await transport.call(
                self.endpoint, method, path, make_body(), {**self._headers, **headers}
            )

        return self._run(send)

    def ask(self, path: str) -> dict[str, Any] | None:
        """GET a JSON object; None: there is none (404).

        Raises:
            EngineError: the server refuses, or fails again and again.
        """
        answer = self.repeat(lambda: self.send_once("GET", path, lambda: None), missing=True)
        return None if answer is None else read_object(answer)

    def list_pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield the entries of a list, page after page, newest first.

        Raises:
            EngineError: see `ask`.
        """
        after = ""
        for _ in range(_MOST_PAGES):
            asked = {"limit": str(PAGE), **query, **({"after": after} if after else {})}
            page = self.ask(f"{path}?{'&'.join(f'{k}={v}' for k, v in asked.items())}")
            if page is None:
                raise EngineError(
                    f"the server at {self.endpoint.shown_url} lists no {path.strip('/')}, so that "
                    "nobody can tell whether it has taken what was handed over.",
                    hint="Give --resubmit to hand over again what may be there already.",
                )
            entries = [entry for entry in page.get("data") or () if isinstance(entry, dict)]
            yield from entries
            if not entries or not page.get("has_more"):
                return
            after = str(entries[-1].get("id"))

    def download(self, path: str, target: Path) -> None:
        """GET a file of any size into a file.

        Args:
            path: below the base URL, or a whole address of the same host.

        Raises:
            EngineError: see `ask`; or the address is of another host.
        """
        carrier, below = self, path
        if "://" in path:
            address, own = urlsplit(path), urlsplit(self.endpoint.base_url)
            if address.netloc != own.netloc.rpartition("@")[2]:
                raise EngineError(
                    f"results are said to lie at {address.hostname}, and nothing is asked of "
                    "another host than that of `base_url`."
                )
            root = own._replace(path="", query="", fragment="").geturl()
            carrier, below = (
                self.at(replace(self.endpoint, base_url=root)),
                f"{address.path}?{address.query}",
            )

        async def load(transport: Transport) -> Answer:
            return await transport.download(carrier.endpoint, below, target, self._headers)

        self.repeat(lambda: carrier._run(load))

    def repeat(self, send: Callable[[], Answer], *, missing: bool = False) -> Answer | None:
        """Send until there is an answer.

        Args:
            missing: 404 is an answer, too: None.

        Raises:
            EngineError: the server refuses, or fails again and again.
        """
        for tries in range(self.backoff.max_retries + 1):
            outcome = attempt(send)
            if missing and isinstance(outcome, Answer) and outcome.status == 404:
                return None
            fault = self.find_fault(outcome)
            if fault is None:
                assert isinstance(outcome, Answer)
                return outcome
            if not fault.retry:
                break
            if tries < self.backoff.max_retries:
                self.wait(self.backoff.compute_wait(tries, fault.retry_after))
        assert fault is not None
        raise self.give_up(fault)

    def find_fault(self, outcome: Outcome) -> Fault | None:
        """Say what is wrong with what a try brought; None: nothing.

        Raises:
            EngineError: nothing can succeed any more (see `classify_answer`).
        """
        if not isinstance(outcome, Answer):
            return classify_error(outcome, self.endpoint, self._config.model)
        if 200 <= outcome.status < 300:
            return None
        return classify_answer(outcome, self.endpoint, self._config.model)

    def give_up(self, fault: Fault) -> EngineError:
        """Make the error of a server that does not do what it is asked."""
        return EngineError(
            f"the server at {self.endpoint.shown_url} does not serve batches: {fault.detail}",
            hint="Batches that it has taken go on without dfgen; the same command finds them.",
        )

    def wait(self, seconds: float) -> None:
        """Wait.

        Raises:
            CutError: a stop was asked for meanwhile, or before.
        """
        if self._cut.wait(seconds):
            raise CutError

    def _run(self, work: Callable[[Transport], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            async with open_transport([self.endpoint], self._config.timeout) as transport:
                return await work(transport)

        return asyncio.run(run())


class CutError(Exception):
    """A wait is cut because a stop was asked for; what is on record is found by the next start."""


def attempt(send: Callable[[], Answer]) -> Outcome:
    """Try once; the error of a connection is an outcome, too."""
    try:
        return send()
    except (aiohttp.ClientError, TimeoutError) as error:
        return error


def read_object(answer: Answer) -> dict[str, Any]:
    """Read the JSON object of an answer.

    Raises:
        EngineError: it is none.
    """
    try:
        value = json.loads(answer.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EngineError(
            f"the answer about a batch is no JSON object: {answer.body[:200]!r}",
            hint="Check `base_url` and `batch.provider`.",
        )
    return value
