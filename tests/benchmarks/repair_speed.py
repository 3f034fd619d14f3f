"""Throughput of the repair client against a loopback server: three measured claims.

    python tests/benchmarks/repair_speed.py

1. With 64 in flight, at 50 and 500 ms: finished requests per second against concurrency / latency,
   and the peak.
2. A server that bears 20 in flight and answers 429 above: rate against 20 / latency, and the share
   of requests refused after the first two seconds.
3. Memory of the client after 1,000 and after 50,000 requests with pictures (`--memory`).
4. The same work beside a bare loop (`bare_loop`) in one run, against servers that fail by chance,
   have a limit, or both (`--table`): a row for each, at 50 and 500 ms. Exits with 1 if the client
   does less than 0.8 of the loop's rate anywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bare_loop import run_bare

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Decoding, ImageData, Message, Request
from dfgen.engines.openai.engine import OpenAIEngine

SERVER = Path(__file__).parent / "repair_server.py"
LATENCY = 0.05
WARM_UP = 2.0


@contextmanager
def start_server(**options: Any) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run the server in a process of its own; its counts are in the list afterwards."""
    flags = [f"--{name}={value}" for name, value in options.items()]
    process = subprocess.Popen(
        [sys.executable, str(SERVER), *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    counts: list[dict[str, Any]] = []
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1", counts
        out, _ = process.communicate("", timeout=30)
        counts.append(json.loads(out))
    finally:
        process.kill()
        process.wait()


def make_requests(count: int, image: bytes = b"") -> Iterator[Request]:
    """Requests of the size of a small repair, each with its own picture if there is one."""
    sampling = Decoding(temperature=0.0, max_tokens=256)
    for index in range(count):
        parts: tuple[Any, ...] = ("Correct this answer: " + "I see 3 circles. " * 20,)
        if image:
            parts = (ImageData(image + index.to_bytes(4, "big"), str(index), "image/png"), *parts)
        yield Request(str(index), (Message("user", parts),), sampling, index, with_logprobs=False)


def drive(url: str, count: int, concurrency: int, image: bytes = b"") -> tuple[float, float]:
    """Send requests; return wall seconds and CPU seconds of this process."""
    engine = OpenAIEngine(OpenAIConfig(model="m", base_url=url, concurrency=concurrency))
    start, cpu = time.monotonic(), time.process_time()
    done = failed = 0
    for batch in engine.generate(make_requests(count, image)):
        done += len(batch)
        failed += sum(result.failure is not None for result in batch)
    assert (done, failed) == (count, 0), (done, failed)
    return time.monotonic() - start, time.process_time() - cpu


def measure_rate(done: list[float]) -> float:
    """Answers per second after the warm-up."""
    later = [at for at in done if at >= WARM_UP]
    return (len(later) - 1) / (later[-1] - later[0]) if len(later) > 1 else 0.0


def bench_open(concurrency: int, latency: float, count: int) -> None:
    with start_server(latency=latency) as (url, counts):
        wall, cpu = drive(url, count, concurrency)
    rate, best = measure_rate(counts[0]["done"]), concurrency / latency
    print(
        f"open server, {latency * 1000:.0f} ms, {concurrency} in flight: {rate:,.0f}/s of "
        f"{best:,.0f}/s = {rate / best:.2f}; peak {counts[0]['peak']}; client CPU "
        f"{cpu / count * 1000:.2f} ms per request ({cpu / wall:.0%} of one core)"
    )


def bench_limited(places: int, concurrency: int, latency: float, count: int) -> None:
    with start_server(latency=latency, places=places) as (url, counts):
        drive(url, count, concurrency)
    done, refused = counts[0]["done"], counts[0]["refused"]
    rate, best = measure_rate(done), places / latency
    late_done = sum(at >= WARM_UP for at in done)
    late_refused = sum(at >= WARM_UP for at in refused)
    print(
        f"server with {places} places, {latency * 1000:.0f} ms, {concurrency} allowed: "
        f"{rate:,.0f}/s of {best:,.0f}/s = "
        f"{rate / best:.2f}; refused after warm-up {late_refused} of {late_done + late_refused} "
        f"= {late_refused / max(1, late_done + late_refused):.1%} (in all {len(refused)})"
    )


def list_servers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Servers of the table, by what is wrong with them."""
    yield "open", {}
    yield "20 places, 429", {"places": 20}
    yield "20 places, 503", {"places": 20, "busy": 503}
    for chance in (0.01, 0.05):
        for error in ("500", "502", "503", "reset"):
            yield f"{chance:.0%} {error}", {"chance": chance, "error": error}
    for chance in (0.01, 0.05):
        yield f"20 places, 429, {chance:.0%} 503", {"places": 20, "chance": chance}
        options = {"places": 20, "busy": 503, "chance": chance}
        yield f"20 places, 503, {chance:.0%} 503", options


def bench_table(concurrency: int, latencies: tuple[float, ...], count: int) -> float:
    """Print the table; return the smallest ratio to the bare loop."""
    print(
        f"{count:,} requests, {concurrency} in flight at most; refused: by the limit, of all tries"
    )
    print("| server | latency | bare loop s | refused | dfgen s | refused | bare / dfgen |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    ratios = []
    for latency in latencies:
        for name, options in list_servers():
            # Where it has a limit, the server is what takes the time.
            size = count // 2 if "places" in options else count
            with start_server(latency=latency, **options) as (url, bare):
                loop = run_bare(url, size, concurrency)
            with start_server(latency=latency, **options) as (url, own):
                client, _ = drive(url, size, concurrency)
            ratios.append(loop / client)
            refused = [len(counts[0]["refused"]) for counts in (bare, own)]
            shares = [each / (size + each) for each in refused]
            print(
                f"| {name} | {latency * 1000:.0f} ms | {loop:.1f} | {shares[0]:.1%} | {client:.1f} "
                f"| {shares[1]:.1%} | {ratios[-1]:.2f} |",
                flush=True,
            )
    return min(ratios)


def bench_memory(counts: tuple[int, ...], image_bytes: int) -> None:
    with start_server(latency=0.0) as (url, _):
        for count in counts:
            drive(url, count, 64, os.urandom(image_bytes))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"after {count:,} requests with pictures of {image_bytes:,} bytes: {peak:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--latency", type=float, nargs="*", default=[0.05, 0.5])
    parser.add_argument("--count", type=int, default=None)
    arguments = parser.parse_args()
    os.environ.setdefault("OPENAI_API_KEY", "EMPTY")
    if arguments.table:
        worst = bench_table(64, tuple(arguments.latency), arguments.count or 2000)
        sys.exit(worst < 0.8)
    elif arguments.memory:
        bench_memory((1_000, 50_000), 20_000)
    else:
        bench_open(64, LATENCY, arguments.count or 6000)
        bench_open(64, 0.5, 64 * 20)
        bench_limited(20, 64, LATENCY, 4000)
        bench_limited(20, 64, 0.2, 2000)
