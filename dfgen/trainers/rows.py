"""Writes examples as rows of one Parquet file, which verl and SkyRL read with their own loaders.

A row is one completion: its question and pictures in the columns that verl looks for, and all that
the loss needs in the column `dfgen`. So a trainer draws rows as it likes, on as many machines as it
likes, and looks nothing up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dfgen.errors import InputError
from dfgen.trainers.example import Example

AGENT = "dfgen_replay"
ROWS_PER_GROUP = 64


def list_stored_fields() -> list[tuple[str, Any]]:
    """List what the column `dfgen` holds: names and Arrow types."""
    import pyarrow as pa

    text, numbers = pa.string(), pa.list_(pa.float32())
    return [
        ("trajectory_id", text),
        ("prompt_id", text),
        ("source_id", text),
        ("metadata", text),
        ("kind", text),
        ("loss", text),
        ("ids", pa.list_(pa.int32())),
        ("loss_mask", pa.list_(pa.bool_())),
        ("advantages", numbers),
        ("old_logprobs", numbers),
        ("reward", pa.float64()),
        ("temperature", pa.float64()),
        ("tokenizer_sha256", text),
    ]


def make_schema() -> Any:
    """Return the Arrow schema of the file."""
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [
            ("data_source", text),
            ("prompt", pa.list_(pa.struct([("role", text), ("content", text)]))),
            ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", text)]))),
            ("ability", text),
            ("reward_model", pa.struct([("style", text), ("ground_truth", text)])),
            ("agent_name", text),
            ("extra_info", pa.struct([("index", pa.int64()), ("split", text)])),
            ("dfgen", pa.struct(list_stored_fields())),
        ]
    )


def write_rows(examples: Iterable[Example], path: str | Path, *, temperature: float = 1.0) -> int:
    """Write examples to a Parquet file, a few at a time.

    The pictures of a prompt are stored once per row group, however many answers it has.

    Args:
        examples: of `make_examples`.
        path: of the file; one that is there is replaced.
        temperature: that `make_examples` was given; a trainer with another one refuses the rows.

    Returns:
        The number of rows.

    Raises:
        InputError: there is no example, or one whose loss is a ratio has no old log-probs.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, count = make_schema(), 0
    shared = {
        "temperature": temperature,
        "tokenizer_sha256": getattr(examples, "tokenizer_sha256", None),
    }
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.part")
    try:
        # Room for the pictures of a whole row group: beyond it each would be stored again.
        with (
            unfinished.open("wb") as sink,
            pq.ParquetWriter(sink, schema, dictionary_pagesize_limit=1 << 28) as writer,
        ):
            for rows in _take(_make_rows(examples, shared), ROWS_PER_GROUP):
                writer.write_table(pa.Table.from_pylist(rows, schema))
                count += len(rows)
        if not count:
            raise InputError(
                "there is no example to write.",
                hint="By this recipe nothing of the data is trained on; choose another one.",
            )
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    unfinished.replace(path)
    return count


def check_old_logprobs(example: Example) -> None:
    """Refuse an example whose ratio cannot be computed. Raises `InputError`."""
    if example.loss == "ratio" and example.old_logprobs is None:
        raise InputError(
            f"the {example.kind} answer has no old log-probs, and its loss is a ratio of them.",
            where=f"trajectory {example.trajectory_id}",
            hint="Run `dfgen score` and export again, or train repairs by likelihood: "
            "recipe.change(positive_loss='likelihood').",
        )


def mark_media(text: str) -> str:
    """Write a literal `<video>` or `<audio>` in brackets; verl would look for one to put there."""
    return text.replace("<video>", "[video]").replace("<audio>", "[audio]")


def _make_rows(examples: Iterable[Example], shared: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for index, example in enumerate(examples):
        check_old_logprobs(example)
        stored = {name: getattr(example, name, None) for name, _ in list_stored_fields()}
        yield {
            "data_source": "dfgen",
            "prompt": [
                {**each, "content": mark_media(each["content"])} for each in example.messages
            ],
            "images": example.images,
            "ability": example.kind,
            # verl demands it; nothing is graded anew.
            "reward_model": {"style": "rule", "ground_truth": ""},
            "agent_name": AGENT,
            "extra_info": {"index": index, "split": "train"},
            "dfgen": stored | shared,
        }


def _take(rows: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    from itertools import islice

    while part := list(islice(rows, size)):
        yield part
