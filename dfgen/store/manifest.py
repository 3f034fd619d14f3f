"""Keeps run.json: what a run is and how far it has come. Written first, replaced atomically.

The manifest says what was asked for and by which software; how many rows there are is always
counted from the shard files, which cannot disagree with themselves (dfgen.store.counts).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from dfgen.errors import DamagedFileError, StorageError
from dfgen.regular_files import read_json
from dfgen.sealed_json import SEAL, is_whole, seal
from dfgen.store.atomic_files import create_file, make_directory, replace_file
from dfgen.store.entries import ShardEntry
from dfgen.store.layout import (
    ACTIVITY,
    LAUNCH,
    LOCK,
    MANIFEST,
    SHARED,
    TABLES_OF_KIND,
    TEMPORARY_PREFIX,
    Kind,
    Stage,
    Table,
)
from dfgen.store.mounts import find_mount
from dfgen.store.os_errors import explain_os_errors
from dfgen.version import UPDATE_HINT, VERSION

FORMAT_NAME = "dfgen.run"
FORMAT_VERSION = 1
MOST_BYTES = 1 << 30
"""Of run.json; a million shards take a third of it."""

State = Literal["pending", "running", "done"]

Sign = tuple[int, int, int, bytes]
"""What tells a run.json from every other: inode, when it was written, size, and its last bytes,
where the checksum of its content stands. An inode alone is given to another file soon."""

_LAST_BYTES = 128


class StageRecord(BaseModel):
    """One stage of a run."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    state: State = "pending"
    started: str | None = None
    """First time it ran; ISO 8601, UTC."""
    finished: str | None = None
    """Last time it was done; ISO 8601, UTC."""
    dfgen: str = VERSION
    """Version of dfgen that worked on it last."""
    counts: dict[str, int] = Field(default_factory=dict)
    """What the stage reported: input, output, rejects, ..."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """Anything else worth knowing (engine, cost, cells of an imported run)."""
    fingerprint: dict[str, Any] = Field(default_factory=dict)
    """Value of every setting and fact that its results depend on; empty until it first ran."""
    digest: str | None = None
    """sha256 of the fingerprint."""
    samples_history: list[int] = Field(default_factory=list)
    """`sample` only: the values that num_samples had, growing; the last one holds."""


class ChangedField(BaseModel):
    """A setting that was changed, as JSON values."""

    model_config = ConfigDict(extra="forbid")
    old: Any
    new: Any


class PipelineChange(BaseModel):
    """A moment at which a run went on with other settings than before."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    at: str
    """ISO 8601, UTC."""
    dfgen: str = VERSION
    """Version of dfgen that was told to."""
    fields: dict[str, ChangedField]
    """By dotted name."""


class RedoOrder(BaseModel):
    """Shards that are being made anew because somebody said so (`dfgen.store.redoing`)."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    at: str
    """ISO 8601, UTC."""
    folder: str
    """Where their files go, in the run directory."""
    asked: dict[Stage, list[int]]
    """What was named."""
    shards: dict[Stage, list[int]]
    """All that goes: these, and what is made of them."""
    damaged: list[str] = Field(default_factory=list)
    """Files of these that cannot be read."""
    moved: bool = False
    """Every file is in its folder."""


class ShardDrop(BaseModel):
    """A shard of which prompts or rejects are being taken out (`dfgen.store.dropping`)."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    shard: int = Field(ge=0)
    folder: str | None = Field(default=None, pattern=r"^dropped-\d{5,9}-[0-9a-f]{12}(-\d+)?$")
    """Where its prompts go, and what was made of them, in `history/`; null: only rejects go."""
    current: list[Stage] = Field(default_factory=list)
    """Stages that had nothing to make anew in it before."""


