"""Keeps why workers of a run have ended that a scheduler started, for people who look later.

Their logs lie wherever the scheduler puts them. Only for information: no stage reads it.
"""

from __future__ import annotations

import json
import secrets
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dfgen.regular_files import read_json
from dfgen.store.atomic_files import replace_file
from dfgen.store.layout import LAUNCH, Stage
from dfgen.store.manifest import format_now

_FOLDER = "failures"
_MOST_BYTES = 1 << 16
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a worker ended.

    Attributes:
        stage: that it worked on.
        at: ISO 8601, UTC.
        host: of the machine.
        what: the error, as the command line says it.
    """

    stage: Stage
    at: str
    host: str
    what: str

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return asdict(self)


def note_failure(root: Path, stage: Stage, error: Exception) -> None:
    """Write down why a worker ends; a disk that does not take it must not hide the error itself."""
    failure = Failure(stage, format_now(), socket.gethostname(), str(error))
    path = root / LAUNCH / _FOLDER / f"{secrets.token_hex(8)}.json"
    with suppress(OSError), replace_file(path) as temporary:
        temporary.write_text(json.dumps(asdict(failure)), "utf-8")


def read_failures(root: Path, stages: set[Stage]) -> list[Failure]:
    """Read why workers of some stages have ended, the last first, a thousand at most."""
    found = []
    for path in sorted((root / LAUNCH / _FOLDER).glob("*.json"))[:_MOST]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            data = read_json(path, _MOST_BYTES)
            found.append(Failure(**{each.name: str(data[each.name]) for each in fields(Failure)}))
    found.sort(key=lambda failure: failure.at, reverse=True)
    return [failure for failure in found if failure.stage in stages]
