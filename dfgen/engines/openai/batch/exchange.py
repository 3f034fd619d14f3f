"""Names the files of one start: where requests are written, and where answers are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Exchange:
    """Where files of requests are written to and answers are read from.

    Attributes:
        write: an empty folder; None: nothing is written.
        read: files with answers, or folders of such (`*.jsonl`).
        written: files that were written, with their rows; filled by the engine.
        unread: lines that were read and are no results; filled by the engine.
        unread_at: the first of them, as FILE:LINE; filled by the engine.
    """

    write: Path | None = None
    read: tuple[Path, ...] = ()
    written: list[tuple[Path, int]] = field(default_factory=list)
    unread: int = 0
    unread_at: str = ""
