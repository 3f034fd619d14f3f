"""While batches are out a person is told so: how many, since when, and what a stop does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from dfgen.engines.openai.batch.ledger import OutFile
from dfgen.engines.openai.batch.telling import Telling, describe_out
from tests.engines.batch.keeping import Bench, echo
from tests.engines.making import make_request
from tests.support.batch_server import BatchServer, Fate

SINCE = "2026-11-26T15:02:07+00:00"


def make_out(key: str, requests: int, since: str = SINCE) -> OutFile:
    return OutFile(key, "batch", [f"{key}-{i}" for i in range(requests)], since)


def cut(told: list[str]) -> list[str]:
    """What is said before the time."""
    return [sentence.partition(", since ")[0] for sentence in told]


@pytest.mark.parametrize(
    ("zone", "day", "shown"),
    [
        (UTC, 26, "15:02"),
        (UTC, 27, "2026-11-26 15:02"),
        (timezone(timedelta(hours=9)), 27, "00:02"),
    ],
)
def test_the_time_is_that_of_the_reader_with_a_date_on_other_days(
    zone: timezone, day: int, shown: str
) -> None:
    now = datetime(2026, 11, day, 16, 0, tzinfo=zone)
    assert describe_out("batch", 2, 1058, SINCE, now) == (
        f"2 batches out, 1,058 requests, since {shown}"
    )
    assert describe_out("files", 1, 1, SINCE, now) == f"1 file out, 1 request, since {shown}"


def test_the_same_is_said_again_after_ever_longer_silences() -> None:
    now, spoke = 0.0, []
    telling = Telling(lambda _: spoke.append(now), lambda: now)
    for second in range(0, 3600, 10):
        now = float(second)
        telling.report([make_out("a", 2)])
    assert spoke == [0, 30, 90, 210, 450, 930, 1530, 2130, 2730, 3330]


def test_what_changes_is_said_at_once_and_nothing_where_nothing_is_out() -> None:
    told: list[str] = []
    telling = Telling(told.append, lambda: 0.0)
    first, second = make_out("a", 3), make_out("b", 1)
    for out in ([], [first], [first], [first, second], [second], [], [second]):
        telling.report(out)
    assert cut(told) == [
        "1 batch out, 3 requests",
        "2 batches out, 4 requests",
        "1 batch out, 1 request",
        "1 batch out, 1 request",
    ]
    assert [sentence.partition("; ")[2] for sentence in told[:2]] == [
        "Ctrl-C leaves it running",
        "Ctrl-C leaves them running",
    ]


def test_each_handing_over_is_told_and_so_is_a_later_start(tmp_path: Path) -> None:
    requests = [make_request(f"cell-{i}", f"say {i}") for i in range(5)]
    with BatchServer(echo, lambda _: Fate(hold=True)) as server:
        bench = Bench(server, tmp_path)
        handing_over = bench.start(max_requests=3).generate(requests)
        assert next(handing_over) == []
        assert cut(bench.told) == ["1 batch out, 3 requests", "2 batches out, 5 requests"]
        bench.told.clear()
        waiting = bench.start(max_requests=3).generate(requests)
        assert [next(waiting), next(waiting)] == [[], []]
        assert cut(bench.told) == ["2 batches out, 5 requests"]
        for batch in server.batches.values():
            batch.fate.hold = False
        assert {result.key for results in waiting for result in results} == {
            request.key for request in requests
        }
        assert server.submitted.total() == 5
