"""The lock of a run on the Hub, which decides nothing: what can be seen of others is seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dfgen.errors import RunLockedError
from dfgen.store.bucket.lock import LEASE_S, BucketLock
from dfgen.store.layout import LOCK
from dfgen.store.shared.bucket_files import decode
from tests.support.bucket_runs import open_bucket
from tests.support.hub import Fault, HubStub
from tests.support.hub_runs import BUCKET


@pytest.fixture
def address(bucket: str) -> str:
    return f"{bucket}/a"


def make_lock(address: str, folder: Path) -> BucketLock:
    folder.mkdir(exist_ok=True)
    return BucketLock(open_bucket(address), folder / LOCK)


def let_another_hold(address: str, folder: Path, host: str = "elsewhere") -> None:
    """Write the lock of a process of another machine, whatever is there."""
    lock = make_lock(address, folder)
    lock.acquire()
    content = open_bucket(address).get(LOCK)
    lock.release()
    assert content is not None
    text = decode(content[0])
    assert text is not None
    told = json.loads(text) | {"host": host, "token": "another"}
    head = content[0][: -len(text)]
    open_bucket(address).put(LOCK, head + json.dumps(told).encode())


def test_a_living_holder_is_respected(address: str, tmp_path: Path) -> None:
    let_another_hold(address, tmp_path / "there")
    lock = make_lock(address, tmp_path / "here")
    for attempt in (lock.acquire, lock.refuse_holder):
        with pytest.raises(RunLockedError, match="elsewhere") as caught:
            attempt()
        assert address in str(caught.value)
        assert "give the same command again" in str(caught.value)


def test_a_holder_is_dead_after_its_lease_by_the_clock_of_the_hub(
    hub: HubStub, address: str, tmp_path: Path
) -> None:
    let_another_hold(address, tmp_path / "there")
    lock = make_lock(address, tmp_path / "here")
    hub.state.buckets[BUCKET].clock_s = LEASE_S / 4
    with pytest.raises(RunLockedError):
        lock.acquire()
    hub.state.buckets[BUCKET].clock_s = LEASE_S + 30
    lock.acquire()
    lock.check()
    lock.release()
    lock.acquire()
    lock.release()


def test_who_is_written_over_in_the_same_moment_is_refused(
    hub: HubStub, address: str, tmp_path: Path
) -> None:
    """Between the write of the lock and the look after it."""
    files = hub.state.buckets[BUCKET].files
    let_another_hold(address, tmp_path / "there")
    other = files.pop(f"a/{LOCK}")

    def write_over() -> None:
        files[f"a/{LOCK}"] = other

    hub.faults.append(Fault("POST", "/paths-info", skip=1, hook=write_over))
    with pytest.raises(RunLockedError, match="elsewhere"):
        make_lock(address, tmp_path / "here").acquire()


def test_who_is_written_over_later_stops_before_the_first_change(
    address: str, tmp_path: Path
) -> None:
    lock = make_lock(address, tmp_path / "here")
    lock.acquire()
    objects = open_bucket(address)
    content = objects.get(LOCK)
    assert content is not None
    objects.put(LOCK, content[0] + b" ")
    with pytest.raises(RunLockedError, match="another one took it"):
        lock.check()
    lock.release()
    assert objects.head(LOCK) is not None, "the other one keeps it"
