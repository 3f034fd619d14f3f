"""Carries files and questions about batches, one at a time, over the same connections as requests.

What may be asked twice without harm is asked again by itself; what may not, is the caller's affair.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

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
_SHOWN = 300
# Before secrets are taken out: half a key could stand at a cut.
_READ = 8000

Outcome = Answer | Exception
"""What one try brought: an answer of whatever status, or the error of a connection."""


@dataclass(frozen=True, slots=True)
class Paging:
    """How a provider hands out a list, page by page.

    Attributes:
        entries: field of a page that holds its entries.
        size, cursor: names in the query: how many entries, and where the page begins.
        following: field of a page that says where the next begins; None: after its last entry,
            while `has_more`.
    """

    entries: str = "data"
    size: str = "limit"
    cursor: str = "after"
    following: str | None = None

    def find_next(self, page: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> str:
        """Return where the next page begins; empty: there is none."""
        if self.following is not None:
            return str(page.get(self.following) or "")
        return str(entries[-1].get("id")) if entries and page.get("has_more") else ""


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
        return None if answer is None else self.read_object(answer)

    def read_object(self, answer: Answer) -> dict[str, Any]:
        """Read the JSON object of an answer.

        Raises:
            EngineError: it is none.
        """
        try:
            value = json.loads(answer.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            said = self.endpoint.redact(answer.body[:_READ].decode("utf-8", "replace"))
            raise self.refuse_form(f"it is no JSON object: {said[:_SHOWN]!r}")
        return value

    @contextmanager
    def expect_form(self) -> Iterator[None]:
        """Make what the block cannot read in an answer an error that says so.

        Raises:
            EngineError: a field is missing, or of another kind than the provider's form has it.
        """
        try:
            yield
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            said = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise self.refuse_form(self.endpoint.redact(said)[:_SHOWN]) from error

    def refuse_form(self, said: str) -> EngineError:
        """Make the error of an answer that is not in the provider's form."""
        return EngineError(
            f"the answer about a file or batch is not in the form of "
            f"{self._config.batch.provider}: {said}",
            where=self.endpoint.shown_url,
            hint="Check `base_url` and `batch.provider`. What is out is on record; the same "
            "command looks again.",
        )

    def list_pages(
        self, path: str, query: Mapping[str, str] | None = None, paging: Paging | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the entries of a list, page after page, newest first.

        Args:
            query: what else is asked for.
            paging: how the provider's lists are read.

        Raises:
            EngineError: see `ask`; or the list is none, or has no end. What it does not hold may
                then be there all the same.
        """
        paging = paging or Paging()
        after, known = "", set[str]()
        while len(known) < _MOST_PAGES:
            asked = {paging.size: str(PAGE), **(query or {})}
            if after:
                asked[paging.cursor] = after
            page = self.ask(f"{path}?{urlencode(asked)}")
            if page is None:
                raise self._refuse_list(path, "has none")
            found = page.get(paging.entries)
            entries = [entry for entry in found or () if isinstance(entry, dict)]
            yield from entries
            after = paging.find_next(page, entries)
            if not after:
                return
            if after in known:
                break
            known.add(after)
        raise self._refuse_list(path, "has one that does not come to an end")

    def _refuse_list(self, path: str, why: str) -> EngineError:
        return EngineError(
            f"the server at {self.endpoint.shown_url} is asked for its list of "
            f"{path.strip('/')} and {why}, so that nobody can tell whether it has taken what was "
            "handed over.",
            hint="Give --resubmit to hand over again what may be there already.",
        )

    def download(self, path: str, target: Path, most: int) -> None:
        """GET a file into a file.

        Args:
            path: below the base URL, or a whole address of the same host.
            most: bytes that it may have.

        Raises:
            EngineError: see `ask`; or the address is of another host, or the file has no end.
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
            return await transport.download(carrier.endpoint, below, target, most, self._headers)

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
        try:
            return classify_answer(outcome, self.endpoint, self._config.model)
        except EngineError as error:
            if outcome.status != 404:
                raise
            raise EngineError(
                error.what,
                hint="A server that serves no batches is asked with `--lane online`. Otherwise "
                f"check `base_url` (it usually ends in /v1) and `model` ({self._config.model!r}). "
                "What is finished is kept; the same command goes on from there.",
            ) from None

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


_NAME = re.compile(r"[\w.:=@+~-]+(/[\w.:=@+~-]+)*", re.ASCII)
_LONGEST_NAME = 512


def read_name(value: Any) -> str:
    """Read the id that a provider gives to a file or batch: it stands in paths later.

    Raises:
        ValueError: it is none, or leads elsewhere.
    """
    text = str(value) if type(value) is int else value
    if not (isinstance(text, str) and len(text) <= _LONGEST_NAME and _NAME.fullmatch(text)):
        raise ValueError(f"{repr(value)[:80]} is no id of a file or batch")
    if not all(part.strip(".") for part in text.split("/")):
        raise ValueError(f"{text!r} is no id of a file or batch")
    return text
