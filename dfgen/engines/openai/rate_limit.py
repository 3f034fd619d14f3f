"""Keeps to the limits of an account that the user names: requests and tokens per minute."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_PICTURE_TOKENS = 1000
"""Assumed of a picture until answers say more."""


_LOOK_S = 0.5
"""Seconds between two looks whether there is a part of the rates by now."""


class RateLimit:
    """Spreads requests evenly over time. One per base URL section; lives in one event loop.

    Args:
        requests_per_minute, tokens_per_minute: None is no limit.
        find_part: says which part of these rates may be used now, from 0 to 1.
    """

    def __init__(
        self,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        find_part: Callable[[], float] = lambda: 1.0,
    ):
        self._find_part = find_part
        # One waits for its turn and the others for it, so that a part that becomes smaller holds
        # for all that are still to come.
        self._turns = asyncio.Lock()
        self._request_gap = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._token_gap = 60.0 / tokens_per_minute if tokens_per_minute else 0.0
        self._next_request = self._next_token = 0.0
        self._ratio = 1.0

    async def wait(
        self, guess: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Wait for the next turn.

        Args:
            guess: tokens that the request may take, pictures and answer included.
            sleep: waits for so many seconds.
        """
        if not self._request_gap and not self._token_gap:
            return
        async with self._turns:
            now = asyncio.get_running_loop().time()
            turn = max(now, self._next_request, self._next_token)
            await sleep(turn - now)
            while not (part := self._find_part()):
                await sleep(_LOOK_S)
                turn = asyncio.get_running_loop().time()
            self._next_request = turn + self._request_gap / part
            tokens = guess * self._ratio
            self._next_token = max(self._next_token, turn) + tokens * self._token_gap / part

    def note_usage(self, guess: float, tokens: int) -> None:
        """Learn what a request really took, so that the next guesses are better."""
        if tokens > 0 and guess > 0:
            # What was guessed too much or too little is settled with the next turns.
            part = self._find_part() or 1.0
            self._next_token += (tokens - guess * self._ratio) * self._token_gap / part
            self._ratio += 0.1 * (tokens / guess - self._ratio)


def guess_tokens(characters: int, pictures: int, max_tokens: int) -> float:
    """Tokens of a request before it is made: four characters each, half of `max_tokens`."""
    return characters / 4 + pictures * _PICTURE_TOKENS + max_tokens / 2
