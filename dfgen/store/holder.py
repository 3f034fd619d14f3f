"""Who holds a lock: what the file says about the process, and whether that process still lives."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import socket
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from dfgen.errors import RunLockedError
from dfgen.store.manifest import format_now
from dfgen.store.process import read_boot_id, read_pid_namespace, read_start_time

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
        command=shlex.join(sys.argv),
    )


def is_dead(holder: Holder, age: float) -> bool:
    """Whether it is certain that the holder does not run any more."""
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


def describe_refusal(path: Path, holder: Holder | None, age: float) -> RunLockedError:
    """The error for a lock that is held; `holder` is None if the file does not name one."""
    remove = f"rm {shlex.quote(str(path))}"
    if holder is None:
        return RunLockedError(
            "the run is locked, but the lock file does not say by whom.",
            where=str(path),
            hint=f"If no process works on this run, remove the file: {remove}",
        )
    what = (
        f"another process works on this run: pid {holder.pid} on host {holder.host}, since "
        f"{holder.since}, command: {holder.command}."
    )
    if age > STALE_S:
        hint = (
            f"It has shown no sign of life for {_format_duration(age)}. If you are sure that it "
            f"is dead, remove its lock and give the same command again: {remove}"
        )
    else:
        hint = (
            f"Its last sign of life was {_format_duration(age)} ago. Wait until it is done, or "
            f"stop it. Only if you are sure that it is dead, remove its lock: {remove}"
        )
    return RunLockedError(what, where=str(path), hint=hint)


def _format_duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def encode_holder(holder: Holder) -> bytes:
    """The content of a lock file."""
    return (json.dumps(asdict(holder), indent=2) + "\n").encode()


def parse_holder(content: bytes) -> Holder | None:
    """The holder that a lock file names; None if it names none."""
    try:
        data = json.loads(content)
        holder = Holder(**{field.name: data[field.name] for field in fields(Holder)})
    except (ValueError, KeyError, TypeError):
        return None
    return holder if isinstance(holder.pid, int) and holder.pid > 0 else None
