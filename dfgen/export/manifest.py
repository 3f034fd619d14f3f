"""Reads and writes dfgen.json: what a data set holds and how it was made.

The card is written from it. Equal runs give equal manifests, so a publication that is repeated
changes nothing: no time of writing stands here, only when the run was begun.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePath
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from dfgen.dataset_file import read_dataset_file
from dfgen.dataset_names import FORMAT
from dfgen.errors import DamagedFileError
from dfgen.sealed_json import SEAL, seal
from dfgen.version import VERSION


class FileEntry(BaseModel):
    """One Parquet file of the data set."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    path: str
    """Within the data set, `/` between parts."""
    rows: int
    size: int
    sha256: str


class TableEntry(BaseModel):
    """One table (a `config` of the data set)."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    rows: int
    trajectories: int
    masks_sha256: str
    """`dfgen.export.digest.MaskDigest` of all rows."""
    files: list[FileEntry]
    choices: dict[str, Any] = Field(default_factory=dict)
    """What was chosen of the table beside its name: the recipe with all that it says, ..."""

    masks_left_out: int = 0
    """Masks that are not in it because the run does not hold their question."""

    @model_serializer(mode="wrap")
    def _leave_out_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what says nothing, so that a dfgen from before these fields reads the rest."""
        data: dict[str, Any] = write(self)
        added = ("choices", "masks_left_out")
        return {key: value for key, value in data.items() if key not in added or value}


class DatasetManifest(BaseModel):
    """The content of dfgen.json."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    format: Literal["dfgen.dataset/1"] = FORMAT
    dfgen: str = VERSION
    name: str
    """Of the pipeline."""
    run_created: str
    """When the run was begun; ISO 8601, UTC."""
    tokenizer: dict[str, str | None]
    """`name` and `sha256` of the policy's tokenizer, to which all ids belong."""
    pictures: str | None = None
    """Version of the view (`dfgen.pictures`) in which pictures stand in the tables."""
    tables: dict[str, TableEntry]
    prompts_left_out: int = 0
    """Prompts without any trajectory that has a mask."""
    origin: dict[str, Any] = Field(default_factory=dict)
    """Models, revisions, hashes of prompts, sampling: see `dfgen.export.origin`."""
    numbers: dict[str, Any] = Field(default_factory=dict)
    """Figures of the run, as `dfgen stats --json` gives them."""

    def encode(self) -> bytes:
        """Return the bytes of the file, its own checksum included."""
        data = seal(self.model_dump(mode="json"))
        return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()

    def identify(self) -> str:
        """Return 64 hex digits that name the content of the tables."""
        files = sorted((file.path, file.sha256) for t in self.tables.values() for file in t.files)
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def read_dataset_manifest(path: Path) -> DatasetManifest:
    """Read dfgen.json.

    Raises:
        DamagedFileError: it is not what dfgen wrote. One without a checksum is of an earlier dfgen.
        InputError: a newer dfgen wrote it.
    """
    data = read_dataset_file(path)
    try:
        return DatasetManifest.model_validate(
            {key: value for key, value in data.items() if key != SEAL}
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DamagedFileError(
            f"the manifest of this data set is damaged: {field}: {first['msg']}.", where=str(path)
        ) from error


def hide_folder(name: str | None) -> str | None:
    """Return a model's or file's name without the folder it lies in on this machine."""
    if name is None or not PurePath(name).is_absolute():
        return name
    return PurePath(name).name
