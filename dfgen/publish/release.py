"""Lists the files of one publication, by the names under which the Hub knows their content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dfgen.dataset_names import MANIFEST
from dfgen.export.manifest import DatasetManifest
from dfgen.export.tables import TABLES

README = "README.md"
ASSETS = "assets"

_OURS = re.compile(rf"(?:{'|'.join(TABLES)})/[^/]+\.parquet|{ASSETS}/[^/]+\.png")


@dataclass(frozen=True)
class LocalFile:
    """A file to be on the Hub.

    Attributes:
        path: there, `/` between parts.
        source: here.
        sha256: the name of the content where the Hub keeps it in LFS or Xet.
        git_sha1: the name of the content where it keeps it in git.
    """

    path: str
    source: Path
    size: int
    sha256: str
    git_sha1: str

    def is_like(self, remote: RemoteFile | None) -> bool:
        """Say whether the Hub holds the same bytes."""
        if remote is None:
            return False
        if remote.sha256 is not None:
            return remote.sha256 == self.sha256
        return remote.git_sha1 == self.git_sha1


@dataclass(frozen=True)
class RemoteFile:
    """A file on the Hub; `sha256` is None where it is kept in git."""

    path: str
    git_sha1: str
    sha256: str | None


@dataclass(frozen=True)
class Release:
    """All files of a publication, the data first, card and manifest last."""

    manifest: DatasetManifest
    files: tuple[LocalFile, ...]

    def identify(self) -> str:
        """Return 12 hex digits that name the content."""
        lines = sorted(f"{file.sha256} {file.path}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]

    def list_missing(self, remote: Mapping[str, RemoteFile]) -> list[LocalFile]:
        """Files that the Hub does not hold as they are here."""
        return [file for file in self.files if not file.is_like(remote.get(file.path))]

    def list_stale(self, remote: Iterable[str]) -> list[str]:
        """Files of an earlier publication that would be loaded along with these."""
        ours = {file.path for file in self.files}
        return sorted(path for path in remote if _OURS.fullmatch(path) and path not in ours)


def describe_file(path: str, source: Path) -> LocalFile:
    """Hash a file both ways."""
    size = source.stat().st_size
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with source.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            sha256.update(chunk)
            git.update(chunk)
    return LocalFile(path, source, size, sha256.hexdigest(), git.hexdigest())


def collect_release(folder: Path, manifest: DatasetManifest) -> Release:
    """Collect the staged files of a folder."""
    order = {MANIFEST: 1, README: 2}
    paths = sorted(
        (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()),
        key=lambda path: (order.get(path, 0), path),
    )
    return Release(manifest, tuple(describe_file(path, folder / path) for path in paths))
