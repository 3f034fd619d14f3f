"""Locks a run: a file names who works on it.

The file is created in one step (dfgen.store.atomic_files.create_file), which also works on NFS, and
a thread renews its modification time, so that people on other hosts can see whether the holder
lives. A dead holder on this host is recognised by its pid, the time its process started, the boot
of the machine and the pid namespace (containers), and its lock is taken over. A lock from anywhere
else is respected: nothing here can tell a dead host from a slow network.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from dfgen.config.hiding import hide_in_url
from dfgen.errors import RunLockedError
from dfgen.regular_files import check_regular, read_at_most
from dfgen.store.atomic_files import create_file, open_unnamed
from dfgen.store.layout import TEMPORARY_PREFIX
from dfgen.store.manifest import format_now
from dfgen.store.os_errors import explain_os_errors

HEARTBEAT_S = 15.0
"""Seconds between renewals of the modification time."""
_WRITE_S = 2.0
"""Seconds that a lock file may be empty: being written, where hard links do not exist."""


class FileLock:
    """One lock file; not reentrant.

    Args:
        path: the lock file; its directory exists.
        heartbeat_s: seconds between renewals.
    """

    def __init__(self, path: Path, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self.path = path
        self._heartbeat_s = heartbeat_s
        self._holder: Holder | None = None
        self._made: tuple[int, int] | None = None
        self._lost = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            RunLockedError: another process holds it; names pid, host, since when, and command.
            StorageError: the file cannot be written.
        """
        mine = describe_this_process()
        content = encode_holder(mine)
        deadline = time.monotonic() + _WRITE_S
        with explain_os_errors(self.path, "lock"):
            while True:
                with suppress(FileExistsError):
                    create_file(self.path, content)
                    break
                if read_token(self.path) == mine.token:
                    break  # NFS repeats a call whose answer was lost, and then says "exists"
                self._make_way(deadline)
            named = self.path.stat()
        self._holder, self._lost = mine, False
        self._made = (named.st_dev, named.st_ino)
        self._stop.clear()
        self._thread = threading.Thread(
            target=self._renew, args=(mine,), name="dfgen-lock", daemon=True
        )
        self._thread.start()

    def refuse_holder(self) -> None:
        """Make sure that nobody has the lock, without taking it; clear away that of a dead holder.

        Raises:
            RunLockedError: another process holds it; names pid, host, since when, and command.
            StorageError: the file cannot be read or removed.
        """
        deadline = time.monotonic() + _WRITE_S
        with explain_os_errors(self.path, "look at"):
            while self.path.exists():
                self._make_way(deadline)

    def release(self) -> None:
        """Give the lock back; a lock that somebody else has broken and taken stays theirs."""
        mine, self._holder = self._holder, None
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if mine is not None and read_token(self.path) == mine.token:
            with explain_os_errors(self.path, "remove"):
                self.path.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise `RunLockedError` if the lock was broken by somebody while it was held here.

        What is asked is the disk, not what the last renewal has found: a run that was put in the
        place of this one a moment ago must not get its files.
        """
        if self._holder is not None and not self._lost:
            self._lost = not self._is_mine(self._holder)
        if self._lost:
            if not self.path.parent.exists():
                raise RunLockedError(
                    "the run directory is gone: it was deleted or renamed while this process "
                    "worked on it.",
                    where=str(self.path.parent),
                    hint="It stops here. Give the same command again for the place where the run "
                    "is now; what was finished there stays.",
                )
            raise RunLockedError(
                "this process held the lock of the run, and somebody removed it or put another run "
                "in the place of this one.",
                where=str(self.path),
                hint="It stops here, so that two processes do not write into one run. When no "
                "other process works on the run, give the same command again.",
            )

    def _make_way(self, deadline: float) -> None:
        """Remove the lock file if its holder is dead; raise `RunLockedError` if it is not."""
        try:
            descriptor = _open_existing(self.path)
        except FileNotFoundError:
            return
        try:
            # Only one process may clear away this very file: whoever holds the flock on it and
            # still finds it under its name. Otherwise a second one, which has seen the same dead
            # holder, could remove the lock that the first has just taken. Where flock is not
            # supported the check of the name alone must do.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            opened = os.fstat(descriptor)
            try:
                named = self.path.stat()
            except FileNotFoundError:
                return
            if (opened.st_dev, opened.st_ino) != (named.st_dev, named.st_ino):
                return
            holder = parse_holder(os.pread(descriptor, _MOST_BYTES, 0))
            if holder is None and time.monotonic() < deadline:
                time.sleep(0.05)
                return
            age = self._measure_age(opened.st_mtime)
            if holder is None or not is_dead(holder, age):
                raise describe_refusal(self.path, holder, age)
            self.path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _measure_age(self, modified: float) -> float:
        """Seconds since the last renewal by the clock of the file system, not of this host."""
        descriptor = open_unnamed(self.path.parent)
        if descriptor is not None:
            try:
                now = os.fstat(descriptor).st_mtime
            finally:
                os.close(descriptor)
            return max(0.0, now - modified)
        probe = self.path.with_name(f"{TEMPORARY_PREFIX}clock.{secrets.token_hex(4)}.tmp")
        try:
            probe.touch(exist_ok=False)
            now = probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)
        return max(0.0, now - modified)

    def _is_mine(self, mine: Holder) -> bool:
        """Whether the lock file under this name is the one that was made here."""
        with suppress(OSError):
            named = self.path.stat()
            if (named.st_dev, named.st_ino) == self._made:
                return True
        # NFS may give a file another number; a disk that does not answer breaks no lock.
        try:
            return read_token(self.path) == mine.token
        except OSError:
            return True

    def _renew(self, mine: Holder) -> None:
        while not self._stop.wait(self._heartbeat_s):
            # The renewal only informs people; a disk that does not answer must not end the run.
            with suppress(OSError):
                if read_token(self.path) != mine.token:
                    self._lost = True
                    return
                os.utime(self.path)


def _open_existing(path: Path) -> int:
    try:
        check_regular(path)
        return os.open(path, os.O_RDWR)  # flock on NFS asks for a file open for writing
    except PermissionError:
        return os.open(path, os.O_RDONLY)


def read_token(path: Path) -> str | None:
    """Return the token of who holds a lock; None if nobody does."""
    try:
        holder = parse_holder(read_at_most(path, _MOST_BYTES))
    except FileNotFoundError:
        return None
    return holder.token if holder else None


_MOST_PID = 1 << 31
"""No system counts processes further."""
_MOST_BYTES = 1 << 16
"""Of a lock file."""

STALE_S = 120.0
"""Seconds without renewal after which a holder is probably dead."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lock; `start_time` in clock ticks since boot, 0 if unknown."""

    token: str
    pid: int
    start_time: int
    host: str
    boot_id: str
    pid_namespace: str
    since: str
    command: str