class Manifest(BaseModel):
    """The content of run.json."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    format: str = f"{FORMAT_NAME}/{FORMAT_VERSION}"
    created: str
    """ISO 8601, UTC."""
    dfgen: str = VERSION
    """Version of dfgen that created the run."""
    pipeline: dict[str, Any]
    """The effective pipeline file, defaults filled in; the latest that agreed with all stages."""
    changes: list[PipelineChange] = Field(default_factory=list)
    """What was changed of it, the latest last; read backwards they give every earlier one. Like the
    pipeline itself they hold no secret."""
    kind: Kind = "sampled"
    """Where the wrong answers come from: drawn from a policy; imported; pairs of texts; or masks of
    another run, carried over to another tokenizer."""
    tables: list[Table] = Field(default_factory=list)
    """The tables that a run of this kind may have, each a folder; and the side tables it has."""
    pictures: str | None = None
    """Version of the view (`dfgen.pictures`) in which all models are shown the run's pictures;
    null: begun by a dfgen that had no views."""
    stages: dict[Stage, StageRecord] = Field(default_factory=dict)
    redoing: RedoOrder | None = None
    """The order to make shards anew that no command has carried out to its end yet."""
    dropping: list[ShardDrop] = Field(default_factory=list)
    """Shards of which rows are being taken out; empty when that is done."""
    shards: dict[Stage, dict[int, ShardEntry]] = Field(default_factory=dict)
    """Every finished shard of the stages that are done; see `dfgen.store.entries`."""
    _sign: Sign | None = PrivateAttr(None)
    """Of the file that this was read from, if `reload_manifest` has."""

    @model_validator(mode="after")
    def _fill_in_kind(self) -> Manifest:
        # Manifests of before there were kinds are those of runs, sampled or imported.
        if "kind" not in self.model_fields_set and self.pipeline.get("imports"):
            self.kind = "imported"
        if not self.tables:
            self.tables = list(TABLES_OF_KIND[self.kind])
        return self

    def get_stage(self, stage: Stage) -> StageRecord:
        """Return the record of a stage; an empty one if it never ran."""
        return self.stages.get(stage) or StageRecord()


def format_now() -> str:
    """Write the time of this moment: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_manifest(path: Path) -> Manifest:
    """Read run.json.

    Raises:
        DamagedFileError: it is not JSON, or not a manifest.
        StorageError: it cannot be read, or a newer dfgen wrote it.
    """
    return _parse(path, _read(path))


def reload_manifest(path: Path, known: Manifest) -> Manifest:
    """Read run.json unless it is the file that was read before: with many shards it is large, and
    who shares a run looks at it again and again.

    Args:
        known: what this returned before, or any other state, which is then not relied on.

    Raises the errors of `load_manifest`.
    """
    # First: what is written between the two is then read again the next time.
    sign = _find_sign(path)
    if sign is not None and sign == known._sign:
        return known
    manifest = load_manifest(path)
    manifest._sign = sign
    return manifest


