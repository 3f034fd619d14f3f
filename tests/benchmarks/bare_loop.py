"""A bare aiohttp loop with retries: what a client costs that does no more than it must.

All requests are tasks at once; a semaphore bounds those in flight, and who waits for a retry leaves
its place to others. The waits are those of dfgen, and so is what counts as passing: any 5xx, 429,
or a broken connection, for as long as it takes.
"""

from __future__ import annotations

import asyncio
import time

import aiohttp

from dfgen.engines.openai.classify import Backoff

PAYLOAD = {
    "model": "m",
    "messages": [{"role": "user", "content": "Correct this answer: " + "I see 3 circles. " * 20}],
    "temperature": 0.0,
    "max_tokens": 256,
}


def run_bare(url: str, count: int, concurrency: int) -> float:
    """Send requests until all are answered; return wall seconds."""
    start = time.monotonic()
    asyncio.run(_run(url, count, concurrency))
    return time.monotonic() - start


async def _run(url: str, count: int, concurrency: int) -> None:
    places, backoff = asyncio.Semaphore(concurrency), Backoff()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:

        async def ask(seed: int) -> None:
            tries = 0
            while True:
                async with places:
                    try:
                        payload = {**PAYLOAD, "seed": seed}
                        async with http.post(f"{url}/chat/completions", json=payload) as answer:
                            if answer.status == 200:
                                (await answer.json())["choices"][0]["message"]["content"]
                                return
                            await answer.read()
                    except aiohttp.ClientError:
                        pass
                await asyncio.sleep(backoff.compute_wait(tries, None))
                tries += 1

        await asyncio.gather(*map(ask, range(count)))
