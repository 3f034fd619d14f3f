"""What identifies a process beyond its pid, which is given to others once it is free (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path


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
    """What differs each time the machine starts; empty if unknown."""
    return _read("/proc/sys/kernel/random/boot_id")


def read_pid_namespace() -> str:
    """What differs between containers that count their pids apart; empty if unknown."""
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
