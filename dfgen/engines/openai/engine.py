"""Generates on a server that speaks the OpenAI chat protocol, many requests in flight at once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import PREFIX_TEXT, EngineInfo, HoldRates, Request, Result, hold_all
from dfgen.engines.openai.classify import Backoff
from dfgen.engines.openai.client_info import describe_client
from dfgen.engines.openai.endpoint import resolve_endpoints
from dfgen.engines.openai.loop_thread import LoopThread
from dfgen.engines.openai.session import Waiting, open_session
from dfgen.errors import EngineError

# Requests that go to the other thread at once. Each hand-over is a change of threads, which costs
# more than a request itself when both have work; the first must not wait for many others, either.
_HANDED_OVER = 8
# Requests that wait for a retry while others take their places, as a multiple of those in flight:
# of 64 places with answers in 50 ms, where one in twenty fails, 64 requests wait for a second each.
_WAITING = 2
_SILENCE_S = 30.0
"""Without an answer for so long, it is said what is waited for, and again after as long."""


def _refuse_prefix(request: Request) -> Request:
    """Refuse what the protocol has no words for: ids of the assistant's turn.

    As text (`prefix_text`) some servers continue it; whoever asks for that knows that its tokens
    are those of a new encoding.
    """
    if request.prefix_ids:
        raise EngineError(
            "a server of the OpenAI protocol cannot go on after given token ids (prefix_ids).",
            where=f"request {request.key}",
            hint="Use `engine: vllm` or `engine: transformers` with the same model.",
        )
    return request


class OpenAIEngine:
    """Generates on a server that speaks the OpenAI chat protocol.

    Of dfgen's optional features it has `prefix_text` alone, where the server has
    `continue_final_message`: a server is sent a chat as text and encodes it itself, so nothing can
    be said of ids that were given.

    Requests are pulled in the thread that iterates, only as places in flight come free (and a few
    ahead, so that no place is idle while the caller writes results down). Results come as they
    finish. An iterator that is closed early, by Ctrl-C too, cancels what is in flight.

    Args:
        config: of the server. The key is read from the environment here, and is in no message.
        backoff: waits between tries; by default those of the section.

    Raises:
        EngineError: no usable address, or no key where one is needed.
    """

    def __init__(self, config: OpenAIConfig, backoff: Backoff | None = None):
        self._config = config
        self._endpoints = resolve_endpoints(config)
        self._waiting: Waiting | None = None
        self._thread: LoopThread[Request, Result | None] | None = None
        self._is_cut = False
        self._rates: HoldRates = hold_all
        self._tell: Callable[[str], None] = lambda _: None
        self._backoff = backoff or Backoff(max_retries=config.max_retries)

    @property
    def info(self) -> EngineInfo:
        """What made the results, as far as a client can know."""
        return describe_client(
            self._config,
            {
                "base_url": ", ".join(endpoint.shown_url for endpoint in self._endpoints),
                "concurrency": self._config.concurrency,
            },
            features=(PREFIX_TEXT,),
        )

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Yield results as they finish, those that finished together in one list.

        An empty list comes before each wait.

        Raises:
            EngineError: the key is refused, the model is unknown, or the server is gone. Results
                that finished before are yielded first. Or a request has `prefix_ids`, or
                `prefix_text` and the server does not continue it.
        """
        source = map(_refuse_prefix, requests)
        # No larger: whatever is in it may be answered, and paid for, before the caller takes it,
        # and is lost if the process is killed then. Twice the places were not faster.
        window = self._config.concurrency + max(2, self._config.concurrency // 4)
        in_flight, more, heard = 0, True, time.monotonic()
        waiting = self._waiting = Waiting()
        with LoopThread(partial(self._open_work, waiting)) as thread:
            self._thread = thread
            if self._is_cut:
                self.cut_waits()
            while more or in_flight:
                while more and not thread.has_done():
                    # Those that wait for a retry leave their places to others.
                    room = window + min(waiting.count, _WAITING * window) - in_flight
                    if room <= 0:
                        break
                    fresh = list(islice(source, min(_HANDED_OVER, room)))
                    more = bool(fresh)
                    if not in_flight:  # until now there was nothing to answer
                        heard = time.monotonic()
                    thread.submit(fresh)
                    in_flight += len(fresh)
                if not thread.has_done():
                    yield []
                # Without requests, what is done is an error: no connection could be opened.
                if in_flight or thread.has_done():
                    finished = thread.take(_SILENCE_S)
                    heard = time.monotonic() if finished else heard
                    if not finished:
                        self._tell(self._describe_silence(in_flight, time.monotonic() - heard))
                    in_flight -= len(finished)
                    yield [result for result in finished if result is not None]

    def cut_waits(self) -> None:
        """Let go of requests that wait for a retry or for their turn; they get no result.

        What is in flight is still answered. Called from any thread or a signal handler, and for
        good: whoever calls it gives no further requests.
        """
        self._is_cut = True
        if self._thread is not None and self._waiting is not None:
            self._thread.call(self._waiting.cut.set)

    def tell_waits(self, tell: Callable[[str], None]) -> None:
        """Say from now on, twice a minute, for what there is no answer."""
        self._tell = tell

    def _describe_silence(self, asked: int, seconds: float) -> str:
        where = ", ".join(endpoint.shown_url for endpoint in self._endpoints)
        more = "" if self._waiting is None else self._waiting.describe()
        requests = f"{asked:,} request{'s' * (asked != 1)}"
        return f"no answer for {seconds:,.0f} s from {where}: {requests} out. {more}".rstrip()

    def keep_to(self, rates: HoldRates) -> None:
        """Use a part of the account's rates; it is held for the time of each `generate`."""
        self._rates = rates

    def close(self) -> None:
        """Nothing to do: connections live as long as the iterator of `generate`."""

    @asynccontextmanager
    async def _open_work(
        self, waiting: Waiting
    ) -> AsyncIterator[Callable[[Request], Awaitable[Result | None]]]:
        async with open_session(
            self._config, self._endpoints, self._backoff, waiting, self._rates
        ) as session:
            yield session.complete
