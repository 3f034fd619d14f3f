"""Opens exported groups and reads them in batches of bounded size, whatever the length of answers.

It shares the names of `dfgen.export` and none of its code, which needs pydantic: a trainer's
environment may have only numpy and pyarrow.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dfgen.dataset_names import MANIFEST, TABLE_KEY, TOKENIZER_KEY
from dfgen.errors import DamagedFileError, InputError
from dfgen.parquet_batches import find_filled, iter_batches, list_leaves
from dfgen.regular_files import open_for_arrow
from dfgen.trainers.column_types import NEEDED_ANSWER, NESTED, check_columns
from dfgen.trainers.manifest import Manifest, read_manifest
from dfgen.version import UPDATE_HINT, VERSION

if TYPE_CHECKING:
    import pyarrow as pa

TABLE, TABLE_VERSION = "groups", 1
BATCH_BYTES = 32 * 1024 * 1024
"""Of whole groups, pictures included, in one batch; at least one group."""

_BATCH_GROUPS = 4096

_EXPORT_HINT = f"Write it with: dfgen export RUN --to {TABLE} --out DIR"
_AGAIN_HINT = "Export or fetch the data set again."
_DEPTH = 3
"""Where the name of a nested column stands in its path: trajectories.list.element.NAME..."""

_SHOWN = 12
"""Digits of a hash, in messages."""

_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class GroupFile:
    """One Parquet file; what is None is not known.

    Attributes:
        path: on this machine, or within the data set `repo` at the commit `revision`.
        size: in bytes, as dfgen.json says.
        sha256: as dfgen.json says.
    """

    path: str
    repo: str | None = None
    revision: str | None = None
    size: int | None = None
    sha256: str | None = None

    def locate(self) -> Path:
        """Return where the file is, fetched first if it is on the Hub. Raises `InputError`."""
        return (
            Path(self.path)
            if self.repo is None
            else fetch_file(self.repo, self.path, self.revision)
        )


class Source(Protocol):
    """Groups that examples can be made of, wherever they come from."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def tokenizer_sha256(self) -> str | None:
        """Of the tokenizer of all ids; None where nobody noted it."""

    @property
    def origin(self) -> dict[str, Any]:
        """How the data was made, as in dfgen.json."""

    def read_batches(
        self, columns: Sequence[str], nested: Sequence[str]
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Read all groups anew: these columns of them and of their trajectories, or more.

        Each batch comes with a name of where it is from, for messages.
        """

    def find_nested(self) -> set[str]:
        """Find the columns of trajectories that hold any value at all."""


@dataclass(frozen=True)
class GroupSource:
    """Groups of one export; can be pickled and read as often as one likes.

    Attributes:
        name: for messages.
        files: in order.
        tokenizer_sha256: of the tokenizer of all ids; None where nobody noted it.
        origin: how the data was made, as in dfgen.json; empty without one.
        created: when the run was begun, ISO 8601; None without dfgen.json.
    """

    name: str
    files: tuple[GroupFile, ...]
    tokenizer_sha256: str | None
    origin: dict[str, Any]
    created: str | None = None
    _proved: set[str] = field(default_factory=set, repr=False, compare=False)

    def read_batches(
        self, columns: Sequence[str], nested: Sequence[str]
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Read all groups, a few megabytes at a time, each with its file's path.

        Args:
            columns: of the group.
            nested: of its trajectories; one that a file does not have is left out.

        Raises:
            DamagedFileError: a file is not what dfgen.json says, or cannot be read.
        """
        for each in self.files:
            path = each.locate()
            if each.path not in self._proved:
                prove_content(path, each)
                self._proved.add(each.path)
            for batch in _read_file(path, columns, nested, self.tokenizer_sha256):
                yield str(path), batch

    def find_nested(self) -> set[str]:
        """Find the columns of trajectories that hold any value at all."""
        found: set[str] = set()
        for each in self.files:
            found |= _list_filled(each.locate())
        return found


def open_groups(data: str | Path) -> GroupSource:
    """Open what `dfgen export --to groups` or `dfgen publish` made.

    Args:
        data: folder, file, or id of a data set on the Hub.

    Raises:
        InputError: no such data, other data, a run directory, or a newer format.
        DamagedFileError: a file is missing.
    """
    path = Path(data).expanduser()
    if (path / "run.json").is_file():
        raise InputError(
            "this is a run directory; trainers read what is exported from it.",
            where=str(path),
            hint=f"dfgen export {path} --to {TABLE} --out DIR",
        )
    if (path / MANIFEST).is_file():
        return _open_listed(path)
    if path.is_file():
        return _open_files([path])
    if path.is_dir():
        files = sorted(path.glob("*.parquet")) or sorted((path / TABLE).glob("*.parquet"))
        if not files:
            raise InputError(
                "there is no Parquet file in this folder.", where=str(path), hint=_EXPORT_HINT
            )
        return _open_files(files)
    if isinstance(data, str) and _REPO_ID.fullmatch(data):
        return _open_repo(data)
    raise InputError(
        "there is no such file or folder, and it is no id of a data set on the Hub.",
        where=str(data),
        hint=_EXPORT_HINT,
    )


def prove_size(path: Path, file: GroupFile) -> None:
    """Compare a file's size with what dfgen.json says. Raises `DamagedFileError`."""
    if file.size is not None and path.stat().st_size != file.size:
        raise DamagedFileError(
            f"it has {path.stat().st_size:,} bytes; {MANIFEST} says {file.size:,}.",
            where=str(path),
            hint=_AGAIN_HINT,
        )


def prove_content(path: Path, file: GroupFile) -> None:
    """Compare a file's sha256 with what dfgen.json says.

    A picture, a mask or an id that was changed since the export shows here.

    Raises:
        DamagedFileError: they differ.
    """
    if file.sha256 is None:
        return
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != file.sha256:
        raise DamagedFileError(
            f"it is not the file that {MANIFEST} lists: pictures, masks or ids were changed.",
            where=str(path),
            hint=_AGAIN_HINT,
        )


def fetch_file(repo: str, name: str, revision: str | None) -> Path:
    """Fetch a file of a data set on the Hub. Raises `InputError`."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise InputError(
            "a data set on the Hub needs the package huggingface_hub.",
            where=repo,
            hint="pip install huggingface_hub, or give a folder.",
        ) from error
    try:
        return Path(hf_hub_download(repo, name, repo_type="dataset", revision=revision))
    except (OSError, ValueError) as error:
        raise InputError(
            f"there is no such folder here, and {name} cannot be fetched from the Hub: "
            f"{(str(error).splitlines() or [type(error).__name__])[0]}",
            where=repo,
            hint="Is it a data set that dfgen published, and are you logged in if it is private?",
        ) from error


def _open_listed(folder: Path) -> GroupSource:
    manifest = read_manifest(folder / MANIFEST, TABLE)
    files = []
    for name, size, sha256 in manifest.files:
        path = folder / name
        if not path.is_file():
            raise DamagedFileError(
                "this file of the data set is missing.",
                where=str(path),
                hint=_AGAIN_HINT,
            )
        files.append(GroupFile(str(path), size=size, sha256=sha256))
    return _make_source(str(folder), _prove_files(files, manifest), manifest)


def _prove_files(files: Sequence[GroupFile], manifest: Manifest) -> Sequence[GroupFile]:
    """Compare what can be seen of files at once with dfgen.json. Raises `DamagedFileError`."""
    for each in files:
        prove_size(Path(each.path), each)
        check_label(
            read_schema(Path(each.path)).metadata or {}, Path(each.path), manifest.tokenizer
        )
    return files


def _open_files(paths: Sequence[Path]) -> GroupSource:
    """Open files, by the dfgen.json beside or above them if it is theirs."""
    for folder in (paths[0].parent, paths[0].parent.parent):
        if (folder / MANIFEST).is_file():
            manifest = read_manifest(folder / MANIFEST, TABLE)
            listed = {folder / name: (size, sha256) for name, size, sha256 in manifest.files}
            if folder == paths[0].parent or any(path in listed for path in paths):
                _refuse_strangers(paths, listed, folder)
                files = [
                    GroupFile(str(path), size=listed[path][0], sha256=listed[path][1])
                    for path in paths
                ]
                return _make_source(str(paths[0]), _prove_files(files, manifest), manifest)
    hashes = set()
    for path in paths:
        metadata = read_schema(path).metadata or {}
        check_label(metadata, path)
        hashes.add(_read_tokenizer(metadata))
    if len(hashes) > 1:
        raise InputError(
            "these files hold ids of different tokenizers.", where=str(paths[0].parent)
        )
    files = [GroupFile(str(path)) for path in paths]
    return GroupSource(str(paths[0]), tuple(files), hashes.pop(), {})


def _refuse_strangers(paths: Sequence[Path], listed: Collection[Path], folder: Path) -> None:
    """Refuse files that were put beside those of a data set: nothing would say what they hold."""
    strange = [path for path in paths if path not in listed]
    if strange:
        raise DamagedFileError(
            f"{folder / MANIFEST} does not list this file.",
            where=str(strange[0]),
            hint="Move it out of that folder: a data set of its own is given by its own path.",
        )


def _open_repo(repo: str) -> GroupSource:
    path = fetch_file(repo, MANIFEST, None)
    manifest = read_manifest(path, TABLE)
    # The cache keeps files under snapshots/<commit>/, so all files are of one commit.
    commit = path.parent.name
    files = [GroupFile(name, repo, commit, size, sha256) for name, size, sha256 in manifest.files]
    return _make_source(repo, files, manifest)


def _make_source(name: str, files: Sequence[GroupFile], manifest: Manifest) -> GroupSource:
    return GroupSource(name, tuple(files), manifest.tokenizer, manifest.origin, manifest.created)


def read_schema(path: Path) -> pa.Schema:
    """Read the schema of a Parquet file. Raises `DamagedFileError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(open_for_arrow(path))
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DamagedFileError(
            f"cannot be read as Parquet: {error}.", where=str(path), hint=_AGAIN_HINT
        ) from None


def _read_tokenizer(metadata: dict[bytes, bytes]) -> str | None:
    return metadata.get(TOKENIZER_KEY, b"").decode(errors="replace") or None


def check_label(metadata: dict[bytes, bytes], path: Path, tokenizer: str | None = None) -> None:
    """Check that a file holds groups of this version, and ids of the tokenizer of its data set.

    Raises:
        InputError: it is another table, or a newer one.
        DamagedFileError: it names another tokenizer than dfgen.json does.
    """
    label = (metadata.get(TABLE_KEY) or metadata.get(b"dfgen.schema") or b"something else").decode(
        errors="replace"
    )
    name, _, version = label.partition("/")
    if name != TABLE:
        raise InputError(
            f"this file holds {label}, not {TABLE}/{TABLE_VERSION}.",
            where=str(path),
            hint=_EXPORT_HINT,
        )
    if version != str(TABLE_VERSION):
        raise InputError(
            f"this file holds {label}; this dfgen ({VERSION}) reads {TABLE}/{TABLE_VERSION}.",
            where=str(path),
            hint=UPDATE_HINT,
        )
    own = _read_tokenizer(metadata)
    if tokenizer and own and own != tokenizer:
        raise DamagedFileError(
            f"its ids are of another tokenizer (sha256 {own[:_SHOWN]}) than {MANIFEST} says "
            f"({tokenizer[:_SHOWN]}).",
            where=str(path),
            hint=_AGAIN_HINT,
        )


def _read_file(
    path: Path, columns: Sequence[str], nested: Sequence[str], tokenizer: str | None
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 0
    try:
        with pq.ParquetFile(
            open_for_arrow(path), page_checksum_verification=True, pre_buffer=False
        ) as file:
            check_label(file.schema_arrow.metadata or {}, path, tokenizer)
            check_columns(file.schema_arrow, columns, nested, str(path))
            leaves = _choose_leaves(file, columns, nested)
            for batch in iter_batches(file, BATCH_BYTES, _BATCH_GROUPS, leaves):
                # Text that is no UTF-8, and offsets that lead elsewhere.
                batch.validate(full=True)
                count += batch.num_rows
                yield batch
            rows = file.metadata.num_rows
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DamagedFileError(
            f"cannot be read: {error}.", where=str(path), hint=_AGAIN_HINT
        ) from error
    if count != rows:
        raise DamagedFileError(
            f"only {count} of its {rows} rows can be read.", where=str(path), hint=_AGAIN_HINT
        )


def _choose_leaves(file: Any, columns: Sequence[str], nested: Sequence[str]) -> list[str]:
    """The leaf columns to read."""
    found = []
    for name in list_leaves(file):
        parts = name.split(".")
        wanted = parts[_DEPTH] in nested if parts[0] == NESTED else parts[0] in columns
        if wanted:
            found.append(name)
    return found


def _list_filled(path: Path) -> set[str]:
    """Columns of trajectories with a value that is not null. Raises `DamagedFileError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_columns(read_schema(path), (), NEEDED_ANSWER, str(path))
    try:
        with pq.ParquetFile(open_for_arrow(path), pre_buffer=False) as file:
            leaves = [leaf.split(".") for leaf in list_leaves(file)]
            wanted = [parts for parts in leaves if parts[0] == NESTED and len(parts) > _DEPTH]
            return {leaf.split(".")[_DEPTH] for leaf in find_filled(file, map(".".join, wanted))}
    # A name that is no UTF-8 is a ValueError, as what Arrow raises is.
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DamagedFileError(
            f"cannot be read as Parquet: {error}.", where=str(path), hint=_AGAIN_HINT
        ) from None
