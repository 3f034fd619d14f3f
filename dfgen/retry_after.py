"""Reads from an HTTP answer's headers how long its server asks to wait before the next try.

The one place for it: servers of models and the Hugging Face Hub are read alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime


def read_retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds to wait that an answer's headers name; None where they name none.

    Reads `Retry-After` in both of its forms, a number of seconds and a date (RFC 9110, 10.2.3), and
    before it `retry-after-ms`, which some model servers send with finer steps. What is neither
    (a negative number, words) counts as nothing said. A date that has passed is 0.

    Args:
        headers: of the answer; a mapping that matches names in any case, or with lower-case names.
        now: seconds since the epoch, for the form that names a date; unset: the clock.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < math.inf:
            return seconds
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
        # "-0000" names no zone and means UTC (RFC 5322, 3.3); Python would take local time.
        named = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, named - (time.time() if now is None else now))
