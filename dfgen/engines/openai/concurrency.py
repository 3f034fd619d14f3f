"""Decides how many requests may be in flight: more while all is well, fewer under overload.

Each base URL has a window (requests in flight) that follows congestion control as TCP knows it
(AIMD: Chiu & Jain 1989; slow start: RFC 5681): it grows by one per success until the server is
overloaded, by one per window of successes after that, and shrinks by a factor under overload. All
requests that were out when it shrank count as one refusal. Which refusals mean overload, and which
come by chance and are only sent again, `overload` decides. The window runs ahead of what that has
found to be borne by no more than a quarter, so that a limit is met slowly; where a limit was seen
and has turned out to be none, it grows by one per success again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.overload import OverloadTest

FIRST_WINDOW = 16
"""Requests in flight before anything is known about the server."""
SHRINK = 0.9
_CAREFUL = 4
_AHEAD = 1.25
_AHEAD_FIRST = 2.0


@dataclass(eq=False, slots=True)
class Try:
    """A request that was sent once.

    Attributes:
        level: requests in flight when it was sent, itself included.
        told: the test of its server has heard of it, or is not to.
    """

    level: int
    told: bool = False


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
    _refused_at: float = field(default=float("inf"))
    _confirmed: bool = False
    _ahead: float = _AHEAD_FIRST
    # Those that are out since the window shrank, in the order in which they were sent.
    _out: dict[int, Try] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.window = float(min(self.most, FIRST_WINDOW))
        self._test = OverloadTest(self.window)

    @property
    def free(self) -> int:
        """Requests that may be sent now."""
        return int(self.window) - self.in_flight

    def note_sent(self) -> Try:
        """Note that a request goes out now, for which there is a place in flight already."""
        tried = Try(self.in_flight)
        self._out[id(tried)] = tried
        return tried

    def note_success(self, tried: Try) -> None:
        """Note that an answer came, of whatever kind."""
        self.trouble = 0
        if self._out.pop(id(tried), None) is not None:
            self._pass(tried)
        # A window that is not used says nothing about what the server bears (RFC 7661).
        if 2 * self.in_flight >= int(self.window):
            most = max(self.window, min(self._test.base * self._ahead + 1, float(self.most)))
            self.window = min(self.window + self._choose_step(), most)
            if self.window >= self._refused_at + 2:
                # It bears what it was thought not to: that was chance, or is over.
                self._slow_start, self._refused_at = True, float("inf")

    def note_refusal(self, tried: Try, *, connected: bool, said_so: bool) -> bool:
        """Note that the server had no place, or did not answer in time, or a connection broke.

        Args:
            connected: whether there was an answer.
            said_so: whether that answer says that it is the number of requests (429), or when to
                come back.

        Returns:
            Whether it means that less is to be asked of the server.
        """
        self.trouble += not connected
        if id(tried) not in self._out:
            # It went out before the window shrank.
            return True
        # Servers refuse faster than they answer. What went out earlier and is out still has not
        # been refused; if only answers counted for it, every refusal would seem to be the first
        # thing that happens.
        for earlier in self._out.values():
            if earlier is tried:
                break
            self._pass(earlier)
        del self._out[id(tried)]
        if said_so or self._test.note_try(tried.level, refused=True):
            self._shrink(tried.level, said_so=said_so)
            return True
        return False

    def _pass(self, tried: Try) -> None:
        if tried.told:
            return
        tried.told = True
        self._test.note_try(tried.level, refused=False)

    def _choose_step(self) -> float:
        if self._slow_start:
            return 1.0
        # Where the server refused before it is approached slowly, and left behind if it bears it.
        near = self._refused_at - 1 <= self.window < self._refused_at + 1
        if near and self._confirmed:
            return 1.0 / _CAREFUL / self.window
        return max(1.0 / self.window, 1.0 / 16)

    def _shrink(self, level: int, *, said_so: bool) -> None:
        self._out.clear()
        self._slow_start, self._ahead = False, _AHEAD
        # What was out is what it could not bear; the window itself may be far above that.
        out = min(self.window, float(level))
        self._confirmed = said_so or out >= SHRINK * self._refused_at
        self._refused_at = out
        self.window = max(1.0, out * SHRINK)
        self._test.note_load(level, self.window)


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
