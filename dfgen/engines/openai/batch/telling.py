"""Says which requests are out, so that hours of waiting are no silence."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from dfgen.config.batch import Lane
from dfgen.engines.openai.batch.ledger import OutFile

# Seconds of silence before the same is said again: twice as many each time, up to the most.
_FIRST, _MOST = 30.0, 600.0


def describe_out(lane: Lane, files: int, requests: int, since: str, now: datetime) -> str:
    """Describe what is out: `2 batches out, 58 requests, since 15:02`.

    Args:
        lane: in which it travels.
        files: how many batches, or files for somebody else.
        requests: in all of them.
        since: ISO 8601 with an offset, of the first.
        now: with a zone, in which the time is shown; of another day the date is shown, too.
    """
    kind = ("batch", "batches") if lane == "batch" else ("file", "files")
    began = datetime.fromisoformat(since).astimezone(now.tzinfo)
    at = f"{began:%H:%M}" if began.date() == now.date() else f"{began:%Y-%m-%d %H:%M}"
    return (
        f"{files:,} {kind[files != 1]} out, {requests:,} request{'s' * (requests != 1)}, since {at}"
    )


class Telling:
    """Says what is out with a provider when that changes, and now and then while it does not.

    Args:
        tell: is given a sentence.
        clock: seconds, of a clock that nobody sets.
    """

    def __init__(
        self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._said = ""
        self._spoke = 0.0
        self._silence = _FIRST

    def report(self, out: Sequence[OutFile]) -> None:
        """Note which batches are at work now, in the order in which they were handed over."""
        if not out:
            self._said = ""
            return
        now = datetime.now().astimezone()
        requests = sum(len(each.cells) for each in out)
        left = "them" if len(out) > 1 else "it"
        said = describe_out("batch", len(out), requests, out[0].since, now)
        said += f"; Ctrl-C leaves {left} running"
        if said != self._said:
            self._said, self._silence = said, _FIRST
        elif self._clock() - self._spoke >= self._silence:
            self._silence = min(2 * self._silence, _MOST)
        else:
            return
        self._spoke = self._clock()
        self._tell(said)
