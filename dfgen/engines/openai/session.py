"""Completes one request on a server: sends it, waits and sends it again where that may help.

The only place that sends a request more than once. A try that fails for good makes the request a
result with a failure, unless the server seems to be gone (`breaker`).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import aiohttp

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import HoldRates, ImageData, Request, Result, hold_all
from dfgen.engines.openai.answers import BadAnswerError, fail, read_answer, read_spent
from dfgen.engines.openai.breaker import Breaker, make_probe
from dfgen.engines.openai.classify import (
    OVERLOAD_STATUSES,
    Backoff,
    Fault,
    classify_answer,
    classify_error,
    refuses_schema,
)
from dfgen.engines.openai.concurrency import Server, ServerPool
from dfgen.engines.openai.continuing import build_questions, does_continue, refuse_server
from dfgen.engines.openai.endpoint import SHORTEST_REPLACED_ANYWHERE, Endpoint
from dfgen.engines.openai.payload import build_payload, find_max_tokens
from dfgen.engines.openai.rate_limit import RateLimit, guess_tokens
from dfgen.engines.openai.transport import Answer, Transport, open_transport
from dfgen.errors import EngineError
from dfgen.retry_after import read_retry_after

# Refusals that say something about the row; the server itself is well.
_ROW_REFUSALS = frozenset({"prompt_too_long", "content_filter", "image_corrupt"})
# A request that is only told to wait may be told so this many times as often as it may fail.
_PATIENCE = 6
_SHOWN = 300


@dataclass(slots=True)
class Waiting:
    """Requests that wait and are not in flight.

    Attributes:
        dues: of those that wait for their retry, when each is sent again, by `time.monotonic`;
            read from another thread.
        kept_back: how many wait until the rates of the settings let them be sent.
        fault: what the last try that failed met, without keys; empty before the first.
        cut: nobody waits any more once it is set, and nothing more is sent.
    """

    dues: dict[object, float] = field(default_factory=dict)
    kept_back: int = 0
    fault: str = ""
    cut: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def count(self) -> int:
        """How many wait for their retry."""
        return len(self.dues)

    @contextmanager
    def for_retry(self, seconds: float, fault: str) -> Iterator[None]:
        """Note a request for the time that it waits."""
        key, self.fault = object(), fault
        self.dues[key] = time.monotonic() + seconds
        try:
            yield
        finally:
            del self.dues[key]

    @contextmanager
    def for_turn(self) -> Iterator[None]:
        """Note a request for the time that rates keep it back."""
        self.kept_back += 1
        try:
            yield
        finally:
            self.kept_back -= 1

    def describe(self) -> str:
        """Say what is waited for beside answers; empty if nothing."""
        said, dues, kept_back = "", list(self.dues.values()), self.kept_back
        if kept_back:
            said = f"{kept_back:,} of them not sent yet: requests_per_minute or tokens_per_minute. "
        if dues:
            soonest = max(0.0, min(dues) - time.monotonic())
            said += f"{len(dues):,} of them to be sent again, the next in {soonest:,.0f} s. "
        return said + (f"The last fault: {self.fault}" if self.fault else "")


class WaitCutError(Exception):
    """A request is let go of, unsent, because a stop was asked for."""


Outcome = Answer | Exception
"""What one try brought: an answer of whatever status, or the error of a connection."""


class Sent(NamedTuple):
    """What one try brought.

    Attributes:
        with_schema: whether the request's schema was sent along.
        by_chance: an error, if it is one, says nothing of the server's load.
        noted: what the breaker has returned as it was sent.
    """

    outcome: Outcome
    server: Server
    with_schema: bool
    by_chance: bool
    noted: int | None


class Session:
    """Completes requests over one or more base URLs.

    Lives in one event loop; `open_session` makes it.
    """

    def __init__(
        self,
        transport: Transport,
        endpoints: Sequence[Endpoint],
        config: OpenAIConfig,
        backoff: Backoff,
        waiting: Waiting,
        find_part: Callable[[], float],
    ):
        self._waiting = waiting
        self._transport = transport
        self._config = config
        self._backoff = backoff
        self._pool = ServerPool(endpoints, config.concurrency)
        self._rate_limit = RateLimit(
            config.requests_per_minute, config.tokens_per_minute, find_part
        )
        addresses = ", ".join(endpoint.shown_url for endpoint in endpoints)
        self._breaker = Breaker(addresses)
        self._with_schema = True
        self._continues = False
        self._asking = asyncio.Lock()
        self._ended: EngineError | None = None

    async def complete(self, request: Request) -> Result | None:
        """Complete one request; what fails for good is a result with a failure.

        None: waits were cut before the server had an answer to it.

        A request that waits for its retry gives its place in flight to others.

        Raises:
            EngineError: no request can succeed any more; none is sent after that.
        """
        try:
            if request.prefix_text and not self._continues:
                await self._ask_servers(request)
            return await self._complete(request)
        except WaitCutError:
            return None
        except EngineError as error:
            self._ended = error
            raise

    async def _complete(self, request: Request) -> Result:
        failures = waits = 0
        guess = _guess(request)
        while True:
            outcome, server, with_schema, by_chance, noted = await self._send(request, guess)
            if not isinstance(outcome, Answer):
                # Judged outside the except block: an error raised there would carry the client's
                # own, with the addresses in it, into a traceback.
                fault = classify_error(outcome, server.endpoint, self._config.model)
            elif 200 <= outcome.status < 300:
                return await self._accept(request, outcome.body, server.endpoint, guess, noted)
            else:
                fault = classify_answer(outcome, server.endpoint, self._config.model)
            if fault.reason in _ROW_REFUSALS:
                return fail(request, fault.reason, fault.detail)
            if request.response_schema and with_schema and refuses_schema(fault):
                self._with_schema = False
                continue
            self._breaker.note_failure(request.key, answered=fault.answered)
            if fault.refused and len(self._pool.servers) == 1:
                self._breaker.check_refused(fault.detail)
            waits, failures = waits + fault.busy, failures + (not fault.busy)
            if self._is_given_up(fault, failures, waits):
                await self._breaker.check_given_up(fault.detail, partial(self._probe, request))
                tries = f" ({failures + waits} tries)" if failures + waits > 1 else ""
                return fail(request, fault.reason, fault.detail + tries)
            done, asked = failures + waits - 1, fault.retry_after
            seconds = self._backoff.compute_wait(done, asked, by_chance=by_chance)
            with self._waiting.for_retry(seconds, fault.detail):
                await self._sleep(seconds)

    async def _ask_servers(self, request: Request) -> None:
        """Ask every server once whether it continues a message. Raises `EngineError` if not."""
        async with self._asking:
            if self._continues:
                return
            found = [await self._ask_whether(server, request) for server in self._pool.servers]
            # Unknown where the request itself is at fault, or the server does not answer: then the
            # request meets that by itself, and the next one asks again.
            self._continues = all(found)

    async def _ask_whether(self, server: Server, request: Request) -> bool | None:
        """Tell whether a server continues a message; None: unknown. Raises `EngineError` if not."""
        answers = []
        try:
            for question in build_questions(self._config, request):
                answers.append(await self._transport.post(server.endpoint, question))
                if answers[-1].status in OVERLOAD_STATUSES:
                    return None
        except (aiohttp.ClientError, TimeoutError):
            return None
        found = does_continue(answers)
        if found is False:
            raise refuse_server(server.endpoint.shown_url)
        return found

    def _is_given_up(self, fault: Fault, failures: int, waits: int) -> bool:
        retries = self._backoff.max_retries
        return not fault.retry or failures > retries or waits > retries * _PATIENCE

    async def _accept(
        self, request: Request, body: bytes, endpoint: Endpoint, guess: float, noted: int | None
    ) -> Result:
        try:
            result = read_answer(request, body, find_max_tokens(self._config, request))
        except BadAnswerError as error:
            detail = endpoint.redact(str(error))[:_SHOWN]
            self._breaker.note_failure(request.key, answered=True)
            await self._breaker.check_given_up(detail, partial(self._probe, request))
            return fail(request, "bad_response", detail, read_spent(body))
        self._breaker.note_success(noted)
        hidden = hide_key(result, endpoint)
        if hidden != result and result.token_ids is not None:
            # Its ids spell the key, and an answer that is kept without them is no sample.
            said = "the answer held the API key"
            return fail(request, "bad_response", said, result.usage)
        result = hidden
        if result.failure is not None:
            said = endpoint.redact(result.failure.detail)[:_SHOWN]
            result = fail(request, result.failure.reason, said, result.usage)
        usage = result.usage
        tokens = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        self._rate_limit.note_usage(guess, tokens)
        return result

    async def _probe(self, failed: Request) -> bool:
        """Tell whether the server answers a small request that is else like one that failed."""
        request = make_probe(failed)
        # Twice at most: the rows themselves have waited long enough.
        for tries in range(2):
            outcome, server, _, _, _ = await self._send(request, _guess(request))
            if isinstance(outcome, Answer) and 200 <= outcome.status < 300:
                try:
                    read_answer(request, outcome.body, None)
                except BadAnswerError:
                    return False
                return True
            if isinstance(outcome, Answer):
                fault = classify_answer(outcome, server.endpoint, self._config.model)
            else:
                fault = classify_error(outcome, server.endpoint, self._config.model)
            if not fault.retry or fault.refused:
                return False
            await self._sleep(self._backoff.compute_wait(tries, fault.retry_after))
        return False

    async def _sleep(self, seconds: float) -> None:
        """Wait. Raises `WaitCutError` when waits are cut meanwhile, or were before."""
        try:
            async with asyncio.timeout(seconds):
                await self._waiting.cut.wait()
        except TimeoutError:
            return
        raise WaitCutError

    async def _send(self, request: Request, guess: float) -> Sent:
        """Send one try when there is a place for it, and tell its server how it went."""
        server = await self._pool.enter()
        try:
            with self._waiting.for_turn():
                await self._rate_limit.wait(guess, self._sleep)
            if self._waiting.cut.is_set():
                raise WaitCutError
            # Built here and not before: a picture's base64 is not kept while a request waits.
            if self._ended is not None:
                raise self._ended
            with_schema = self._with_schema
            payload = build_payload(self._config, request, with_schema=with_schema)
            body = json.dumps(payload).encode()
            tried, by_chance = server.note_sent(), True
            noted = self._breaker.note_sent()
            outcome: Outcome
            try:
                outcome = await self._transport.post(server.endpoint, body)
            except (aiohttp.ClientError, TimeoutError) as error:
                outcome = error
            if _may_be_overload(outcome):
                answered = isinstance(outcome, Answer)
                said_so = _says_so(outcome)
                by_chance = not server.note_refusal(tried, connected=answered, said_so=said_so)
            else:
                server.note_success(tried)
        finally:
            self._pool.leave(server)
        return Sent(outcome, server, with_schema, by_chance, noted)


def hide_key(result: Result, endpoint: Endpoint) -> Result:
    """Take key and passwords out of a completion, which is kept in files that are passed on.

    Short ones may be words of any answer, and stay. Where something was taken out, token ids would
    still spell it, and are dropped with their logprobs.
    """

    def hide(text: str) -> str:
        return endpoint.redact(text, SHORTEST_REPLACED_ANYWHERE)

    stop = None if result.stop_reason is None else hide(result.stop_reason)
    hidden = replace(
        result, text=hide(result.text), reasoning=hide(result.reasoning), stop_reason=stop
    )
    return result if hidden == result else replace(hidden, token_ids=None, logprobs=None)


def _may_be_overload(outcome: Outcome) -> bool:
    return not isinstance(outcome, Answer) or outcome.status in OVERLOAD_STATUSES


def _says_so(outcome: Outcome) -> bool:
    """Tell whether a server says itself that it is asked too often."""
    if not isinstance(outcome, Answer):
        return False
    return outcome.status == 429 or read_retry_after(outcome.headers) is not None


def _guess(request: Request) -> float:
    parts = [part for message in request.messages for part in message.content]
    pictures = sum(isinstance(part, ImageData) for part in parts)
    characters = sum(len(part) for part in parts if isinstance(part, str))
    return guess_tokens(characters, pictures, request.decoding.max_tokens)


@asynccontextmanager
async def open_session(
    config: OpenAIConfig,
    endpoints: Sequence[Endpoint],
    backoff: Backoff,
    waiting: Waiting,
    rates: HoldRates = hold_all,
) -> AsyncIterator[Session]:
    """Open connections, and hold a part of the rates, for the time of one `generate`."""
    with rates() as find_part:
        async with open_transport(endpoints, config.timeout) as transport:
            yield Session(transport, endpoints, config, backoff, waiting, find_part)
