"""Says which files of a run directory are mirrored in its bucket, and under which keys.

Every file has its own name there but a journal, which is a folder of segments: objects cannot be
appended to. `journal/repair-00003.jsonl/000000012345` holds the bytes from 12,345 on.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import groupby
from typing import NamedTuple

from dfgen.store.layout import (
    ACTIVITY,
    BATCHES,
    EXTRA_JOURNALS,
    HISTORY,
    JOURNAL,
    LOCK,
    MANIFEST,
    REJECTS,
    TABLES,
    TEMPORARY_PREFIX,
    list_stages,
)

PAGE = 1_000
"""Keys that a store lists at a request."""
_SEGMENT = re.compile(r"(.+\.jsonl)/([0-9]{12})", re.ASCII)
_SHARD = re.compile(r"[a-z]+/[a-z]+-([0-9]{5,9})[./].+", re.ASCII)


class Span(NamedTuple):
    """Keys of one folder that follow each other.

    Attributes:
        folder: ending with a slash.
        after: what comes before the first.
        last: what none comes after.
        pages: requests that listing them takes, about.
    """

    folder: str
    after: str
    last: str
    pages: int


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


def parse_shard(key: str) -> int | None:
    """Return the shard that a file is of: of a table, its rejects, its entry or its journal."""
    found = _SHARD.fullmatch(key)
    return int(found[1]) if found else None


def list_spans(shards: Collection[int]) -> list[Span]:
    """List where all files of some shards are, and of those between them."""
    stages = list_stages()
    names = [(table, "part") for table in TABLES]
    names += [(REJECTS, stage) for stage in stages]
    names += [(JOURNAL, name) for name in (*stages, *EXTRA_JOURNALS)]
    spans = []
    # A number of six digits does not come after one of five in the order of a store.
    for _, group in groupby(sorted(shards), lambda shard: len(f"{shard:05d}")):
        numbers = list(group)
        pages = 1 + (numbers[-1] - numbers[0]) // PAGE
        for folder, name in names:
            first, last = (f"{folder}/{name}-{n:05d}" for n in (numbers[0], numbers[-1]))
            spans.append(Span(f"{folder}/", first, f"{last}~", pages))
    return spans
