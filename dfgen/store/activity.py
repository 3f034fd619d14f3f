"""Keeps what the process at work on a run is doing right now, for people who look from outside.

Only for information: a file beside the lock, replaced every few seconds, never synced, never read
by any stage. It names the token of the lock, so that what a dead process left is told from news.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dfgen.regular_files import read_json
from dfgen.store.layout import ACTIVITY, LOCK, TEMPORARY_PREFIX
from dfgen.store.lock import read_token

_MOST_BYTES = 1 << 20

INTERVAL_S = 2.0
"""Seconds between two writes, at least."""


@dataclass
class Activity:
    """What one process does.

    Attributes:
        token: of the lock that it holds.
        stage: it works on; empty before the first.
        doing: what takes time without finishing a row (`loading the model ...`); empty if nothing.
        total: rows of the stage; None: nobody knows yet.
        before: of these, finished before this start.
        rows, accepted, rejected: since this start.
        seconds: since this start of the stage.
        note: what the stage says of itself (money spent, ...).
    """

    token: str
    stage: str = ""
    doing: str = ""
    total: int | None = None
    before: int = 0
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    seconds: float = 0.0
    note: str = ""

    @property
    def rows_per_s(self) -> float | None:
        """Rows a second since this start of the stage; None before the first."""
        return self.rows / self.seconds if self.rows and self.seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the stage is done if it goes on like this; None if nobody knows."""
        rate = self.rows_per_s
        if rate is None or self.total is None:
            return None
        return max(0, self.total - self.before - self.rows) / rate


class ActivityFile:
    """Writes the activity of the process that holds the lock of a run.

    A disk that does not take it must not end the run: failures are passed over.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.activity = Activity(read_token(root / LOCK) or "")
        self._path = root / ACTIVITY
        self._clock = clock
        self._began = clock()
        self._written = -INTERVAL_S

    def start(self, stage: str, total: int | None, before: int) -> None:
        """Note that a stage begins to work on rows."""
        self._began = self._clock()
        self.activity = Activity(self.activity.token, stage, "", total, before)
        self._write()

    def advance(self, rows: int, accepted: int, rejected: int, note: str) -> None:
        """Note finished rows; they are on disk a little later."""
        now = self.activity
        now.rows, now.accepted = now.rows + rows, now.accepted + accepted
        now.rejected, now.note, now.doing = now.rejected + rejected, note, ""
        if self._clock() - self._written >= INTERVAL_S:
            self._write()

    def tell(self, doing: str) -> None:
        """Note what is being done where no row is finished."""
        self.activity.doing = doing
        self._write()

    def remove(self) -> None:
        """Take the file away: nobody is at work any more."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        self._written = self._clock()
        self.activity.seconds = round(self._written - self._began, 3)
        self._save(asdict(self.activity))

    def _save(self, activity: Mapping[str, Any]) -> None:
        name = f"{TEMPORARY_PREFIX}{ACTIVITY}.{secrets.token_hex(4)}.tmp"
        temporary = self._path.with_name(name)
        try:
            temporary.write_text(json.dumps(activity) + "\n", "utf-8")
            os.replace(temporary, self._path)  # noqa: PTH105 (no fsync: only news)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def read_activity(root: Path, token: str) -> Activity | None:
    """Return what the holder of a lock does; None if it has not said it, or cannot be read."""
    try:
        data: Any = read_json(root / ACTIVITY, _MOST_BYTES)
    except (OSError, ValueError):
        return None
    return parse_activity(data, token)


def parse_activity(data: Any, token: str) -> Activity | None:
    """Return what the process with a token has said that it does; None if it is no such thing."""
    try:
        found = Activity(**{field.name: data[field.name] for field in fields(Activity)})
    except (KeyError, TypeError):
        return None
    return found if found.token == token else None
