"""What a bucket may answer: errors say the way out, nothing is lost, the same command goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.bucket_jobs import TABLES, BucketJob
from tests.support.bucket_runs import forget_mounts, hash_objects, move_to, open_bucket
from tests.support.bucket_worker import REPAIRS, WORDS
from tests.support.s3_proxy import S3Proxy
from tests.support.s3_server import share_server
from tests.support.scripted_models import Models, answer_by_index
from tests.support.scripted_runs import invoke

pytestmark = pytest.mark.cluster


@pytest.fixture
def proxy(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    proxy = S3Proxy(share_server().endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setenv("DFGEN_BUCKET_RETRY_S", "2")
    yield proxy
    proxy.close()


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    models = Models(answer_by_index(WORDS), dict(REPAIRS))
    models.replace_engines(monkeypatch)
    return models


def test_a_store_that_asks_to_slow_down_for_a_while_is_waited_for(
    bucket: str,
    proxy: S3Proxy,
    bucket_job: BucketJob,
    models: Models,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DFGEN_BUCKET_RETRY_S", "300")  # on a slow machine one answer takes seconds
    address, seen = f"{bucket}/a", [0]

    def refuse_every_fifth(method: str, path: str) -> tuple[int, str] | None:
        seen[0] += 1
        return (503, "SlowDown") if seen[0] % 5 == 0 else None

    proxy.rule = refuse_every_fifth
    invoke("run", bucket_job.pipeline, "--out", address, "--quiet")
    assert proxy.refused > 10
    proxy.rule = lambda method, path: None
    assert hash_objects(address, TABLES) == bucket_job.calm


REFUSALS = {
    "slow": ((503, "SlowDown"), "asks to slow down", "fewer workers"),
    "expired": ((400, "ExpiredToken"), "credentials have expired", "Renew them"),
    "denied": ((403, "AccessDenied"), "do not allow it", "PutObject"),
    "full": ((507, "QuotaExceeded"), "quota is used up", "Free some space"),
    "read-only": ((405, "MethodNotAllowed"), "read-only", "Make it writable"),
    "unknown": ((418, "Teapot"), "has refused it", "Put that right"),
}


PLACES = {
    "trajectories/": "full",
    "journal/repair": "expired",
    ".done.json": "slow",
    "run.json": "slow",
}
"""Where a store may refuse something, and how it does in the short form of these tests."""


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        pytest.param(kind, where, marks=() if kind == short else pytest.mark.slow)
        for where, short in PLACES.items()
        for kind in ("slow", "expired", "full")
    ],
)
def test_what_the_store_refuses_is_sent_by_the_next_start(
    bucket: str,
    proxy: S3Proxy,
    bucket_job: BucketJob,
    models: Models,
    kind: str,
    where: str,
) -> None:
    address = f"{bucket}/a"
    refusal, said, advice = REFUSALS[kind]
    passed = [2 if where == "run.json" else 1]

    def refuse(method: str, path: str) -> tuple[int, str] | None:
        if method != "PUT" or where not in path:
            return None
        passed[0] -= 1
        return refusal if passed[0] < 0 else None

    proxy.rule = refuse
    result = invoke("run", bucket_job.pipeline, "--out", address, "--quiet", code=1)
    assert said in result.output
    assert advice in result.output
    assert address in result.output
    assert "the same command" in result.output
    assert "secret" not in result.output
    proxy.rule = lambda method, path: None
    asked = models.asked.total()
    forget_mounts()  # another process of the same machine
    invoke("run", address, "--quiet")
    assert hash_objects(address, TABLES) == bucket_job.calm
    assert asked <= models.asked.total() <= bucket_job.requests + 1, (
        "paid again, though this machine had it"
    )


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_store_that_refuses_from_the_start_leaves_nothing_behind(
    bucket: str, proxy: S3Proxy, bucket_job: BucketJob, models: Models, kind: str
) -> None:
    refusal, said, advice = REFUSALS[kind]
    proxy.rule = lambda method, path: refusal if method == "PUT" else None
    out = invoke("run", bucket_job.pipeline, "--out", f"{bucket}/a", code=1).output
    assert said in out
    assert advice in out
    assert not models.drawn
    proxy.rule = lambda method, path: None
    assert not list(open_bucket(f"{bucket}/a").list())


def test_a_bucket_that_is_not_there_is_named(
    bucket: str, bucket_job: BucketJob, models: Models
) -> None:
    out = invoke("run", bucket_job.pipeline, "--out", "s3://nobody/a", code=1).output
    assert "s3://nobody/a" in out
    assert "no such bucket" in out


def test_a_store_that_cannot_be_reached_is_named(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("DFGEN_BUCKET_RETRY_S", "1")
    out = invoke("status", "s3://nobody/a", code=1).output
    assert "cannot be reached" in out
    assert "AWS_ENDPOINT_URL" in out


def interrupt_repair(bucket: str, proxy: S3Proxy, pipeline: Path) -> str:
    """Leave a run whose repair journal has several segments in the bucket."""
    address, passed = f"{bucket}/a", [3]

    def refuse(method: str, path: str) -> tuple[int, str] | None:
        if method != "PUT" or "journal/repair" not in path:
            return None
        passed[0] -= 1
        return (503, "SlowDown") if passed[0] < 0 else None

    proxy.rule = refuse
    invoke("run", pipeline, "--out", address, "--quiet", code=1)
    proxy.rule = lambda method, path: None
    return address


def list_segments(address: str) -> list[str]:
    return sorted(e.key for e in open_bucket(address).list() if "journal/repair" in e.key)


def test_a_segment_that_is_torn_at_the_end_is_paid_again_and_nothing_else(
    bucket: str,
    proxy: S3Proxy,
    bucket_job: BucketJob,
    tmp_path: Path,
    models: Models,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = interrupt_repair(bucket, proxy, bucket_job.pipeline)
    segments, objects = list_segments(address), open_bucket(address)
    assert len(segments) == 3
    content = objects.get(segments[-1])
    assert content is not None
    objects.put(segments[-1], content[0][:-20])
    move_to(tmp_path / "there", monkeypatch)
    invoke("run", address, "--quiet")
    assert hash_objects(address, TABLES) == bucket_job.calm
    assert not list_segments(address)


def test_a_segment_that_is_torn_in_the_middle_is_damage_with_a_way_out(
    bucket: str,
    proxy: S3Proxy,
    bucket_job: BucketJob,
    tmp_path: Path,
    models: Models,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = interrupt_repair(bucket, proxy, bucket_job.pipeline)
    segments, objects = list_segments(address), open_bucket(address)
    content = objects.get(segments[1])
    assert content is not None
    objects.put(segments[1], content[0][:-20])
    move_to(tmp_path / "there", monkeypatch)
    out = invoke("run", address, "--quiet", code=1).output
    assert f"{address}/{segments[2]}" in out
    assert "delete this object and those after it" in out
    objects.delete(segments[2:])
    move_to(tmp_path / "elsewhere", monkeypatch)
    invoke("run", address, "--quiet")
    assert hash_objects(address, TABLES) == bucket_job.calm


def test_what_another_machine_has_made_out_of_date_is_put_aside_and_said(
    bucket: str,
    proxy: S3Proxy,
    bucket_job: BucketJob,
    tmp_path: Path,
    models: Models,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = interrupt_repair(bucket, proxy, bucket_job.pipeline)
    move_to(tmp_path / "there", monkeypatch)
    invoke("run", address, "--quiet")
    move_to(tmp_path / "here", monkeypatch)
    result = invoke("run", address)
    assert "was continued from somewhere else" in result.output
    assert list((tmp_path / "here").rglob("set-aside/*/journal/repair-*.jsonl"))
    assert hash_objects(address, TABLES) == bucket_job.calm
