"""A server with a limit, chance or both, and a client that keeps to a window: without a clock."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from dfgen.engines.openai.concurrency import Server, Try
from dfgen.engines.openai.endpoint import Endpoint


@dataclass
class Simulated:
    """What a server is, in seconds of the simulation.

    Attributes:
        places: requests that it bears at once; a function of the time where that changes.
        chance: share of requests that it refuses whatever its load.
        latency: of an answer, spread by a tenth.
        refusal: seconds after which it refuses; what comes by chance takes as long.
        says_so: whether a refusal for want of a place says so (429).
    """

    places: Callable[[float], int] = lambda _: 1_000_000
    chance: float = 0.0
    latency: float = 0.05
    refusal: float = 0.002
    says_so: bool = False


@dataclass
class Outcome:
    """What came of a simulation.

    Attributes:
        seconds: until the last answer.
        refused_by_limit, refused_by_chance: tries.
        done: when each answer came, in order.
        windows: time and window after each try.
    """

    seconds: float = 0.0
    refused_by_limit: int = 0
    refused_by_chance: int = 0
    done: list[float] = field(default_factory=list)
    windows: list[tuple[float, float]] = field(default_factory=list)

    def measure_rate(self, after: float) -> float:
        """Answers per second after some seconds, to the last of nine tenths of all.

        The last tenth is left out: requests that wait for their retry keep no place busy.
        """
        kept = [at for at in self.done[: len(self.done) * 9 // 10] if at >= after]
        return (len(kept) - 1) / (kept[-1] - kept[0])


def simulate(simulated: Simulated, count: int, most: int, seed: int, wait: float = 1.0) -> Outcome:
    """Let a client with one `Server` put `count` requests to a simulated server.

    Args:
        most: requests in flight at most.
        wait: seconds before the first retry, doubled for each further one.
    """
    draw = random.Random(seed)
    client = Server(Endpoint("http://127.0.0.1:1/v1", "k"), most)
    outcome = Outcome()
    # (time, tie-breaker, event, tries so far, the client's `Try`)
    events: list[tuple[float, int, str, int, Try | None]] = []
    ready: list[int] = [0] * count
    serial = busy = 0
    now = 0.0

    def push(at: float, event: str, tries: int, tried: Try | None = None) -> None:
        nonlocal serial
        serial += 1
        heapq.heappush(events, (at, serial, event, tries, tried))

    def send() -> None:
        nonlocal busy
        while ready and client.free > 0:
            tries = ready.pop()
            client.in_flight += 1
            tried = client.note_sent()
            spread = draw.uniform(0.9, 1.1)
            if busy >= simulated.places(now):
                push(now + simulated.refusal * spread, "full", tries, tried)
            elif draw.random() < simulated.chance:
                push(now + simulated.refusal * spread, "chance", tries, tried)
            else:
                busy += 1
                push(now + simulated.latency * spread, "done", tries, tried)

    send()
    while events:
        now, _, event, tries, tried = heapq.heappop(events)
        if event == "retry":
            ready.append(tries)
            send()
            continue
        assert tried is not None
        if event == "done":
            busy -= 1
            outcome.done.append(now)
            client.note_success(tried)
        else:
            outcome.refused_by_limit += event == "full"
            outcome.refused_by_chance += event == "chance"
            said_so = event == "full" and simulated.says_so
            client.note_refusal(tried, connected=True, said_so=said_so)
            length = min(wait * 2.0 ** min(tries, 6), 60.0)
            push(now + length * draw.uniform(0.75, 1.25), "retry", tries + 1)
        client.in_flight -= 1
        outcome.windows.append((now, client.window))
        send()
    outcome.seconds = now
    return outcome
