"""The lock of a run in a bucket: one process has it, and who was given up finds that out."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dfgen.errors import RunLockedError
from dfgen.store.bucket import lock as lock_module
from dfgen.store.bucket.lock import BucketLock
from dfgen.store.layout import LOCK
from dfgen.store.shared.bucket_files import BucketFiles
from tests.support.memory_objects import MemoryObjects

pytest.importorskip("obstore", reason="make cluster-env installs it")


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


def make_lock(objects: MemoryObjects, machine: Path) -> BucketLock:
    machine.mkdir(exist_ok=True)
    return BucketLock(objects, machine / LOCK)


def be_silent(patch: pytest.MonkeyPatch) -> None:
    """Let the lease of whoever has the lock be over, and no renewal be trusted any more."""
    patch.setattr(lock_module, "LEASE_S", -1.0)
    patch.setattr(lock_module, "_TRUST_S", -1.0)


def test_a_second_process_is_refused_until_the_first_is_done(
    objects: MemoryObjects, tmp_path: Path
) -> None:
    first, second = (make_lock(objects, tmp_path / name) for name in "ab")
    first.acquire()
    for refused in (second.acquire, second.refuse_holder):
        with pytest.raises(RunLockedError, match="another process works on this run"):
            refused()
    first.check()
    first.release()
    second.refuse_holder()
    second.acquire()
    second.release()
    assert BucketFiles(objects).read(LOCK) is None


def test_who_takes_over_a_silent_holder_keeps_it_out(
    objects: MemoryObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, other = (make_lock(objects, tmp_path / name) for name in "ab")
    frozen.acquire()
    be_silent(monkeypatch)
    other.acquire()
    with pytest.raises(RunLockedError, match="another one took it"):
        frozen.check()
    frozen.release()
    other.check()
    other.release()


def test_workers_who_share_a_run_keep_a_silent_holder_out(
    objects: MemoryObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no lock of their own, so they take that of the holder away."""
    frozen = make_lock(objects, tmp_path / "a")
    frozen.acquire()
    be_silent(monkeypatch)
    make_lock(objects, tmp_path / "b").refuse_holder()
    with pytest.raises(RunLockedError, match="another one took it"):
        frozen.check()
    frozen.release()


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_the_clock_of_a_machine_decides_nothing(
    objects: MemoryObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    """How long a holder is silent is measured by the store's clock alone."""
    first = make_lock(objects, tmp_path / "a")
    first.acquire()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jump_s)
    with pytest.raises(RunLockedError):
        make_lock(objects, tmp_path / "b").acquire()
    first.check()
    first.release()
