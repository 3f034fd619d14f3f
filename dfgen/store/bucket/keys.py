"""Says which files of a run directory are mirrored in its bucket, and under which keys.

Every file has its own name there but a journal, which is a folder of segments: objects cannot be
appended to. `journal/repair-00003.jsonl/000000012345` holds the bytes from 12,345 on.
"""

from __future__ import annotations

import re

from dfgen.store.layout import (
    ACTIVITY,
    BATCHES,
    HISTORY,
    JOURNAL,
    LOCK,
    MANIFEST,
    REJECTS,
    TABLES,
    TEMPORARY_PREFIX,
)

_SEGMENT = re.compile(r"(.+\.jsonl)/([0-9]{12})", re.ASCII)


def is_mirrored(key: str) -> bool:
    """Say whether a file of a run directory belongs into the bucket."""
    folder, _, name = key.partition("/")
    if TEMPORARY_PREFIX in key:
        return False
    if folder == BATCHES:  # what is out; the files that were handed over can be made again
        return is_journal(key) and "/" not in name
    return key == MANIFEST or (bool(name) and folder in {*TABLES, REJECTS, JOURNAL, HISTORY})


def is_small(key: str) -> bool:
    """Say whether a file is fetched at once: all but tables, and nothing that is not dfgen's."""
    return key == MANIFEST or (key.endswith(".json") and is_mirrored(key))


def is_path(key: str) -> bool:
    """Say whether an object of anybody can have a place in a directory, and only below it."""
    parts = key.split("/")
    return "\\" not in key and key.isprintable() and not {"", ".", ".."}.intersection(parts)


def is_news(key: str) -> bool:
    """Say whether an object is of people who look: who is at work, and what on."""
    return key in (LOCK, ACTIVITY)


def is_journal(key: str) -> bool:
    """Say whether a file is kept as segments."""
    return key.endswith(".jsonl")


def name_segment(journal: str, start: int) -> str:
    """Return the key of the segment of a journal that begins at a byte."""
    return f"{journal}/{start:012d}"


def parse_segment(key: str) -> tuple[str, int] | None:
    """Return the journal that an object is a segment of, and the byte where it begins."""
    found = _SEGMENT.fullmatch(key)
    return (found[1], int(found[2])) if found and is_mirrored(found[1]) else None
