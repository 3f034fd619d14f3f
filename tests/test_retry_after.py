"""How long a server asks to wait, in every form that HTTP has for it and some that it has not."""

from __future__ import annotations

import random
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.publish.retrying import LONGEST_WAIT_S, choose_wait
from dfgen.retry_after import read_retry_after

NOW = 1704067205.0

CASES: dict[str, tuple[dict[str, str], float | None]] = {
    "nothing": ({}, None),
    "seconds": ({"retry-after": "7"}, 7.0),
    "nought": ({"retry-after": "0"}, 0.0),
    "a fraction": ({"retry-after": "0.25"}, 0.25),
    "milliseconds": ({"retry-after-ms": "1500"}, 1.5),
    "milliseconds win": ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
    "milliseconds that are none": ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
    "a date": ({"retry-after": "Mon, 01 Jan 2024 00:00:10 GMT"}, 5.0),
    "a date without a zone": ({"retry-after": "Mon, 01 Jan 2024 00:00:10 -0000"}, 5.0),
    "a date in another zone": ({"retry-after": "Mon, 01 Jan 2024 01:00:10 +0100"}, 5.0),
    "a date that has passed": ({"retry-after": "Sun, 31 Dec 2023 00:00:10 GMT"}, 0.0),
    "no date": ({"retry-after": "Mon, 41 Jan 2024 00:00:10 GMT"}, None),
    "the empty string": ({"retry-after": ""}, None),
    "words": ({"retry-after": "soon"}, None),
    "a negative number": ({"retry-after": "-5"}, None),
    "no number": ({"retry-after": "nan"}, None),
    "infinity": ({"retry-after": "inf"}, None),
}


@pytest.mark.parametrize("name", CASES)
def test_forms(name: str) -> None:
    headers, expected = CASES[name]
    assert read_retry_after(headers, now=NOW) == expected


@given(st.text(max_size=40))
def test_anything_is_read_or_ignored(value: str) -> None:
    seconds = read_retry_after({"retry-after": value, "retry-after-ms": value[::-1]}, now=NOW)
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.integers(0, 10**7))
def test_dates_are_the_seconds_they_stand_for(seconds: int) -> None:
    date = formatdate(NOW + seconds, usegmt=True)
    assert read_retry_after({"retry-after": date}, now=NOW) == seconds


def refuse(**headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(response=SimpleNamespace(status_code=429, headers=named))


def test_the_hub_is_read_alike() -> None:
    longest = 5 * LONGEST_WAIT_S
    assert choose_wait(refuse(Retry_After="2"), 1) == 2
    assert choose_wait(refuse(retry_after="2.5"), 1) == 2.5
    assert choose_wait(refuse(Retry_After=str(random.randint(10**4, 10**6))), 1) == longest
    assert choose_wait(refuse(Retry_After=formatdate(NOW, usegmt=True)), 1) == 0
    assert choose_wait(refuse(RateLimit='"api";r=0;t=55'), 1) == 55
    assert choose_wait(refuse(Retry_After="soon"), 2) == 1.0
