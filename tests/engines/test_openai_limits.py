"""How many requests are in flight, how many a minute, and how large their pictures are."""

from __future__ import annotations

import asyncio
import base64
import io
import random
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from PIL import Image

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import ImageData
from dfgen.engines.openai.classify import Backoff
from dfgen.engines.openai.concurrency import Server
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.engines.openai.engine import OpenAIEngine
from dfgen.engines.openai.rate_limit import RateLimit
from tests.engines.making import make_request
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion, write_error

FAST = Backoff(max_retries=5, base=0.02, longest=0.1)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def run(server: LoopbackServer, count: int, **settings: Any) -> int:
    engine = OpenAIEngine(OpenAIConfig(model="m", base_url=server.url, **settings), FAST)
    requests = (make_request(index, "Hi") for index in range(count))
    results = [result for batch in engine.generate(requests) for result in batch]
    assert all(result.failure is None for result in results)
    return len(results)


def test_the_peak_is_the_configured_one() -> None:
    answer = Reply(write_completion("x"), delay=0.05)
    with LoopbackServer(lambda _: answer) as server:
        assert run(server, 300, concurrency=24) == 300
    assert server.peak == 24


def test_a_server_with_few_places_is_not_hammered() -> None:
    out = threading.Semaphore(6)
    refused = []

    def answer(received: Received) -> Reply:
        if not out.acquire(blocking=False):
            refused.append(received.number)
            return Reply(write_error("busy"), 429)
        time.sleep(0.05)
        out.release()
        return Reply(write_completion("x"))

    with LoopbackServer(answer) as server:
        assert run(server, 300, concurrency=32) == 300
    late = [number for number in refused if number > 60]
    # One that does not learn would have four of five refused; how many a try now and then costs
    # depends on how evenly the machine answers (test_openai_overload.py measures it without one).
    assert len(late) <= 0.3 * (server.count - 60)


def test_a_window_shrinks_once_for_all_that_was_out() -> None:
    server = Server(Endpoint("http://127.0.0.1:1/v1", "k"), most=64)
    server.in_flight = 15
    tries = [server.note_sent() for _ in range(10)]
    for tried in tries:
        server.note_refusal(tried, connected=True, said_so=True)
    assert server.window == pytest.approx(13.5)
    server.note_refusal(server.note_sent(), connected=False, said_so=True)
    assert server.window == pytest.approx(13.5 * 0.9)
    assert server.trouble == 1
    for _ in range(200):
        server.in_flight = 1
        server.note_refusal(server.note_sent(), connected=True, said_so=True)
    assert server.window == 1.0


def test_requests_that_wait_for_a_retry_leave_their_places_to_others() -> None:
    def answer(received: Received) -> Reply:
        bad = received.number % 2 == 0
        return Reply(write_error("sorry"), 500) if bad else Reply(write_completion("x"))

    with LoopbackServer(answer) as server:
        config = OpenAIConfig(model="m", base_url=server.url, concurrency=4)
        engine = OpenAIEngine(config, Backoff(max_retries=5, base=300.0, longest=300.0))
        results = engine.generate(make_request(index, str(index)) for index in range(200))
        while server.count < 16:
            next(results)
        results.close()  # type: ignore[attr-defined]
        sent = [received.text for received in server.received]
    assert len(set(sent)) == len(sent), "nothing was sent twice yet"


class TurnedClock(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still but for sleeps, which end at once."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        self.now = max(self.now, when)
        return super().call_at(self.now, callback, *args, context=context)


def run_by_turned_clock(main: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """Seconds that a coroutine spends asleep."""
    with asyncio.Runner(loop_factory=TurnedClock) as runner:
        runner.run(main())
        return runner.get_loop().time()


def test_requests_per_minute_are_kept() -> None:
    async def main() -> None:
        limit = RateLimit(requests_per_minute=6000, tokens_per_minute=None)
        for _ in range(31):
            await limit.wait(1)

    assert run_by_turned_clock(main) == pytest.approx(0.3)


def test_requests_that_come_together_are_spread() -> None:
    async def main() -> None:
        limit = RateLimit(requests_per_minute=60, tokens_per_minute=None)
        await asyncio.gather(*(limit.wait(1) for _ in range(31)))

    assert run_by_turned_clock(main) >= 30


def test_a_part_of_the_rates_that_changes_holds_at_once() -> None:
    """Also for requests that wait for their turn already."""

    def find_part() -> float:
        now = asyncio.get_running_loop().time()
        return 0.0 if now < 7 else 1.0 if now < 12 else 0.25

    async def main() -> None:
        limit = RateLimit(60, None, find_part)
        await asyncio.gather(*(limit.wait(1) for _ in range(9)))

    # At 7, 8, 9, 10, 11 and 12, and then every four seconds.
    assert run_by_turned_clock(main) == pytest.approx(24)


@pytest.mark.parametrize(("used", "least", "most"), [(100, 0.29, 0.31), (200, 0.55, 0.61)])
def test_tokens_per_minute_are_learned(used: int, least: float, most: float) -> None:
    """31 requests of 100 guessed tokens at 10,000 a second: what they really took counts."""

    async def main() -> None:
        limit = RateLimit(requests_per_minute=None, tokens_per_minute=600_000)
        for _ in range(31):
            await limit.wait(100)
            limit.note_usage(100, used)

    assert least <= run_by_turned_clock(main) <= most


def draw_noise(size: int) -> ImageData:
    noise = Image.frombytes("RGB", (size, size), random.Random(0).randbytes(size * size * 3))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    return ImageData(buffer.getvalue(), "0", "image/png")


def test_only_pictures_above_the_limit_are_encoded_anew() -> None:
    large, small = draw_noise(300), draw_noise(20)
    sent: list[bytes] = []

    def answer(received: Received) -> Reply:
        for part in received.payload["messages"][-1]["content"]:
            if part["type"] == "image_url":
                head, _, data = part["image_url"]["url"].partition(",")
                sent.append(head.encode() + b"|" + base64.b64decode(data))
        return Reply(write_completion("x"))

    with LoopbackServer(answer) as server:
        config = OpenAIConfig(model="m", base_url=server.url, max_image_bytes=20_000)
        list(OpenAIEngine(config, FAST).generate([make_request("a", large, "?", small)]))
    first, second = sent
    assert first.startswith(b"data:image/jpeg")
    assert len(first.partition(b"|")[2]) <= 20_000
    assert second == b"data:image/png;base64|" + small.data
