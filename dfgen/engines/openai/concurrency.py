"""Decides how many requests may be in flight: more while all is well, fewer when a server refuses.

Each base URL has a window (requests in flight) that follows congestion control as TCP knows it
(AIMD: Chiu & Jain 1989; slow start: RFC 5681): it grows by one per success until the first
refusal, by one per window of successes after that, and shrinks by a factor when the server says
429 or 503 or does not answer. All requests that were out when it shrank count as one refusal.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from dfgen.engines.openai.endpoint import Endpoint

FIRST_WINDOW = 16
"""Requests in flight before anything is known about the server."""
SHRINK = 0.9
_CAREFUL = 4


@dataclass(eq=False)
class Server:
    """One base URL and what it bears.

    Attributes:
        window: requests in flight that it is thought to bear.
        in_flight: requests out now.
        trouble: failures of connection in a row; servers with fewer are preferred.
    """

    endpoint: Endpoint
    most: int
    window: float = 0.0
    in_flight: int = 0
    trouble: int = 0
    _slow_start: bool = True
    _shrunk_at: float = field(default=float("-inf"))
    _refused_at: float = field(default=float("inf"))

    def __post_init__(self) -> None:
        self.window = float(min(self.most, FIRST_WINDOW))

    @property
    def free(self) -> int:
        """Requests that may be sent now."""
        return int(self.window) - self.in_flight

    def note_success(self) -> None:
        """Note that an answer came, of whatever kind."""
        self.trouble = 0
        # A window that is not used says nothing about what the server bears (RFC 7661).
        if 2 * self.in_flight >= int(self.window):
            self.window = min(self.window + self._choose_step(), float(self.most))

    def _choose_step(self) -> float:
        if self._slow_start:
            return 1.0
        # Where the server refused before it is approached slowly, and left behind if it bears it.
        near = self._refused_at - 1 <= self.window < self._refused_at + 1
        return (1.0 / _CAREFUL if near else 1.0) / self.window

    def note_refusal(self, sent_at: float, now: float, *, connected: bool) -> None:
        """Note that the server had no place, or did not answer in time.

        Args:
            sent_at: when the refused request was sent, in seconds of the loop.
        """
        self.trouble += not connected
        if sent_at > self._shrunk_at:
            self._shrunk_at = now
            self._slow_start = False
            # What was out is what it could not bear; the window itself may be far above that.
            out = min(self.window, float(self.in_flight + 1))
            self._refused_at = out
            self.window = max(1.0, out * SHRINK)


class ServerPool:
    """Hands out places in flight over all base URLs, the emptiest first.

    Args:
        endpoints: at least one.
        concurrency: requests in flight at most, over all of them.
    """

    def __init__(self, endpoints: Sequence[Endpoint], concurrency: int):
        self.servers = [Server(endpoint, concurrency) for endpoint in endpoints]
        self._most = concurrency
        self._queue: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> Server:
        """Wait for a place and take it."""
        while True:
            # Who waits already comes first.
            server = self._choose()
            if server is not None:
                server.in_flight += 1
                return server
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.append(place)
            await place

    def leave(self, server: Server) -> None:
        """Give a place back."""
        server.in_flight -= 1
        room = sum(max(0, each.free) for each in self.servers)
        room = min(room, self._most - sum(each.in_flight for each in self.servers))
        while room > 0 and self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                room -= 1

    def _choose(self) -> Server | None:
        if sum(server.in_flight for server in self.servers) >= self._most:
            return None
        free = [server for server in self.servers if server.free > 0]
        return min(free, key=lambda server: (server.trouble, server.in_flight), default=None)
