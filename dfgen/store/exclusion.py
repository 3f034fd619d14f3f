"""Keeps a process from having a run for itself while others share it."""

from __future__ import annotations

import time
from pathlib import Path

from dfgen.errors import RunLockedError
from dfgen.store.crew import Crew, Member
from dfgen.store.lock import is_here
from dfgen.store.shared_folder import clear_shared_files, find_shared_files

_LOOK_S = 0.5


def refuse_members(root: Path) -> None:
    """Make sure that nobody shares a run that this process has locked; clear up after the dead.

    A worker on another machine from which nothing has been heard is watched for a whole lease; if
    it is silent, it is given up, as the other workers would.

    Raises:
        RunLockedError: names one who works on it.
        StorageError: the shared files cannot be read or removed.
    """
    files = find_shared_files(root)
    if files is None:
        return
    crew = Crew(files, root)
    for member in crew.iter_members():
        _wait_until_gone(crew, member)
    crew.clear_up()
    clear_shared_files(root)


def _wait_until_gone(crew: Crew, member: Member) -> None:
    while not crew.is_gone(member.token):
        now = crew.find_member(member.token)
        if now is None:
            continue
        if is_here(now.holder) or now.beat != member.beat:
            raise RunLockedError(
                f"others share this run: pid {now.holder.pid} on host {now.holder.host}, since "
                f"{now.holder.since}, command: {now.holder.command}.",
                where=str(crew.root),
                hint="Give the same command with --shared to join them, or wait until they are "
                "done, or stop them.",
            )
        time.sleep(min(_LOOK_S, member.lease_s / 8))
