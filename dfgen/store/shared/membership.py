"""Makes this process one of those that work on a shared run: its record, sign of life, and desk."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from dfgen.errors import StorageError
from dfgen.store.activity import Activity, ActivityFile
from dfgen.store.atomic_files import describe_missing_desk, describe_takeover, make_directory
from dfgen.store.lock import describe_this_process
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.shared.crew import Crew, Member, encode_member, find_desk, name_record

_BEATS = 6
"""Signs of life in a lease."""


class Membership:
    """One process among those that work on a run. Safe to use from several threads.

    Args:
        crew: of the run.
        lease_s: seconds without a sign of life after which others may take over.
    """

    def __init__(self, crew: Crew, lease_s: float) -> None:
        self.crew = crew
        self.member = Member(describe_this_process(), lease_s)
        self.desk = find_desk(crew.root, self.member.token)
        self._name = name_record(self.member.token)
        self._version = ""
        self._proved = self.crew.clock()
        self._lost = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def token(self) -> str:
        """What tells this process from all others."""
        return self.member.token

    def enter(self) -> None:
        """Put the record and the desk there, and begin to give signs of life.

        Raises:
            RunLockedError: it took a whole lease.
            StorageError: they cannot be written.
        """
        # A desk without a record is nobody's; and who was given up in between must have none.
        version = self.crew.files.create(self._name, encode_member(self.member))
        assert version is not None, "tokens are random"
        self._version = version
        with explain_os_errors(self.desk, "create"):
            make_directory(self.desk)
        with self._lock:
            self._write()
        if self._lost:
            shutil.rmtree(self.desk, ignore_errors=True)
            self.check()
        self._thread = threading.Thread(target=self._give_signs, name="dfgen-sign", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Take record and desk away. What is claimed is free from then on."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock, suppress(StorageError):  # if not now, after its lease
            self.crew.files.delete(self._name)
        shutil.rmtree(self.desk, ignore_errors=True)

    def check(self) -> None:
        """Make sure that others have not given this process up, asking them if that may be.

        What was frozen longer than its lease wakes up anywhere, before its next sign of life, too:
        it must find out before it changes anything.

        Raises:
            RunLockedError: they have.
            StorageError: the shared files cannot be read or written.
        """
        if self.crew.clock() - self._proved > self.member.lease_s / 3:
            with self._lock:
                self._write()
        if self._lost:
            raise describe_takeover(self.desk)
        if not self.desk.is_dir():
            raise describe_missing_desk(self.desk)

    def change(self, **fields: Any) -> None:
        """Change fields of the record and write it at once.

        Raises:
            RunLockedError: others have given this process up.
            StorageError: it cannot be written.
        """
        with self._lock:
            self.member = replace(self.member, **fields)
            self._write()
        self.check()

    def note_activity(self, activity: Mapping[str, Any]) -> None:
        """Let the next sign of life say what is being done."""
        with self._lock:
            self.member = replace(self.member, activity=dict(activity))

    def _give_signs(self) -> None:
        while not self._lost and not self._stop.wait(self.member.lease_s / _BEATS):
            # A disk that is full or does not answer may be there again in time.
            with suppress(StorageError), self._lock:
                self._write()

    def _write(self) -> None:
        """Write the record if it is still there; the lock is held."""
        began = self.crew.clock()
        self.member = replace(self.member, beat=self.member.beat + 1)
        version = self.crew.files.replace(self._name, encode_member(self.member), self._version)
        if version is None:
            self._lost = True  # nobody else changes it but by taking it away
        else:
            self._version, self._proved = version, began


class NotedActivity(ActivityFile):
    """Keeps what this process does in its record, where `dfgen status` finds it."""

    def __init__(self, membership: Membership) -> None:
        super().__init__(membership.crew.root)
        self.activity = Activity(membership.token)
        self._membership = membership

    def remove(self) -> None:
        """Nothing: the record goes when the process leaves."""

    def _save(self, activity: Mapping[str, Any]) -> None:
        self._membership.note_activity(activity)
