"""Keeps a staging directory and a run in a bucket alike: the `Mount` of object stores.

Files that are written here are put there before the next one is written, so the bucket is always in
a state in which the run itself has been: shards before the note that says they are finished, notes
before run.json takes them in. Journals follow in segments (dfgen.store.bucket.segments).

Nothing is fetched but what is small (run.json, notes of finished shards, journals of open ones);
tables are fetched when they are read whole, and read in parts where a column is enough.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

from dfgen.errors import RunLockedError
from dfgen.store.bucket.keys import (
    PAGE,
    Span,
    is_journal,
    is_mirrored,
    is_news,
    is_path,
    is_small,
    list_spans,
    parse_segment,
    parse_shard,
)
from dfgen.store.bucket.lock import BucketLock
from dfgen.store.bucket.mirror_log import MirrorLog
from dfgen.store.bucket.objects import Object, Objects
from dfgen.store.bucket.segments import Paces, Segments, assemble, delete_segments
from dfgen.store.layout import LOCK, MANIFEST, TEMPORARY_PREFIX
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.shared.bucket_files import decode

_AT_ONCE = 16
"""Requests in flight where many files are fetched."""
_FEW_PAGES = 20
"""A run that is listed with so many requests is listed whenever somebody wants to know."""
_PAUSE = 10
"""So many times as long as listing a larger one takes, what was listed is new enough."""


class Mirror:
    """One run in one bucket.

    Args:
        objects: the run's objects.
        base: a folder of this machine that no other process uses meanwhile.
        alone: whether this process is the one that has taken the folder; a worker of that process
            shares it and removes nothing.
    """

    def __init__(self, objects: Objects, base: Path, *, alone: bool) -> None:
        self._objects = objects
        self._base = base
        self._alone = alone
        self._log = MirrorLog(base / "mirror.jsonl")
        self._index: dict[str, Object] = {}
        self._names: dict[str, set[str]] = {}
        self._due = 0.0
        self._lock = threading.RLock()
        self._segments: dict[str, Segments] = {}
        self._set_aside: Path | None = None
        self.paces = Paces()
        self.guard: Callable[[], None] | None = None

    @property
    def root(self) -> Path:
        """See `Mount`."""
        return self._base / "run"

    @property
    def address(self) -> str:
        """See `Mount`."""
        return str(self._objects.address)

    @property
    def objects(self) -> Objects:
        """The objects of the run, for claims."""
        return self._objects

    def make_lock(self, path: Path) -> BucketLock:
        """See `Mount`."""
        return BucketLock(self._objects, path)

    def refresh(self) -> None:
        """See `Mount`."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self._lock:
            began = time.monotonic()
            self._index = {each.key: each for each in self._objects.list() if is_path(each.key)}
            self._names = {}
            for key in self._index:
                self._add_name(key)
            self._due = time.monotonic() + _PAUSE * (time.monotonic() - began)
            if not self._alone:
                return
            self._log.reload()
            self._drop_changed([self._key(path) for path in _list_files(self.root)])
            self._fetch_small(self._index)
            self._fetch_news()
            self._fetch_journals([*self._index, *self._log.known])
            self._log.compact()

    def refresh_if_due(self) -> None:
        """See `Mount`."""
        if self._count_pages() <= _FEW_PAGES or time.monotonic() >= self._due:
            self.refresh()

    def refresh_shards(self, shards: Collection[int]) -> None:
        """See `Mount`."""
        spans = list_spans(shards)
        if not self._alone or self._count_pages() <= sum(span.pages for span in spans):
            self.refresh()
            return
        with self._lock:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                listed = [each for part in pool.map(self._list_span, spans) for each in part]
            there = {each.key: each for each in listed if parse_shard(each.key) in shards}
            self._log.reload()
            before = {key for key in (*self._index, *self._log.known) if parse_shard(key) in shards}
            for key in before - there.keys():
                self._drop_name(key)
            for key, each in there.items():
                self._index[key] = each
                self._add_name(key)
            keys = before | there.keys()
            self._drop_changed(key for key in keys if (self.root / key).is_file())
            self._fetch_small(there)
            self._fetch_journals(keys)
            # After the listing: an entry that is no longer there has moved to run.json.
            self.fetch_again(self.root / MANIFEST)

    def take_up(self) -> list[str]:
        """See `Mount`."""
        self.refresh()
        with self._lock:
            for key in list(self._log.pending):
                if parse_segment(key) is None:
                    self._push(key)
            stale = {found[0] for key in self._index if (found := parse_segment(key))}
            for journal in stale:
                if not (self.root / journal).exists():
                    delete_segments(self._objects, self._forget_segments(journal))
        if self._set_aside is None:
            return []
        return [
            f"{self.address} was continued from somewhere else after this machine had stopped. "
            f"What had not been sent from here was put into {self._set_aside}."
        ]

    def list_top(self) -> set[str]:
        """See `Mount`."""
        return {key.split("/")[0] for key in self._index}

    def fetch_again(self, path: Path) -> None:
        """See `Mount`."""
        key = self._key(path)
        found = self._objects.get(key)
        if found is None or found[1].version == self._log.known.get(key):
            return
        temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}.{secrets.token_hex(4)}.tmp")
        temporary.write_bytes(found[0])
        temporary.replace(path)
        self._note(key, found[1].version, found[1].size)

    def clear(self, folder: str) -> None:
        """See `Mount`."""
        self._objects.delete([each.key for each in self._objects.list(f"{folder}/")])

    def exists(self, path: Path) -> bool:
        """See `Mount`."""
        return self._key(path) in self._index

    def list_sizes(self, folder: Path) -> dict[str, int]:
        """See `Mount`."""
        key = self._key(folder)
        with self._lock:
            return {name: self._index[f"{key}/{name}"].size for name in self._names.get(key, ())}

    def list_folders(self, folder: Path) -> set[str]:
        """See `Mount`."""
        start = f"{self._key(folder)}/"
        with self._lock:
            below = [
                name for name, files in self._names.items() if files and name.startswith(start)
            ]
        return {name[len(start) :].partition("/")[0] for name in below}

    def fetch(self, path: Path) -> None:
        """See `Mount`."""
        key = self._key(path)
        if key in self._index:
            self._fetch_many([key])

    def fetch_all(self) -> None:
        """See `Mount`."""
        keys = [key for key in self._index if is_mirrored(key) and parse_segment(key) is None]
        self._fetch_many(key for key in keys if key not in self._log.pending)

    def open(self, path: Path) -> BinaryIO | None:
        """See `Mount`."""
        known = self._index.get(self._key(path))
        return None if known is None else self._objects.open(known)

    def will_change(self, *paths: Path) -> None:
        """See `Mount`."""
        if self.guard is not None:
            self.guard()
        keys = [self._key(path) for path in paths]
        changing = [key for key in keys if is_mirrored(key) and not is_journal(key)]
        self._log.begin({key: self._find_version(key) for key in changing})

    def has_created(self, path: Path) -> None:
        """See `Mount`."""
        key = self._key(path)
        if not is_mirrored(key):
            return
        version = self._objects.create(key, path.read_bytes())
        if version is None:
            path.unlink()
            self._log.end({key: None})
            self.refresh()
            raise FileExistsError(path)
        self._note(key, version, path.stat().st_size)

    def has_written(self, path: Path) -> None:
        """See `Mount`."""
        key = self._key(path)
        if not is_mirrored(key) or is_journal(key):
            return
        known = self._log.known.get(key) if key == MANIFEST else self._find_version(key)
        version: str | None
        looks = self._objects.conditional or key == MANIFEST
        if not looks or path.stat().st_size > _LARGE_BYTES:
            version = self._objects.put(key, path)
        elif known is None:
            version = self._objects.create(key, path.read_bytes())
        else:
            version = self._objects.replace(key, path.read_bytes(), known)
        if version is None:
            self._log.end({key: None})  # whoever comes next fetches what is there
            raise RunLockedError(
                "another process has written this file meanwhile.",
                where=self._objects.address.name(key),
                hint="This process stops here, so that two do not write into one run. Give the "
                "same command again when the other one is done.",
            )
        self._note(key, version, path.stat().st_size)

    def has_moved(self, path: Path, target: Path) -> None:
        """See `Mount`."""
        key, new = self._key(path), self._key(target)
        if is_journal(key):
            if (segments := self._segments.pop(key, None)) is not None:
                segments.stop()
            old = self._list_segments(key)
            for each in old:
                self._copy(each, new + each.removeprefix(key))
            delete_segments(self._objects, self._forget_segments(key))
            return
        if key in self._index:
            self._copy(key, new)
            self._objects.delete([key])
        elif target.exists():
            self.has_written(target)
        self._forget([key])

    def has_removed(self, paths: Iterable[Path]) -> None:
        """See `Mount`."""
        keys = [self._key(path) for path in paths]
        for key in filter(is_journal, keys):
            if (segments := self._segments.pop(key, None)) is not None:
                segments.stop()
            delete_segments(self._objects, self._forget_segments(key))
        keys = [key for key in keys if is_mirrored(key) and not is_journal(key)]
        there = [key for key in keys if key in self._index]
        if there:
            self._objects.delete(there)
        self._forget(keys)

    def has_appended(self, path: Path, end: int, records: int) -> None:
        """See `Mount`."""
        key = self._key(path)
        if is_mirrored(key):
            self._find_segments(key).grow(end, records)

    def flush(self, path: Path) -> None:
        """See `Mount`."""
        found = self._segments.get(self._key(path))
        if found is not None:
            found.flush()

    def _find_segments(self, key: str) -> Segments:
        with self._lock:
            if key not in self._segments:
                flushed = sum(self._index[each].size for each in self._list_segments(key))
                self._segments[key] = Segments(
                    self._objects, self.root, key, flushed, self.paces.find(key), self._note
                )
            return self._segments[key]

    def _list_segments(self, journal: str) -> list[str]:
        names = self._names.get(journal, set())
        keys = sorted(f"{journal}/{name}" for name in names)
        return [key for key in keys if parse_segment(key) is not None]

    def _forget_segments(self, journal: str) -> list[str]:
        keys = self._list_segments(journal)
        self._forget(keys)
        return keys

    def _copy(self, key: str, target: str) -> None:
        self._objects.copy(key, target)
        copied = self._objects.head(target)
        assert copied is not None
        self._note(target, copied.version, copied.size)

    def _push(self, key: str) -> None:
        """Bring a file that an earlier process of this machine did not, unless it is too late."""
        path, there = self.root / key, self._index.get(key)
        if there is not None and path.exists() and self._has_content(there, path):
            self._note(key, there.version, there.size)
        elif self._find_version(key) == self._log.pending[key]:
            if path.exists():
                self.has_written(path)
            else:
                self.has_removed([path])
        else:
            self._keep_aside(path)
            self._log.end({key: None})
            if there is not None and is_small(key):
                self._fetch_many([key])

    def _find_version(self, key: str) -> str | None:
        there = self._index.get(key)
        return None if there is None else there.version

    def _has_content(self, there: Object, path: Path) -> bool:
        if path.stat().st_size != there.size:
            return False
        found = self._objects.get(there.key)
        return found is not None and found[0] == path.read_bytes()

    def _count_pages(self) -> int:
        return 1 + len(self._index) // PAGE

    def _list_span(self, span: Span) -> list[Object]:
        following = self._objects.list(span.folder, after=span.after)
        listed = takewhile(lambda each: each.key <= span.last, following)
        return [each for each in listed if is_path(each.key)]

    def _drop_changed(self, keys: Iterable[str]) -> None:
        """Remove local files that the bucket has in another version, or no longer."""
        gone: dict[str, str | None] = {}
        for key in keys:
            if not is_mirrored(key) or is_journal(key) or key in self._log.pending:
                continue
            known = self._log.known.get(key)
            if known is None or self._find_version(key) != known:
                (self.root / key).unlink(missing_ok=True)
                gone[key] = None
        self._log.end(gone)

    def _fetch_small(self, keys: Iterable[str]) -> None:
        self._fetch_many(key for key in keys if is_small(key) and key not in self._log.pending)

    def _fetch_news(self) -> None:
        """Have what is said of the process at work, as old as it is."""
        for each in self._index.values():
            if is_news(each.key):
                path = self.root / each.key
                found = self._objects.get(each.key)
                path.unlink(missing_ok=True)
                content = None if found is None else found[0]
                if content is not None and each.key == LOCK:
                    content = decode(content)
                if content is not None:
                    path.write_bytes(content)
                    when = each.modified.timestamp()
                    os.utime(path, (when, when))

    def _fetch_journals(self, keys: Iterable[str]) -> None:
        """Put together the journals with these segments of which this machine has not all."""
        known: dict[str, dict[str, str]] = {}
        for key in keys:
            if (found := parse_segment(key)) is not None:
                version = self._log.known.get(key)
                known.setdefault(found[0], {}).update({} if version is None else {key: version})
        for journal, here in known.items():
            segments = [self._index[key] for key in self._list_segments(journal)]
            there = {each.key: each.version for each in segments}
            path = self.root / journal
            if (there == here and path.exists()) or journal in self._segments:
                continue
            if path.exists() and path.stat().st_size > sum(each.size for each in segments):
                self._keep_aside(path)
            path.unlink(missing_ok=True)
            self._log.end(dict.fromkeys(here))
            if assemble(self._objects, journal, segments, path):
                self._log.end(dict(there))

    def _keep_aside(self, path: Path) -> None:
        if not path.exists():
            return
        if self._set_aside is None:
            self._set_aside = self._base / "set-aside" / time.strftime("%Y%m%d-%H%M%S")
        target = self._set_aside / path.relative_to(self.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)

    def _fetch_many(self, keys: Iterable[str]) -> None:
        missing = [key for key in keys if not (self.root / key).exists()]
        if len(missing) < 2:
            found = list(map(self._download, missing))
        else:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                found = list(pool.map(self._download, missing))
        self._log.end(dict(zip(missing, found, strict=True)))

    def _download(self, key: str) -> str | None:
        path = self.root / key
        with explain_os_errors(path, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            found = self._objects.download(key, temporary)
            if found is None:  # somebody removed it since it was listed
                return None
            with explain_os_errors(path, "write"):  # a folder, where a foreign object lies below it
                temporary.replace(path)
            return found.version
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _note(self, key: str, version: str, size: int) -> None:
        from datetime import UTC, datetime

        with self._lock:
            self._index[key] = Object(key, size, version, datetime.now(UTC))
            self._add_name(key)
        self._log.end({key: version})

    def _forget(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        with self._lock:
            for key in keys:
                self._drop_name(key)
        self._log.end(dict.fromkeys(keys))

    def _add_name(self, key: str) -> None:
        folder, _, name = key.rpartition("/")
        self._names.setdefault(folder, set()).add(name)

    def _drop_name(self, key: str) -> None:
        self._index.pop(key, None)
        folder, _, name = key.rpartition("/")
        self._names.get(folder, set()).discard(name)

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


_LARGE_BYTES = 256 << 20
"""A file that is larger is sent in parts, which no store does on a condition. Where a store takes
none at all, files that never change are sent without a look, which would be two requests more."""


def _list_files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def write_marker(path: Path, address: str) -> None:
    """Say beside a staging directory of which bucket it is."""
    path.write_text(json.dumps({"address": address}) + "\n", "utf-8")
