"""Reads the teacher's prompts of `dfgen export --to privileged`, to join them to stored answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dfgen.dataset_names import MANIFEST
from dfgen.errors import DamagedFileError, InputError
from dfgen.parquet_batches import iter_batches
from dfgen.regular_files import open_for_arrow
from dfgen.trainers.manifest import read_manifest
from dfgen.trainers.reading import GroupFile, prove_content, prove_size, read_schema

TABLE = "privileged"
BATCH_BYTES, BATCH_ROWS = 16 * 1024 * 1024, 1024
COLUMNS = ("trajectory_id", "teacher_prompt", "teacher_images")
_HINT = f"Write them with: dfgen export RUN --to {TABLE} --out DIR"


def read_contexts(data: str | Path) -> dict[str, dict[str, Any]]:
    """Read `{trajectory_id: {"teacher_prompt": str, "teacher_images": list | None}}`.

    The texts of all rows are in memory; pictures are where a row has its own for the teacher.

    Raises:
        InputError: no such file, or one without these columns.
        DamagedFileError: a file is not what dfgen.json lists, cannot be read, or has an answer
            twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(data).expanduser()
    found: dict[str, dict[str, Any]] = {}
    for file in _list_files(path):
        if not set(COLUMNS) <= set(read_schema(file).names):
            raise InputError("this holds no teacher's prompts.", where=str(file), hint=_HINT)
        try:
            with pq.ParquetFile(
                open_for_arrow(file), page_checksum_verification=True, pre_buffer=False
            ) as opened:
                for batch in iter_batches(opened, BATCH_BYTES, BATCH_ROWS, COLUMNS):
                    for row in batch.to_pylist():
                        _add(found, row, str(file))
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DamagedFileError(
                f"cannot be read: {error}.", where=str(file), hint=_HINT
            ) from error
    if not found:
        raise InputError("there are no teacher's prompts here.", where=str(path), hint=_HINT)
    return found


def check_joined(contexts: Mapping[str, Any], answers: Collection[str], where: str) -> None:
    """Refuse teacher's prompts of other answers: the teacher would be the student, and no more.

    Args:
        contexts: of `read_contexts`.
        answers: trajectory ids that are trained on.
        where: the teacher's prompts are.

    Raises:
        InputError: none belongs to one of the answers.
    """
    if not contexts.keys() & set(answers):
        raise InputError(
            f"none of these {len(contexts):,} teacher's prompts belongs to an answer that is "
            "trained on.",
            where=where,
            hint="Export both of the same run: dfgen export RUN --to groups --to privileged.",
        )


def _list_files(path: Path) -> list[Path]:
    """The Parquet files, compared with the dfgen.json of their folder where there is one."""
    if (path / MANIFEST).is_file():
        listed = read_manifest(path / MANIFEST, TABLE).files
        files = [GroupFile(str(path / name), size=size, sha256=sha) for name, size, sha in listed]
        for each in files:
            if not Path(each.path).is_file():
                raise DamagedFileError(
                    "this file of the data set is missing.", where=each.path, hint=_HINT
                )
            prove_size(Path(each.path), each)
            prove_content(Path(each.path), each)
        return [Path(each.path) for each in files]
    if path.is_dir():
        return sorted(path.glob("**/*.parquet"))
    if not path.is_file():
        raise InputError("there is no such file or folder.", where=str(path), hint=_HINT)
    return [path]


def _add(found: dict[str, dict[str, Any]], row: dict[str, Any], where: str) -> None:
    name = row.pop("trajectory_id")
    if not isinstance(name, str) or not isinstance(row["teacher_prompt"], str):
        raise DamagedFileError(
            f"a row has no trajectory_id or no teacher_prompt ({name}).", where=where, hint=_HINT
        )
    if name in found:
        raise DamagedFileError(f"the answer {name} stands there twice.", where=where, hint=_HINT)
    found[name] = row
