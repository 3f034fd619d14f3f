"""A loopback chat server for benchmarks: a fixed latency, 429 above so many in flight, and errors.

    python tests/benchmarks/repair_server.py --latency 0.05 --places 20 --chance 0.05 --error 503

A share `--chance` of all requests is refused at once, whatever the load: with the status `--error`,
or by breaking the connection (`reset`). Above `--places` the status is `--busy`.

`--answers FILE` names a JSON object of texts by the requests' seeds; others get `--text`. Prints
its port, serves until its standard input ends, then prints what it counted as JSON. One asyncio
protocol, because the server shares the machine with the client that is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from pathlib import Path

BUSY = b'{"error": {"message": "try again", "code": null}}'
RESET = "reset"


def write_body(text: str) -> bytes:
    """The JSON of an answer."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 900, "completion_tokens": 40, "total_tokens": 940}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


class Counter:
    """What the server has seen."""

    def __init__(
        self,
        latency: float,
        places: int,
        text: str,
        answers: dict[str, str],
        chance: float = 0.0,
        error: str = "503",
        busy: int = 429,
    ) -> None:
        self.latency = latency
        self.chance = chance
        self.error = error
        self.busy = b"%d Busy" % busy
        self.draw = random.Random(0)
        self.failed = 0
        self.places = places
        self.body = write_body(text)
        # Written now: what the server does while it is driven is taken from the client's share.
        self.bodies = {seed.encode(): write_body(answer) for seed, answer in answers.items()}
        self.in_flight = self.peak = 0
        self.done: list[float] = []
        self.refused: list[float] = []


class Connection(asyncio.Protocol):
    """One keep-alive connection; a request is its head and `content-length` bytes."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        counter = self.counter
        body = counter.body
        if counter.bodies:
            at = self.buffer.rfind(b'"seed": ') + 8
            seed = bytes(self.buffer[at : at + 20]).split(b",")[0].rstrip(b"}")
            body = counter.bodies.get(seed, body)
        del self.buffer[: end + 4 + length]
        if counter.in_flight >= counter.places:
            counter.refused.append(time.monotonic())
            self.answer(counter.busy, BUSY)
            return
        if counter.chance and counter.draw.random() < counter.chance:
            counter.failed += 1
            if counter.error == RESET:
                self.transport.abort()  # type: ignore[attr-defined]
            else:
                self.answer(counter.error.encode() + b" Error", BUSY)
            return
        counter.in_flight += 1
        counter.peak = max(counter.peak, counter.in_flight)
        asyncio.get_running_loop().call_later(counter.latency, self.finish, body)

    def finish(self, body: bytes) -> None:
        self.counter.in_flight -= 1
        self.counter.done.append(time.monotonic())
        self.answer(b"200 OK", body)

    def answer(self, status: bytes, body: bytes) -> None:
        self.transport.write(  # type: ignore[attr-defined]
            b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
            % (status, len(body), body)
        )


async def serve(counter: Counter) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counter), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    first = min([*counter.done, *counter.refused], default=0.0)
    print(
        json.dumps(
            {
                "peak": counter.peak,
                "failed": counter.failed,
                "done": [round(at - first, 4) for at in counter.done],
                "refused": [round(at - first, 4) for at in counter.refused],
            }
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--places", type=int, default=1_000_000)
    parser.add_argument("--text", default='{"edits": []}')
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--chance", type=float, default=0.0)
    parser.add_argument("--error", default="503")
    parser.add_argument("--busy", type=int, default=429)
    arguments = parser.parse_args()
    answers = json.loads(arguments.answers.read_text()) if arguments.answers else {}
    counted = Counter(
        arguments.latency,
        arguments.places,
        arguments.text,
        answers,
        arguments.chance,
        arguments.error,
        arguments.busy,
    )
    asyncio.run(serve(counted))
