"""Remembers beside a staging directory which files equal what the bucket has, and which do not yet.

Append-only, one JSON object a line, written before and after each change. A process that is killed
leaves lines of changes that have begun; they are the files that the bucket lacks.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path


class MirrorLog:
    """The log of one staging directory.

    Attributes:
        known: version in the bucket that the local file equals, by key; None: it had none.
        pending: keys that were about to change here, in order, and may not have got there; with
            the version that the bucket had before.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.known: dict[str, str] = {}
        self.pending: dict[str, str | None] = {}
        self._load()

    def reload(self) -> None:
        """Take in what workers of this process have noted."""
        with self._lock:
            self.known.clear()
            self.pending.clear()
            self._load()

    def begin(self, versions: dict[str, str | None]) -> None:
        """Note that files are about to change here, and what the bucket has of them."""
        with self._lock:
            new = {key: each for key, each in versions.items() if key not in self.pending}
            self.pending |= new
            self._append({"begin": key, "version": version} for key, version in new.items())

    def end(self, versions: dict[str, str | None]) -> None:
        """Note that files here equal what the bucket has; None: neither has one."""
        with self._lock:
            for key, version in versions.items():
                self.pending.pop(key, None)
                if version is None:
                    self.known.pop(key, None)
                else:
                    self.known[key] = version
            self._append({"end": key, "version": version} for key, version in versions.items())

    def compact(self) -> None:
        """Write the log anew, a line per file."""
        with self._lock:
            lines = [{"end": key, "version": each} for key, each in self.known.items()]
            lines += [{"begin": key, "version": each or ""} for key, each in self.pending.items()]
            fresh = self._path.with_name(self._path.name + ".new")
            fresh.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
            fresh.replace(self._path)

    def _append(self, lines: Iterable[object]) -> None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        if text:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)

    def _load(self) -> None:
        try:
            lines = self._path.read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                data = json.loads(line)
            except ValueError:
                continue  # cut short by the end of a process: that file is compared as unknown
            if "begin" in data:
                self.pending.setdefault(data["begin"], data["version"] or None)
                continue
            self.pending.pop(data["end"], None)
            if data["version"] is None:
                self.known.pop(data["end"], None)
            else:
                self.known[data["end"]] = data["version"]
