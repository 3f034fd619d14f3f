"""How much may be in flight, and when the server counts as gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dfgen.engines.openai.endpoint import Endpoint
from dfgen.errors import EngineError


class Limits:
    """Hands out places in flight.

    Args:
        concurrency: requests in flight at most; a request that waits for its retry keeps its place.
    """

    def __init__(self, concurrency: int):
        self._places = asyncio.Semaphore(concurrency)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place in flight."""
        async with self._places:
            yield


class Breaker:
    """Ends the run when nothing succeeds any more, before every row becomes a reject.

    Args:
        tolerance: tries in a row, over all requests, that may fail without one success.
    """

    def __init__(self, endpoint: Endpoint, tolerance: int):
        self._endpoint = endpoint
        self._tolerance = tolerance
        self._failures = 0
        self._answered = False

    def note_success(self) -> None:
        """A completion came back."""
        self._answered = True
        self._failures = 0

    def note_failure(self, *, answered: bool) -> None:
        """A try failed; `answered` if at least the server said so."""
        self._answered = self._answered or answered
        self._failures += 1

    def check_refused(self, detail: str) -> None:
        """Stop at once where nothing listens and never has since the start.

        Raises:
            EngineError: no answer of any kind has come from this address.
        """
        if not self._answered:
            raise EngineError(
                f"no server answers at {self._endpoint.shown_url}: {detail}",
                hint="Check `base_url` and that the server is up, then start the same command "
                "again; what is finished is kept.",
            )

    def check_given_up(self, detail: str) -> None:
        """Decide about a request that has used up its tries: this row, or the run?

        Raises:
            EngineError: the server has never answered, or too many tries in a row have failed.
        """
        self.check_refused(detail)
        if self._failures >= self._tolerance:
            raise EngineError(
                f"the server at {self._endpoint.shown_url} has failed {self._failures} times in "
                f"a row; the last time: {detail}",
                hint="What is finished is kept. Start the same command again when the server "
                "works, or check `model` and `extra_body` if it refuses every request.",
            )
