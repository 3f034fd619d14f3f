"""One request from payload to result, tries and waits included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import openai

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Request, Result
from dfgen.engines.openai.answers import BadAnswerError, fail, read_answer
from dfgen.engines.openai.backoff import Backoff
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.faults import judge_error
from dfgen.engines.openai.limits import Breaker, Limits
from dfgen.engines.openai.payload import build_payload

# Seconds to establish a connection; the section's timeout is for a whole answer.
_CONNECT_TIMEOUT = 30.0
# Refusals that say something about the row; the server itself is well.
_ROW_REFUSALS = frozenset({"prompt_too_long", "content_filter", "image_corrupt"})


class Session:
    """Completes requests over one client. Lives in one event loop.

    Use `open_session`, which closes the client.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        config: OpenAIConfig,
        endpoint: Endpoint,
        backoff: Backoff,
    ):
        self._client = client
        self._config = config
        self._endpoint = endpoint
        self._backoff = backoff
        self._limits = Limits(config.concurrency)
        self._breaker = Breaker(endpoint, tolerance=max(8, 4 * (backoff.max_retries + 1)))

    async def complete(self, request: Request) -> Result:
        """Complete one request; what fails for good is a result with a failure.

        Raises:
            EngineError: no request can succeed any more.
        """
        async with self._limits.place():
            payload = build_payload(self._config, request)
            for retries_done in count():
                outcome = await self._try(payload)
                if isinstance(outcome, bytes):
                    return self._accept(request, outcome)
                # Judged outside the except block: an error raised there would carry the client's
                # own, with whatever the server said about the key, into a traceback.
                fault = judge_error(outcome, self._endpoint, self._config.model)
                if fault.reason in _ROW_REFUSALS:
                    return fail(request, fault.reason, fault.detail)
                self._breaker.note_failure(answered=fault.answered)
                if fault.refused:
                    self._breaker.check_refused(fault.detail)
                if not fault.retry or retries_done >= self._backoff.max_retries:
                    self._breaker.check_given_up(fault.detail)
                    tries = f" ({retries_done + 1} tries)" if retries_done else ""
                    return fail(request, fault.reason, fault.detail + tries)
                await asyncio.sleep(self._backoff.compute_wait(retries_done, fault.retry_after))
        raise AssertionError("unreachable: count() does not end")

    def _accept(self, request: Request, body: bytes) -> Result:
        try:
            result = read_answer(request, body)
        except BadAnswerError as error:
            detail = self._endpoint.redact(str(error))
            self._breaker.note_failure(answered=True)
            self._breaker.check_given_up(detail)
            return fail(request, "bad_response", detail)
        self._breaker.note_success()
        return result

    async def _try(self, payload: dict[str, Any]) -> bytes | Exception:
        """Send one try; return the body of its 200 answer, unparsed, or what went wrong.

        The client's own parsing accepts any JSON of any shape, so it is not used.
        """
        try:
            async with asyncio.timeout(self._config.timeout):
                # All fields go through extra_body, which the client merges in last: its walk over
                # typed messages takes a quarter of the time of a request and changes nothing.
                response = await self._client.chat.completions.with_raw_response.create(
                    model=self._config.model, messages=[], extra_body=payload
                )
        except (openai.OpenAIError, TimeoutError) as error:
            return error
        return response.content


@asynccontextmanager
async def open_session(
    config: OpenAIConfig, endpoint: Endpoint, backoff: Backoff
) -> AsyncIterator[Session]:
    """Open the client for the time of one `generate`."""
    client = openai.AsyncOpenAI(
        api_key=endpoint.key,
        base_url=endpoint.base_url,
        timeout=openai.Timeout(config.timeout, connect=min(config.timeout, _CONNECT_TIMEOUT)),
        max_retries=0,
    )
    async with client:
        yield Session(client, config, endpoint, backoff)
