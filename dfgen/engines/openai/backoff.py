"""How long to wait before a request is sent again, and how often. The only place that retries."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits with jitter.

    The default of five retries spans about half a minute: a server that restarts is waited for.

    Attributes:
        max_retries: further tries after the first.
        base: seconds before the first retry, doubled for each further one.
        longest: no computed wait is longer, in seconds.
        longest_asked: no Retry-After is honoured beyond this, in seconds.
        spread: a wait is drawn from 1 - spread to 1 + spread times its length, so that requests
            which failed together do not come back together.
    """

    max_retries: int = 5
    base: float = 1.0
    longest: float = 60.0
    longest_asked: float = 3600.0
    spread: float = 0.25

    def compute_wait(self, retries_done: int, retry_after: float | None) -> float:
        """Return the seconds to wait before the next try.

        Args:
            retries_done: 0 before the first retry.
            retry_after: what the server asked for. It is never undercut: jitter only adds to it.
        """
        if retry_after is not None:
            asked = min(retry_after, self.longest_asked)
            return asked * (1 + random.random() * self.spread / 2)
        wait = min(self.base * 2.0 ** min(retries_done, 30), self.longest)
        return wait * (1 + random.uniform(-self.spread, self.spread))
