"""Knows who works on a shared run, who of them lives, and keeps out those who were given up.

Each process has a record under `workers/` in the run's shared files and changes it again and again.
Nobody compares clocks: who looks measures by its own monotonic clock how long it has seen the same
version of a record, and after a whole lease of that gives its owner up. A process that is surely
dead (same machine, pid gone) is given up at once.

Giving up is fencing. Whatever a process puts in place in the run it writes first in a directory of
its own, its *desk*, and then renames. Who gives it up deletes its record, on condition that it has
not changed meanwhile, and then removes the desk. A process that was only frozen wakes up, finds its
desk gone at the next rename, and stops: it cannot overwrite what others have done since.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dfgen.errors import StorageError
from dfgen.store.layout import TEMPORARY_PREFIX
from dfgen.store.lock import Holder, is_dead, parse_holder
from dfgen.store.manifest import format_now
from dfgen.store.shared.files import SharedFiles
from dfgen.version import VERSION

WORKERS = "workers"
LEASE_S = 60.0
LONGEST_LEASE_S = 86_400.0
TOKEN = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
"""What the token of a worker looks like: it stands in names of files."""
_CLEAR_S = 30.0
_LOOKS = 4
"""A lease must be seen to pass in at least so many looks, or else whoever looks was asleep."""


@dataclass(frozen=True)
class Member:
    """One process that works on a shared run, as it says itself.

    Attributes:
        holder: token, pid, host, since when, command.
        lease_s: seconds without change after which it may be given up.
        dfgen: its version.
        beat: counts its signs of life.
        at: when this was written by its own clock, ISO 8601, for people only.
        joined: it was found to fit to the others.
        begun: stages whose settings and models it has had accepted for the run.
        activity: what it does (`dfgen.store.activity.Activity`), for people.
    """

    holder: Holder
    lease_s: float = LEASE_S
    dfgen: str = VERSION
    beat: int = 0
    at: str = ""
    joined: bool = False
    begun: tuple[str, ...] = ()
    activity: dict[str, Any] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """What tells it from all others."""
        return self.holder.token


def name_record(token: str) -> str:
    """Name the record of a worker among the shared files."""
    return f"{WORKERS}/w-{token}"


def find_desk(root: Path, token: str) -> Path:
    """Find the directory of a run in which a worker writes what it puts in place."""
    return root / f"{TEMPORARY_PREFIX}w-{token}"


def encode_member(member: Member) -> bytes:
    """Write the record of a worker."""
    return json.dumps(asdict(replace(member, at=format_now()))).encode()


def parse_member(data: bytes) -> Member | None:
    """Read the record of a worker; None if it is none."""
    try:
        found: Any = json.loads(data)
        holder = parse_holder(json.dumps(found["holder"]).encode())
        lease_s = float(found["lease_s"])
        if holder is None or not (0 < lease_s <= LONGEST_LEASE_S):
            return None
        return Member(
            holder,
            lease_s,
            str(found["dfgen"]),
            int(found["beat"]),
            str(found["at"]),
            bool(found["joined"]),
            tuple(map(str, found["begun"])),
            dict(found["activity"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


@dataclass
class _Sighting:
    """How long a version of a record has been seen."""

    version: str
    last: float
    seen_s: float = 0.0


class Crew:
    """The workers of a run, seen by one of them or by somebody who wants the run for itself.

    Args:
        files: the run's shared files.
        root: the run directory.
        clock: seconds, monotonic.
    """

    def __init__(
        self, files: SharedFiles, root: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.files = files
        self.root = root
        self.clock = clock
        self._sightings: dict[str, _Sighting] = {}

    def list_tokens(self) -> list[str]:
        """List the workers on record, those included whose record is damaged.

        Raises:
            StorageError: the shared files cannot be read.
        """
        begin = name_record("")
        tokens = [name.removeprefix(begin) for name in self.files.list(WORKERS)]
        return [token for token in tokens if TOKEN.fullmatch(token)]

    def iter_members(self) -> Iterator[Member]:
        """Yield the workers on record, living or not. Raises `StorageError`."""
        for token in self.list_tokens():
            member = self.find_member(token)
            if member is not None:
                yield member

    def find_member(self, token: str) -> Member | None:
        """Return the record of a worker; None if it has none, or one that is not its own.

        Raises:
            StorageError: the shared files cannot be read.
        """
        found = self.files.read(name_record(token))
        member = None if found is None else parse_member(found[0])
        return member if member is not None and member.token == token else None

    def list_others(self, token: str) -> list[Member]:
        """List the other workers that are not known to be gone. Raises `StorageError`."""
        others = [each for each in self.list_tokens() if each != token and not self.is_gone(each)]
        members = [self.find_member(each) for each in others]
        return [member for member in members if member is not None]

    def is_gone(self, token: str) -> bool:
        """Look after a worker: say whether it has left or is given up, so that its claims are free.

        To be asked again and again: only who has seen a record unchanged for a lease gives its
        owner up.

        Raises:
            StorageError: the shared files cannot be read or written.
        """
        name = name_record(token)
        found = self.files.read(name)
        if found is None:
            # Whoever gave it up may have died before the second step.
            self._clear_desk(token)
            return True
        data, version = found
        member = parse_member(data)  # None: damaged, and its owner is watched all the same
        lease_s = LEASE_S if member is None else member.lease_s
        dead = member is not None and is_dead(member.holder, 0.0)
        if not dead and self._watch(token, version, lease_s) < lease_s:
            return False
        if not self.files.delete(name, version):
            return False  # it lives after all, or another one gives it up just now
        self._clear_desk(token)
        return True

    def clear_up(self) -> None:
        """Look after all who are on record or have left a desk. Raises `StorageError`."""
        tokens = self.list_tokens()
        for desk in self.root.glob(f"{find_desk(self.root, '*').name}"):
            tokens.append(desk.name.removeprefix(find_desk(self.root, "").name).partition(".")[0])
        for token in dict.fromkeys(tokens):
            if TOKEN.fullmatch(token):
                self.is_gone(token)

    def _watch(self, token: str, version: str, lease_s: float) -> float:
        """Seconds for which this version has been seen."""
        now = self.clock()
        sighting = self._sightings.get(token)
        if sighting is None or sighting.version != version:
            sighting = self._sightings[token] = _Sighting(version, now)
        # Somebody who was asleep for an hour has not watched for an hour.
        sighting.seen_s += min(now - sighting.last, lease_s / _LOOKS)
        sighting.last = now
        return sighting.seen_s

    def _clear_desk(self, token: str) -> None:
        """Remove a desk with all that lies on it; return when it cannot come back.

        Raises:
            StorageError: it stays there.
        """
        desk = find_desk(self.root, token)
        gone = desk.with_name(f"{desk.name}.gone")
        deadline = time.monotonic() + _CLEAR_S
        while desk.is_dir() or gone.is_dir():
            # In one step here; where directories are known by a handle (NFS), once it is empty.
            with suppress(OSError):
                desk.replace(gone)
            if gone.is_symlink():  # nobody's desk: what it leads to is left alone
                with suppress(OSError):
                    gone.unlink()
            shutil.rmtree(gone, ignore_errors=True)
            if desk.is_dir() or gone.is_dir():
                time.sleep(0.02)
                if time.monotonic() > deadline:
                    raise StorageError(
                        "what a worker that is gone has left cannot be removed, so nobody can tell "
                        "that it does not come back.",
                        where=str(desk if desk.is_dir() else gone),
                        hint="Make the run directory writable, or remove that folder.",
                    )