def _find_sign(path: Path) -> Sign | None:
    """None if it cannot be looked at; who reads it then says why."""
    try:
        # Opened, not only asked for: a file system on a network keeps answers of stat(2) for a
        # while, and asks again when a file is opened.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        state = os.fstat(descriptor)
        end = os.pread(descriptor, _LAST_BYTES, max(0, state.st_size - _LAST_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return (state.st_ino, state.st_mtime_ns, state.st_size, end)


def is_manifest_whole(path: Path) -> bool | None:
    """Say whether run.json says what dfgen wrote; None: of an earlier dfgen, so nothing shows it.

    Raises the errors of `load_manifest`.
    """
    return is_whole(_read(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        with explain_os_errors(path, "read"):
            data = read_json(path, MOST_BYTES)
    except ValueError as error:
        raise _describe_damage(path, f"it is not JSON ({error})") from error
    _check_version(path, data.get("format") if isinstance(data, dict) else None)
    return cast("dict[str, Any]", data)


def _parse(path: Path, data: dict[str, Any]) -> Manifest:
    try:
        return Manifest.model_validate({key: value for key, value in data.items() if key != SEAL})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise _describe_damage(path, f"field {field}: {first['msg']}") from error


def create_manifest(path: Path, manifest: Manifest) -> None:
    """Write run.json where there is none; `FileExistsError` if another process was faster.

    Raises:
        StorageError: it cannot be written.
    """
    with explain_os_errors(path.parent, "create"):
        make_directory(path.parent)
    try:
        create_file(path, _encode(manifest))
    except FileExistsError:
        raise
    except OSError:
        with explain_os_errors(path, "write"):
            raise


def check_vacant(root: Path) -> None:
    """Raise `StorageError` unless a run may begin in a directory."""
    with explain_os_errors(root, "read"):
        if not root.exists():
            return
        names = {path.name for path in root.iterdir()}
    mount = find_mount(root)
    if mount is not None:
        names |= mount.list_top() - {LOCK, ACTIVITY, SHARED}
    strangers = sorted(
        name for name in names if not name.startswith(TEMPORARY_PREFIX) and name != LAUNCH
    )
    if strangers:
        shown = ", ".join(strangers[:3]) + (", ..." if len(strangers) > 3 else "")
        raise StorageError(
            f"this directory is not a run (it has no {MANIFEST}) and is not empty: {shown}.",
            where=str(root),
            hint="Choose a directory that does not exist yet, or an empty one.",
        )


def update_manifest(
    path: Path, change: Callable[[Manifest], None], desk: Path | None = None
) -> Manifest:
    """Read run.json, apply `change` to it, and replace it; return the new state.

    A file that somebody else has changed keeps its old checksum, so that `validate` goes on saying
    so; `seal_manifest` takes it as it is.

    Always starting from the file, an update keeps what another process wrote. Where several share a
    run, they call this one after the other (`dfgen.store.shared.run`).

    Args:
        desk: see `dfgen.store.atomic_files.replace_file`.

    Raises:
        StorageError: it cannot be read or written.
    """
    data = _read(path)
    manifest = _parse(path, data)
    change(manifest)
    broken = data[SEAL] if is_whole(data) is False else None
    with explain_os_errors(path, "write"), replace_file(path, desk) as temporary:
        temporary.write_bytes(_encode(manifest, seal_of_before=broken))
    return manifest


def seal_manifest(path: Path) -> bool:
    """Give run.json the checksum of what it says now; return whether it had another or none.

    Raises:
        StorageError: it cannot be read or written.
    """
    data = _read(path)
    if is_whole(data):
        return False
    manifest = _parse(path, data)
    with explain_os_errors(path, "write"), replace_file(path) as temporary:
        temporary.write_bytes(_encode(manifest))
    return True


def _encode(manifest: Manifest, seal_of_before: str | None = None) -> bytes:
    data = seal(manifest.model_dump(mode="json"))
    if seal_of_before is not None:
        data[SEAL] = seal_of_before
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def _check_version(path: Path, version: object) -> None:
    name, _, number = version.partition("/") if isinstance(version, str) else ("", "", "")
    if name != FORMAT_NAME or not re.fullmatch(r"[0-9]{1,9}", number):
        raise _describe_damage(path, "it does not say that it is the manifest of a dfgen run")
    if int(number) > FORMAT_VERSION:
        raise StorageError(
            f"this run was made by a newer dfgen (its format is {version}; this is dfgen "
            f"{VERSION}, which reads up to {FORMAT_NAME}/{FORMAT_VERSION}).",
            where=str(path),
            hint=UPDATE_HINT,
        )


def _describe_damage(path: Path, what: str) -> DamagedFileError:
    return DamagedFileError(
        f"the manifest of this run is damaged: {what}.",
        where=str(path),
        hint="dfgen replaces this file only as a whole, so something else changed it. Restore it "
        "from a backup; or start a new run in another directory.",
    )
