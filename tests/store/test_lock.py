"""The lock: one process at a time, named; the dead give way, foreign hosts are respected."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dfgen.errors import RunLockedError
from dfgen.store import atomic_files
from dfgen.store import lock as lock_module
from dfgen.store.atomic_files import open_unnamed
from dfgen.store.lock import FileLock, read_start_time
from tests.support.waiting import wait_until

HOLD = """
import sys, time
from pathlib import Path
from dfgen.store.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(600)
"""


def hold_in_process(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    process.stdout.close()
    return process


def write_holder(path: Path, **changes: Any) -> None:
    """Make a lock like that of this process, but for `changes`."""
    lock = FileLock(path)
    lock.acquire()
    data = json.loads(path.read_text())
    lock.release()
    path.write_text(json.dumps(data | changes))


def test_free_again_after_release(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    for _ in range(2):
        lock = FileLock(path)
        lock.acquire()
        assert path.exists()
        lock.check()
        lock.release()
        assert list(tmp_path.iterdir()) == []
    lock.release()


def test_living_holder_is_named_and_dead_one_gives_way(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    holder = hold_in_process(path)
    with pytest.raises(RunLockedError) as caught:
        FileLock(path).acquire()
    message = str(caught.value)
    data = json.loads(path.read_text())
    for part in (f"pid {holder.pid}", data["host"], data["since"], data["command"], str(path)):
        assert part in message
    holder.send_signal(signal.SIGKILL)
    # Not waited for: a zombie does not work any more, either.
    wait_until(lambda: read_start_time(holder.pid) is None)
    lock = FileLock(path)
    lock.acquire()
    assert json.loads(path.read_text())["pid"] == os.getpid()
    lock.release()
    holder.wait()


def test_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "run.lock")
    lock.acquire()
    with pytest.raises(RunLockedError, match=f"pid {os.getpid()}"):
        FileLock(tmp_path / "run.lock").acquire()
    lock.release()


def test_a_reused_pid_is_another_process(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    write_holder(path, start_time=12345)
    lock = FileLock(path)
    lock.acquire()
    lock.release()


def test_foreign_host_is_respected_however_old(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    write_holder(path, host="gpu-node-7", pid=2**22 + 1)
    with pytest.raises(RunLockedError, match="gpu-node-7") as caught:
        FileLock(path).acquire()
    assert "Last" in str(caught.value) or "last sign of life" in str(caught.value)
    os.utime(path, (time.time() - 7300, time.time() - 7300))
    with pytest.raises(RunLockedError, match=r"no sign of life for 2\.0 h") as caught:
        FileLock(path).acquire()
    assert f"rm {path}" in str(caught.value)
    assert path.exists()


def test_another_container_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    write_holder(path, pid_namespace="pid:[1]", pid=2**22 + 1)
    with pytest.raises(RunLockedError):
        FileLock(path).acquire()


def test_a_restarted_machine_gives_way_once_it_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    write_holder(path, boot_id="another boot")
    with pytest.raises(RunLockedError):  # two machines may bear one name
        FileLock(path).acquire()
    os.utime(path, (time.time() - 200, time.time() - 200))
    lock = FileLock(path)
    lock.acquire()
    lock.release()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "null"])
def test_unreadable_lock_is_respected(
    tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "_WRITE_S", 0.1)
    path = tmp_path / "run.lock"
    path.write_text(content)
    with pytest.raises(RunLockedError, match="does not say by whom") as caught:
        FileLock(path).acquire()
    assert f"rm {path}" in str(caught.value)


def test_heartbeat_shows_life_and_notices_a_broken_lock(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    lock = FileLock(path, heartbeat_s=0.02)
    lock.acquire()
    os.utime(path, (1000, 1000))
    wait_until(lambda: path.stat().st_mtime > 2000)
    path.unlink()
    write_holder(path, host="elsewhere")
    wait_until(lambda: is_lost(lock))
    lock.release()
    assert json.loads(path.read_text())["host"] == "elsewhere"


def is_lost(lock: FileLock) -> bool:
    """Whether a lock knows that it was removed."""
    try:
        lock.check()
    except RunLockedError as error:
        assert "somebody removed it" in str(error)
        return True
    return False


RACE = """
import sys, time
from pathlib import Path
from dfgen.errors import RunLockedError
from dfgen.store.lock import FileLock
path = Path(sys.argv[1])
inside = path.with_name("inside")
sys.stdin.readline()
won = 0
for _ in range(30):
    lock = FileLock(path)
    try:
        lock.acquire()
    except RunLockedError:
        time.sleep(0.002)
        continue
    inside.touch(exist_ok=False)   # raises if another process is inside
    won += 1
    time.sleep(0.002)
    inside.unlink()
    if won % 2:
        lock.release()
    else:
        lock._stop.set()           # leaves the lock behind, as a crash does
        data = path.read_text()
        path.write_text(data.replace('"start_time": ', '"start_time": 9'))
print(won)
"""


def test_never_two_at_once_even_when_taking_over(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("\n")
        racer.stdin.flush()
    outputs = [racer.communicate()[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4
    assert sum(map(int, outputs)) > 4


@pytest.mark.parametrize("linkless", [False, True])
def test_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linkless: bool
) -> None:
    if linkless:

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    lock = FileLock(tmp_path / "run.lock")
    lock.acquire()
    with pytest.raises(RunLockedError):
        FileLock(tmp_path / "run.lock").acquire()
    lock.release()
    assert list(tmp_path.iterdir()) == []


KILL = """
import os, signal, sys
from pathlib import Path
from dfgen.store.lock import FileLock
die = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "fstat":
    kept, calls = os.fstat, []
    os.fstat = lambda descriptor: calls.append(1) or (die() if len(calls) > 1 else kept(descriptor))
else:
    setattr(os, sys.argv[2], die)
FileLock(Path(sys.argv[1])).acquire()
"""


@pytest.mark.parametrize("step", ["fsync", "link", "fstat"])
def test_a_process_that_is_killed_as_it_locks_leaves_nothing(tmp_path: Path, step: str) -> None:
    path = tmp_path / "run.lock"
    descriptor = open_unnamed(tmp_path)
    if descriptor is None:
        pytest.skip("this file system has no files without a name")
    os.close(descriptor)
    if step == "fstat":  # only a lock that is there has an age, which is measured before it is kept
        write_holder(path, host="elsewhere")
    command = [sys.executable, "-c", KILL, str(path), step]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == ([path] if step == "fstat" else [])


def test_without_unnamed_files_a_lock_is_made_and_refused_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_files, "open_unnamed", lambda _: None)
    monkeypatch.setattr(lock_module, "open_unnamed", lambda _: None)
    path = tmp_path / "run.lock"
    with pytest.raises(RunLockedError):
        write_holder(path, host="elsewhere")
        FileLock(path).acquire()
    assert list(tmp_path.iterdir()) == [path]
