"""Locks a run in a bucket for one process, on whatever machine.

The object `run.lock` is created on a condition and written anew every `HEARTBEAT_S` by its holder,
each time on the condition that nobody else has. A holder that has not done so for `LEASE_S` by the
clock of the store has lost it to the first that asks. One that was frozen meanwhile finds that out
before its next write: what it holds is renewed first when the last renewal is too long ago.

Where the store takes no conditions (the Hub), the lock is best effort. A living holder is seen, and
so is one that has come in between, by a look after each write of the lock and another one before
the first change of the run. Two that start within the same moment may both begin; the one whose
lock was written over stops at its next renewal.
"""

from __future__ import annotations

import json
import math
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path

from dfgen.errors import RunLockedError, StorageError
from dfgen.store.bucket.objects import Object, Objects
from dfgen.store.layout import ACTIVITY, LOCK, TEMPORARY_PREFIX
from dfgen.store.lock import FileLock, describe_holder, is_dead, parse_holder
from dfgen.store.shared.bucket_files import BucketFiles

HEARTBEAT_S = 15.0
LEASE_S = 120.0
_TRUST_S = 45.0
"""Seconds after a renewal for which a write needs no new one: far from the end of the lease, so
that a write that has begun can end."""


class BucketLock:
    """One lock of one run; not reentrant.

    Args:
        objects: of the run.
        path: the lock file in the staging directory, which is held as well.
    """

    def __init__(self, objects: Objects, path: Path) -> None:
        self._local = FileLock(path)
        self._path = path
        self._objects = objects
        self._where = objects.address.name(LOCK)
        self._content: dict[str, object] = {}
        self._version: str | None = None
        self._renewed = 0.0
        self._lost = False
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            RunLockedError: another process holds it; names pid, host, since when, and command.
            StorageError: the bucket refuses.
        """
        files = self._files()
        self._path.unlink(missing_ok=True)  # what was fetched of somebody else's
        self._local.acquire()
        try:
            self._content = json.loads(self._path.read_bytes()) | {"beat": 0}
            self._version = None
            while self._version is None:
                self._version = files.create(LOCK, self._encode())
                if self._version is None:
                    self._version = self._take_over(files)
        except BaseException:
            self._local.release()
            raise
        # Where two may have come in the same moment, the first change of the run asks once more.
        trusted = time.monotonic() if self._objects.conditional else -math.inf
        self._renewed, self._lost = trusted, False
        self._stop.clear()
        self._thread = threading.Thread(target=self._renew, name="dfgen-lock", daemon=True)
        self._thread.start()

    def refuse_holder(self) -> None:
        """Make sure that nobody has the lock, without taking it; it is taken from who is silent.

        Who was only frozen then finds out before its next write, as if another one had it.

        Raises:
            RunLockedError: another process holds it.
            StorageError: the bucket refuses.
        """
        files = self._files()
        while (found := files.look_at(LOCK)) is not None:
            self._refuse_living(*found)
            if files.delete(LOCK, found[1].version):
                return

    def release(self) -> None:
        """Give the lock back; one that somebody else has taken stays theirs."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        version, self._version = self._version, None
        try:
            if version is not None and not self._lost:
                with suppress(StorageError):  # who comes next waits until the lease has ended
                    self._files().delete(LOCK, version)
                    self._objects.delete([ACTIVITY])
        finally:
            self._local.release()

    def check(self) -> None:
        """Make sure that the lock is still held, asking the store where that is long ago.

        Raises:
            RunLockedError: somebody else has it.
            StorageError: the store cannot be asked.
        """
        if not self._lost and time.monotonic() - self._renewed > _TRUST_S:
            self._beat()
        if self._lost:
            raise RunLockedError(
                "this process held the lock of the run and showed no sign of life for so long that "
                "another one took it.",
                where=self._where,
                hint="It stops here, so that two processes do not write into one run. When no "
                "other process works on the run, give the same command again.",
            )

    def _take_over(self, files: BucketFiles) -> str | None:
        """Take the lock of a dead holder; None if it is to be tried again.

        Raises:
            RunLockedError: the holder lives, as far as anybody can tell.
        """
        found = files.look_at(LOCK)
        if found is None:
            return None
        self._refuse_living(*found)
        return files.replace(LOCK, self._encode(), found[1].version)

    def _refuse_living(self, content: bytes, known: Object) -> None:
        holder, age = parse_holder(content), self._measure_age(known.modified.timestamp())
        if age <= LEASE_S and (holder is None or not is_dead(holder, age)):
            who = (
                "a process that does not say its name"
                if holder is None
                else describe_holder(holder)
            )
            raise RunLockedError(
                f"another process works on this run: {who}.",
                where=self._where,
                hint=f"Its last sign of life was {age:.0f} s ago. Wait until it is done, or stop "
                f"it. If it is dead, its lock ends {LEASE_S - age:.0f} s from now: give the same "
                "command again then.",
            )

    def _measure_age(self, modified: float) -> float:
        """Seconds since a moment of the store's clock, which need not be this machine's."""
        probe = f"{TEMPORARY_PREFIX}clock.{secrets.token_hex(4)}"
        self._objects.put(probe, b"x")
        now = self._objects.head(probe)
        self._objects.delete([probe])
        return max(0.0, now.modified.timestamp() - modified) if now is not None else 0.0

    def _beat(self) -> None:
        with self._turn:
            if self._lost or self._version is None:
                return
            began = time.monotonic()
            self._content["beat"] = int(str(self._content["beat"])) + 1
            version = self._files().replace(LOCK, self._encode(), self._version)
            if version is None:
                self._lost = True
                return
            self._version, self._renewed = version, began

    def _renew(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            with suppress(StorageError):  # tried again; `check` asks before anything is written
                self._beat()
                self._tell()

    def _tell(self) -> None:
        """Bring what this process does right now, for people who look from elsewhere."""
        with suppress(OSError):
            self._objects.put(ACTIVITY, (self._path.parent / ACTIVITY).read_bytes())

    def _files(self) -> BucketFiles:
        return BucketFiles(self._objects, racing=False)

    def _encode(self) -> bytes:
        return (json.dumps(self._content, indent=2) + "\n").encode()
