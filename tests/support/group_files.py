"""Writes exported groups from plain rows, for tests of what trainers read.

    write_groups(folder, [[make_answer(reward=1), make_answer(reward=0, repair=[1, 2, 3])]])

The schema is that of `dfgen export --to groups`; a column that it does not have yet is added.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dfgen.export.tables import GROUPS
from dfgen.export.writing import list_writer_options

TOKENIZER = "a" * 64
LISTS = ("scored_logprobs", "tempered_logprobs", "repair_tempered_logprobs")


def make_answer(
    ids: Sequence[int] = (5, 6, 7, 8),
    reward: float = 1.0,
    mask: Sequence[bool] | None = None,
    repair: Sequence[int] | None = None,
    new: Sequence[bool] | None = None,
    **columns: Any,
) -> dict[str, Any]:
    """Make a trajectory; a repair makes `mask_source` say so. Further columns as they are."""
    right = reward >= 1
    row: dict[str, Any] = {
        "completion_ids": list(ids),
        "completion_text": " ".join(map(str, ids)),
        "reward": reward,
        "finish_reason": "stop",
        "logprobs": [-0.5] * len(ids),
        "mask_source": "repair" if repair is not None else "correct" if right else "outcome",
        "loss_mask": [True] * len(ids) if mask is None else list(mask),
    }
    if repair is not None:
        row |= {
            "repair": " ".join(map(str, repair)),
            "repair_ids": list(repair),
            "repair_mask": [True] * len(repair) if new is None else list(new),
        }
    return row | columns


def write_groups(
    folder: Path,
    groups: Sequence[Sequence[dict[str, Any]]],
    *,
    temperature: float | None = 1.0,
    tokenizer: str = TOKENIZER,
    created: str = "2026-01-01T00:00:00Z",
    row_group: int = 1_000,
    manifest: bool = True,
    first: int = 0,
) -> Path:
    """Write one row per group into a folder with its dfgen.json; returns the folder.

    Args:
        first: number of the first prompt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "train-00000-of-00001.parquet"
    schema = make_schema(tokenizer)
    rows = [make_group(number, answers) for number, answers in enumerate(groups, first)]
    table = pa.Table.from_pylist(rows, schema)
    with pq.ParquetWriter(path, schema, **list_writer_options(schema)) as writer:
        writer.write_table(table, row_group_size=row_group)
    if manifest:
        write_manifest(folder, [path], len(rows), tokenizer, temperature, created)
    return folder


def write_manifest(
    folder: Path,
    paths: Sequence[Path],
    rows: int,
    tokenizer: str = TOKENIZER,
    temperature: float | None = 1.0,
    created: str = "2026-01-01T00:00:00Z",
) -> None:
    """Write dfgen.json of the files as they are now."""
    files = [
        {
            "path": path.relative_to(folder).as_posix(),
            "rows": rows,
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in paths
    ]
    sampling = {} if temperature is None else {"sampling": {"temperature": temperature}}
    data = {
        "format": "dfgen.dataset/1",
        "name": "test",
        "run_created": created,
        "tokenizer": {"name": "test", "sha256": tokenizer},
        "tables": {"groups": {"rows": rows, "trajectories": 0, "masks_sha256": "", "files": files}},
        "origin": sampling,
    }
    (folder / "dfgen.json").write_text(json.dumps(data))


def make_group(number: int, answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Make a group's row, with a question, a picture, and names for its trajectories."""
    name = f"p{number:04d}"
    block = [{"type": "image", "text": None}, {"type": "text", "text": f"Question {number}?"}]
    return {
        "prompt_id": name,
        "prompt": [{"role": "user", "content": block}],
        "messages": [{"role": "user", "content": f"<image>Question {number}?"}],
        "images": [{"bytes": f"picture {number}".encode(), "path": None}],
        "trajectories": [
            {"trajectory_id": f"{name}-{i}", "prompt_id": name, "sample_index": i, **answer}
            for i, answer in enumerate(answers)
        ],
    }


def make_schema(tokenizer: str = TOKENIZER) -> pa.Schema:
    """Make the schema of groups, with every column of log-probs that there can be."""
    schema = GROUPS.make_schema(tokenizer)
    index = schema.get_field_index("trajectories")
    inner = list(schema.field(index).type.value_type)
    have = {field.name for field in inner}
    inner += [pa.field(name, pa.list_(pa.float32())) for name in LISTS if name not in have]
    return schema.set(index, pa.field("trajectories", pa.list_(pa.struct(inner))))
