"""What the loopback Hub keeps: repositories with commits, branches, tags, pull requests and large
files; Storage Buckets; contents in the store of Xet."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class File:
    """A file of a commit: in git (`data`) or a large one (`sha256`)."""

    size: int
    git_sha1: str
    data: bytes | None = None
    sha256: str | None = None

    @property
    def etag(self) -> str:
        return self.sha256 or self.git_sha1

    @property
    def oid(self) -> str:
        """What preupload answers: the name of the content where it is kept."""
        return self.sha256 or self.git_sha1


@dataclass(frozen=True)
class Stored:
    """A content in the store of Xet; its sha256 if it was told."""

    xet_hash: str
    size: int
    sha256: str | None


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    message: str
    files: dict[str, File]


@dataclass
class Repo:
    """One data set repository; it begins with a commit that holds .gitattributes."""

    id: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pull_requests: dict[int, str] = field(default_factory=dict)

    def add_commit(self, parent: str | None, message: str, files: dict[str, File]) -> Commit:
        listing = sorted((path, file.etag) for path, file in files.items())
        seed = json.dumps([parent, message, listing, len(self.commits)])
        oid = hashlib.sha1(seed.encode()).hexdigest()
        self.commits[oid] = Commit(oid, parent, message, files)
        return self.commits[oid]

    def resolve(self, revision: str) -> Commit | None:
        """A commit by branch, tag, `refs/pr/N` or its own name."""
        oid = self.branches.get(revision) or self.tags.get(revision)
        if oid is None and revision.startswith("refs/pr/"):
            oid = self.pull_requests.get(int(revision.rpartition("/")[2]))
        return self.commits.get(oid or revision)

    def list_history(self, revision: str) -> list[Commit]:
        """Commits from a revision back to the first."""
        found, commit = [], self.resolve(revision)
        while commit is not None:
            found.append(commit)
            commit = self.commits.get(commit.parent or "")
        return found


@dataclass
class Entry:
    """A file of a bucket; times in seconds, by the clock of the Hub and of the writer."""

    xet_hash: str
    size: int
    uploaded: float
    written: float


@dataclass
class Bucket:
    """A Storage Bucket.

    Attributes:
        page: files that are listed at once.
        clock_s: by how much the Hub's clock is ahead.
    """

    private: bool = True
    page: int = 1000
    clock_s: float = 0.0
    files: dict[str, Entry] = field(default_factory=dict)


@dataclass
class HubState:
    """Everything the Hub keeps. `cas` is the folder of the content-addressed store of Xet."""

    cas: Path | None = None
    repos: dict[str, Repo] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    copies: int = 0
    buckets: dict[str, Bucket] = field(default_factory=dict)
    _shards: dict[str, list[Stored]] = field(default_factory=dict)

    def create_repo(self, repo_id: str, private: bool) -> Repo:
        repo = Repo(repo_id, private)
        start = repo.add_commit(None, "initial commit", {".gitattributes": keep_in_git(b"*.png\n")})
        repo.branches["main"] = start.oid
        self.repos[repo_id] = repo
        return repo

    def holds(self, sha256: str) -> bool:
        return sha256 in self.objects or sha256 in self.read_xet_hashes()

    def read_xet_hashes(self) -> dict[str, str]:
        """sha256 to Xet hash of every file in the store."""
        return {each.sha256: each.xet_hash for each in self._list_stored() if each.sha256}

    def read_xet_sizes(self) -> dict[str, int]:
        """Size by Xet hash of every file in the store, the empty one included."""
        return {"0" * 64: 0} | {each.xet_hash: each.size for each in self._list_stored()}

    def _list_stored(self) -> Iterator[Stored]:
        # What Xet has for a moment goes while it is looked at: `os.walk` passes over folders.
        for folder, _, names in os.walk(self.cas) if self.cas else []:
            for name in names:
                if name.endswith(".mdb") and name not in self._shards:  # named by its content
                    self._shards[name] = list(parse_shard(Path(folder, name).read_bytes()))
                yield from self._shards.get(name, ())

    def copy_cas(self) -> Path:
        """A copy that another process may open; the writer holds the lock of the original."""
        assert self.cas is not None
        with self.lock:
            self.copies += 1
            target = self.cas.with_name(f"{self.cas.name}-copy-{self.copies}")
            shutil.copytree(self.cas, target)
        return target


def keep_in_git(data: bytes) -> File:
    digest = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    return File(len(data), digest, data=data)


def keep_large(sha256: str, size: int) -> File:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    data = pointer.encode()
    return File(size, hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), sha256=sha256)


def apply_commit(
    state: HubState, repo: Repo, base: Commit, lines: list[dict[str, Any]]
) -> Commit | str:
    """A new commit from the lines of a request; a string says why it cannot be."""
    import base64

    files, header = dict(base.files), lines[0]["value"]
    for line in lines[1:]:
        key, value = line["key"], line["value"]
        path = value["path"]
        if key == "file":
            data = base64.b64decode(value["content"])
            if is_large(path, len(data)):
                return f"{path} must be stored with LFS"
            files[path] = keep_in_git(data)
        elif key == "lfsFile":
            if not state.holds(value["oid"]):
                return f"the LFS object {value['oid']} of {path} was not uploaded"
            files[path] = keep_large(value["oid"], value["size"])
        elif key == "deletedFile":
            if files.pop(path, None) is None:
                return f"A file with this name doesn't exist: {path}"
        elif key == "deletedFolder":
            files = {name: file for name, file in files.items() if not name.startswith(path)}
        else:
            return f"unknown operation {key}"
    return repo.add_commit(base.oid, header["summary"], files)


def is_large(path: str, size: int) -> bool:
    """What the Hub's .gitattributes of a data set send to LFS; empty files never go there."""
    return size > 0 and (path.endswith((".parquet", ".png", ".arrow", ".zip")) or size > 10**7)


def parse_shard(data: bytes) -> Iterator[Stored]:
    """Yield the files in an .mdb shard (xet-core, mdb_shard/src/file_structs.rs).

    Entries of 48 bytes: a header per file (hash, flags, number of segments), its segments (hash,
    flags, bytes), as many verification entries if bit 31 of the flags is set, and one with the
    sha256 if bit 30 is.
    """
    at, entry = 48, 48
    while at + entry <= len(data):
        name = data[at : at + 32]
        flags, segments = struct.unpack_from("<II", data, at + 32)
        if name == b"\xff" * 32:
            return
        lengths = [
            struct.unpack_from("<I", data, at + entry * number + 36)[0]
            for number in range(1, segments + 1)
        ]
        at += entry * (1 + segments * (2 if flags & 1 << 31 else 1))
        sha256 = None
        if flags & 1 << 30:
            sha256 = _to_hex(data[at : at + 32])
            at += entry
        yield Stored(_to_hex(name), sum(lengths), sha256)


def _to_hex(raw: bytes) -> str:
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))