def describe_this_process() -> Holder:
    """This process, with a new token."""
    return Holder(
        token=secrets.token_hex(16),
        pid=os.getpid(),
        start_time=read_start_time(os.getpid()) or 0,
        host=socket.gethostname(),
        boot_id=read_boot_id(),
        pid_namespace=read_pid_namespace(),
        since=format_now(),
        command=shlex.join(_hide_values(sys.argv)),
    )


def _hide_values(words: Sequence[str]) -> Iterator[str]:
    """The words of a command without the values of `--set`, which may be secrets."""
    before = ""
    for word in words:
        option, equals, setting = word.partition("=")
        if before == "--set":
            yield f"{option}=…" if equals else option
        elif option == "--set" and equals:
            yield f"--set={setting.partition('=')[0]}=…"
        else:
            yield hide_in_url(word) if "://" in word else word
        before = word


def is_dead(holder: Holder, age: float) -> bool:
    """Say whether it is certain that the holder does not run any more."""
    here = describe_this_process()
    if holder.host != here.host:
        return False
    if holder.boot_id != here.boot_id:
        # The machine was started anew, unless two machines bear one name: then a renewed lock
        # shows that the other one lives.
        return age > STALE_S
    if holder.pid_namespace != here.pid_namespace:
        return False
    started = read_start_time(holder.pid)
    if started is None:
        return True
    return bool(started) and holder.start_time not in (0, started)


def is_here(holder: Holder) -> bool:
    """Say whether a holder's pid can be looked up on this machine, so that `is_dead` is certain."""
    here = describe_this_process()
    return (holder.host, holder.boot_id, holder.pid_namespace) == (
        here.host,
        here.boot_id,
        here.pid_namespace,
    )


def describe_refusal(path: Path, holder: Holder | None, age: float) -> RunLockedError:
    """Return the error for a lock that is held; `holder` is None if the file does not name one."""
    remove = f"rm {shlex.quote(str(path))}"
    if holder is None:
        return RunLockedError(
            "the run is locked, but the lock file does not say by whom.",
            where=str(path),
            hint=f"If no process works on this run, remove the file: {remove}",
        )
    what = f"another process works on this run: {describe_holder(holder)}."
    if age > STALE_S:
        hint = (
            f"It has shown no sign of life for {_format_duration(age)}. If you are sure that it "
            f"is dead, remove its lock and give the same command again: {remove}"
        )
    else:
        hint = (
            f"Its last sign of life was {_format_duration(age)} ago. Wait until it is done, or "
            "stop it. To have several work on one run, give each of them --shared. Only if you are "
            f"sure that it is dead, remove its lock: {remove}"
        )
    return RunLockedError(what, where=str(path), hint=hint)


def describe_holder(holder: Holder) -> str:
    """Name a process for people: pid, host, since when, command."""
    return (
        f"pid {holder.pid} on host {holder.host}, since {holder.since}, command: {holder.command}"
    )


def _format_duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def encode_holder(holder: Holder) -> bytes:
    """Write the content of a lock file."""
    return (json.dumps(asdict(holder), indent=2) + "\n").encode()


def parse_holder(content: bytes) -> Holder | None:
    """Return the holder that a lock file names; None if it names none."""
    try:
        data = json.loads(content)
        holder = Holder(**{field.name: data[field.name] for field in fields(Holder)})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    numbers = (holder.pid, holder.start_time)
    texts = (getattr(holder, field.name) for field in fields(Holder) if field.type == "str")
    known = all(type(number) is int for number in numbers) and 0 < holder.pid < _MOST_PID
    return holder if known and all(isinstance(text, str) for text in texts) else None


def read_start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of a process; 0 if unknown; None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        # No /proc, or one that hides the processes of other users (mount option hidepid).
        return _probe(pid)
    # The name of the command, in parentheses, may itself hold blanks and parentheses.
    after_name = stat.rpartition(")")[2].split()
    state, start_time = after_name[0], int(after_name[19])
    return None if state in ("Z", "X") else start_time


def read_boot_id() -> str:
    """Read what differs each time the machine starts; empty if unknown."""
    return _read("/proc/sys/kernel/random/boot_id")


def read_pid_namespace() -> str:
    """Read what differs between containers that count their pids apart; empty if unknown."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _probe(pid: int) -> int | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0
    return 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
