"""Hands out shards, and whatever only one may do at a time, to those who work on a shared run.

A claim is a file among the run's shared files that names a worker. It holds as long as the worker
does (`dfgen.store.shared.crew`), so it is written once, however long a shard takes: a worker has
one sign of life for all that it has claimed.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dfgen.store.layout import Stage
from dfgen.store.manifest import format_now
from dfgen.store.shared.crew import TOKEN
from dfgen.store.shared.files import CLAIMS, SharedFiles
from dfgen.store.shared.membership import Membership

_SHORTEST_S, _LONGEST_S = 0.02, 1.0
"""Seconds between two tries to get something that another worker has."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one worker has for itself.

    Attributes:
        name: of a shard (`name_shard`), or of something else that only one may do at a time.
        token: of the worker.
        since: ISO 8601, by the worker's clock, for people only.
    """

    name: str
    token: str
    since: str

    @property
    def shard(self) -> tuple[Stage, int] | None:
        """Stage and shard, if it is of one."""
        match = re.fullmatch(r"([a-z]+)-([0-9]{5,9})", self.name, re.ASCII)
        return (match[1], int(match[2])) if match else None


def name_shard(stage: Stage, shard: int) -> str:
    """Name the claim of a shard."""
    return f"{stage}-{shard:05d}"


def name_closing(stage: Stage) -> str:
    """Name the claim of who notes that a stage is done everywhere."""
    return f"close-{stage}"


class Claims:
    """The claims of one worker.

    Args:
        membership: of the worker, entered.
    """

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._crew = membership.crew
        self._files = membership.crew.files
        self._held: dict[str, str] = {}

    def take(self, name: str) -> bool:
        """Try to get something; says whether it is this worker's now.

        Raises:
            RunLockedError: others have given this worker up.
            StorageError: the shared files cannot be read or written.
        """
        self._membership.check()
        path, mine = f"{CLAIMS}/{name}", self._encode()
        found = self._files.read(path)
        if found is None:
            version = self._files.create(path, mine)
        else:
            owner = _parse(name, found[0])
            if owner is not None and owner.token == self._membership.token:
                return True
            if owner is not None and not self._crew.is_gone(owner.token):
                return False
            version = self._files.replace(path, mine, found[1])
        if version is None:
            return False
        self._held[name] = version
        return True

    def let_go(self, name: str) -> None:
        """Give something back, if it is this worker's. Raises `StorageError`."""
        version = self._held.pop(name, None)
        if version is not None:
            self._files.delete(f"{CLAIMS}/{name}", version)

    def let_go_all(self) -> None:
        """Give everything back. Raises `StorageError`."""
        for name in list(self._held):
            self.let_go(name)

    @contextmanager
    def hold(
        self,
        name: str,
        stopped: Callable[[], bool] = lambda: False,
        tell: Callable[[str, str], None] | None = None,
    ) -> Iterator[bool]:
        """Have something for the time of a block, waiting until it is free.

        Gives False, without having it, if a stop was asked for while it waited. May be nested.

        Args:
            tell: told, at each try that fails, what is waited for, and the token of who has it.

        Raises:
            RunLockedError: others have given this worker up.
            StorageError: the shared files cannot be read or written.
        """
        if name in self._held:
            yield True
            return
        wait_s = _SHORTEST_S
        while not self.take(name):
            if stopped():
                yield False
                return
            if tell is not None and (owner := self._find(name)) is not None:
                tell(name, owner.token)
            time.sleep(wait_s * random.uniform(0.5, 1))
            wait_s = min(2 * wait_s, _LONGEST_S)
        try:
            yield True
        finally:
            self.let_go(name)

    def _find(self, name: str) -> Claim | None:
        found = self._files.read(f"{CLAIMS}/{name}")
        return None if found is None else _parse(name, found[0])

    def _encode(self) -> bytes:
        return json.dumps({"worker": self._membership.token, "since": format_now()}).encode()


def iter_claims(files: SharedFiles) -> Iterator[Claim]:
    """Yield all claims, those of dead workers included. Raises `StorageError`."""
    for path in files.list(CLAIMS):
        found = files.read(path)
        claim = None if found is None else _parse(path.removeprefix(f"{CLAIMS}/"), found[0])
        if claim is not None:
            yield claim


def _parse(name: str, data: bytes) -> Claim | None:
    try:
        found: Any = json.loads(data)
        token = found["worker"]
        if not (isinstance(token, str) and TOKEN.fullmatch(token)):
            return None
        return Claim(name, token, str(found["since"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
