"""Decides whether failures mean that the server is gone, or that these rows are bad.

Failures in a row have two explanations that ask for opposite things. The server is gone, or refuses
all requests: then the run must end, and no row may be lost to it. Or these rows are such that this
server cannot take them: then they are rejects, and the run goes on. Counting does not tell the two
apart. Rows that fail often stand together (pictures of one source), and the second attempt asks
about nothing but rows that failed in the first: a handful of them, with no good row in between,
would end the run, and again each time it is resumed.

So the server is asked. When several requests have failed without a success between them, or one
has before anything succeeded, a small one with the same settings (a *probe*) is sent before any is
given up. If it is answered the server is well, and the rows are at fault.

What that costs: the tokens of a probe, which no attempt on record pays for, about once in
`_SEVERAL` bad rows that stand together. What it cannot see: a server that answers probes and no row
at all; its rows become rejects, each with what the server said. What it does not need is a bound on
how many rows may fail.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache

from dfgen.engines.base import ImageData, Message, Request
from dfgen.errors import EngineError

_SEVERAL = 4
"""Requests that fail in a row before the server is suspected."""

Probe = Callable[[], Awaitable[bool]]
"""Sends a request that a well server answers; tells whether it did."""

_QUESTION = "Answer with one word: yes."


class Breaker:
    """Ends the run when nothing succeeds any more, before every row becomes a reject.

    Lives in one event loop.

    Args:
        shown_url: the address or addresses, for messages.
    """

    def __init__(self, shown_url: str):
        self._shown_url = shown_url
        self._failures = 0
        self._row_of_failures = 0
        self._failed: set[str] = set()
        self._excused: set[str] = set()
        self._answered = False
        self._vouched = False
        self._probing = asyncio.Lock()

    def note_sent(self) -> int | None:
        """Note that a request is sent; what it returns is told with the request's success."""
        return self._row_of_failures if self._failures else None

    def note_success(self, sent: int | None) -> None:
        """Note that a completion came back.

        It ends the failures in a row if it was asked for after the first of them. One that was on
        its way before says nothing of a server that has gone since.

        Args:
            sent: what `note_sent` returned for its request.
        """
        self._answered = self._vouched = True
        if self._failures == 0 or sent == self._row_of_failures:
            self._forget_failures()

    def _forget_failures(self) -> None:
        self._failures = 0
        self._row_of_failures += 1
        self._failed.clear()
        self._excused.clear()

    def note_failure(self, key: str, *, answered: bool) -> None:
        """Note a failed try of a request; `answered` if at least the server said so."""
        self._answered = self._answered or answered
        self._failures += 1
        if key not in self._excused:
            self._failed.add(key)

    def check_refused(self, detail: str) -> None:
        """Stop at once where nothing listens and never has since the start.

        Raises:
            EngineError: no answer of any kind has come from this address.
        """
        if not self._answered:
            raise EngineError(
                f"no server answers at {self._shown_url}: {detail}",
                hint="Check `base_url` and that the server is up, then start the same command "
                "again; what is finished is kept.",
            )

    async def check_given_up(self, detail: str, probe: Probe) -> None:
        """Decide about a request that has used up its tries: this row, or the run?

        Args:
            probe: called only if nothing else says how the server is, and once at a time.

        Raises:
            EngineError: the server has never answered, or does not answer the probe either.
        """
        self.check_refused(detail)
        async with self._probing:
            # A success in the meantime, of a row or of another row's probe, has cleared them.
            if self._vouched and len(self._failed) < _SEVERAL:
                return
            failures = self._failures
            if await probe():
                # Further tries of the same rows say nothing new.
                known_bad = self._excused | self._failed
                self._answered = self._vouched = True
                self._forget_failures()
                self._excused = known_bad
                return
        often = f"{failures} times in a row; the last time" if failures > 1 else "once"
        raise EngineError(
            f"the server at {self._shown_url} has failed {often}: {detail}",
            hint="What is finished is kept. Start the same command again when the server "
            "works, or check `model` and `extra_body` if it refuses every request.",
        )


def make_probe(request: Request) -> Request:
    """Ask about nothing, with everything else as in a request that failed.

    Model, decoding, schema and template are the same, and there is a picture if there was one: what
    makes a server refuse every row makes it refuse the probe.
    """
    parts = [part for message in request.messages for part in message.content]
    pictured = any(isinstance(part, ImageData) for part in parts)
    content = (*((draw_picture(),) if pictured else ()), _QUESTION)
    return replace(request, key="probe", messages=(Message("user", content),))


@cache
def draw_picture() -> ImageData:
    """Draw a grey square of 64 pixels: large enough for every processor."""
    import hashlib

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(buffer, "PNG")
    data = buffer.getvalue()
    return ImageData(data, hashlib.sha256(data).hexdigest(), "image/png")
