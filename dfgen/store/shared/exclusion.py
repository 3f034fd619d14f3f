"""Keeps a process from having a run for itself while others share it."""

from __future__ import annotations

import time
from pathlib import Path

from dfgen.errors import RunLockedError
from dfgen.store.lock import is_here
from dfgen.store.shared.crew import Crew, Member
from dfgen.store.shared.folder import clear_shared_files, find_shared_files

_LOOK_S = 0.5
_PATIENCE_S = 300.0
"""Who has a longer lease is not waited for."""


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
    for token in crew.list_tokens():
        _wait_until_gone(crew, token)
    crew.clear_up()
    clear_shared_files(root)


def _wait_until_gone(crew: Crew, token: str) -> None:
    before: Member | None = None
    began = time.monotonic()
    while not crew.is_gone(token):
        now = crew.find_member(token)
        if now is None:  # gone just now, or damaged: it is watched all the same
            time.sleep(_LOOK_S)
            continue
        before = before or now
        waited = time.monotonic() - began
        if is_here(now.holder) or now.beat != before.beat or waited > _PATIENCE_S:
            raise RunLockedError(
                f"others share this run: pid {now.holder.pid} on host {now.holder.host}, since "
                f"{now.holder.since}, command: {now.holder.command}.",
                where=str(crew.root),
                hint="Give the same command with --shared to join them, or wait until they are "
                "done, or stop them.",
            )
        time.sleep(min(_LOOK_S, now.lease_s / 8))
