"""Keeps examples on disk in Arrow files, from which a trainer's loader draws them in any order.

Groups are a stream; samplers want random access. Each prompt and its pictures are written once,
however many answers and repairs it has. The files lie in a temporary folder, are mapped into memory
and are gone when the process ends. Needs the package datasets, which trainers bring along.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.trainers.carrying import carry_divisors
from dfgen.trainers.pictures import open_picture

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa
    from numpy.typing import NDArray

    from dfgen.trainers.carrying import Carried
    from dfgen.trainers.example import Example
    from dfgen.trainers.examples import Examples

EXTRAS = ("answer", "solution", "choices", "metadata")
"""Columns of a group that reward functions may want; an example does not have them."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """What replays one completion. T = len(ids).

    Attributes:
        ids: int32[T].
        advantages: float32[T], 0 wherever the loss mask is false.
        loss_mask: bool[T].
        old_logprobs: float32[T], or None where nobody knows them.
        likelihood: its loss is -sum(advantages * logp); else the trainer's objective.
        divisor: tokens that it adds to the normaliser of the batch, those of answers without a
            gradient among them (`carry_divisors`).
        answers: sampled answers that it counts for.
        reward: as graded.
        kind: right, failed or repair.
    """

    ids: NDArray[np.int32]
    advantages: NDArray[np.float32]
    loss_mask: NDArray[np.bool_]
    old_logprobs: NDArray[np.float32] | None
    likelihood: bool
    divisor: int
    answers: int
    reward: float
    kind: str


@dataclass(frozen=True)
class RowMaker:
    """Makes what a trainer sees of rows; a transform of `datasets`.

    Attributes:
        prompts: one row per prompt.
    """

    prompts: datasets.Dataset

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Return the rows with prompts, decoded pictures and a `StoredRow` each."""
        prompts = [self.prompts[number] for number in batch["prompt"]]
        made: dict[str, list[Any]] = {
            "prompt": [json.loads(prompt["prompt"]) for prompt in prompts],
            "prompt_id": [prompt["prompt_id"] for prompt in prompts],
            "trajectory_id": batch["trajectory_id"],
            "stored": list(_make_stored(batch)),
        }
        for name in EXTRAS:
            made[name] = [prompt[name] for prompt in prompts]
        if any(prompt["images"] for prompt in prompts):
            made["images"] = [[open_picture(each) for each in p["images"]] for p in prompts]
        return made


def _make_stored(batch: dict[str, list[Any]]) -> Iterator[StoredRow]:
    for index, ids in enumerate(batch["ids"]):
        old = batch["old_logprobs"][index]
        yield StoredRow(
            ids=np.asarray(ids, np.int32),
            advantages=np.asarray(batch["advantages"][index], np.float32),
            loss_mask=np.asarray(batch["loss_mask"][index], np.bool_),
            old_logprobs=None if old is None else np.asarray(old, np.float32),
            likelihood=batch["likelihood"][index],
            divisor=batch["divisor"][index],
            answers=batch["answers"][index],
            reward=batch["reward"][index],
            kind=batch["kind"][index],
        )


def store_examples(examples: Examples, extras: dict[str, dict[str, Any]]) -> datasets.Dataset:
    """Write all examples to a temporary folder.

    Args:
        examples: what is trained on.
        extras: by prompt id, the columns of `EXTRAS`.

    Returns:
        Rows with a `RowMaker` as transform, those of a prompt side by side.
    """
    import datasets
    import pyarrow as pa

    folder = Path(tempfile.mkdtemp(prefix="dfgen-rows-"))
    atexit.register(_remove, folder, os.getpid())
    prompt_file, row_file = str(folder / "prompts.arrow"), str(folder / "rows.arrow")
    with (
        pa.OSFile(os.fsencode(prompt_file), "wb") as prompt_sink,
        pa.ipc.new_stream(prompt_sink, make_prompt_schema()) as prompts,
        pa.OSFile(os.fsencode(row_file), "wb") as row_sink,
        pa.ipc.new_stream(row_sink, make_row_schema()) as rows,
    ):
        groups = map(carry_divisors, examples.keep_zero().iter_groups())
        for number, group in enumerate(filter(None, groups)):
            first = group[0].example
            prompts.write_batch(_list_prompt(first, extras.get(first.prompt_id, {})))
            rows.write_batch(_list_rows(group, number))
    made = datasets.Dataset.from_file(row_file)
    return made.with_transform(RowMaker(datasets.Dataset.from_file(prompt_file)))


def make_prompt_schema() -> pa.Schema:
    """Make the columns of prompts; `prompt` is JSON, so that blocks keep the keys they have."""
    import pyarrow as pa

    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.schema(
        [("prompt_id", pa.string()), ("prompt", pa.string()), ("images", pa.list_(picture))]
        + [(name, pa.list_(pa.string()) if name == "choices" else pa.string()) for name in EXTRAS]
    )


def make_row_schema() -> pa.Schema:
    """Make the columns of rows; `prompt` is the number of a row of prompts."""
    import pyarrow as pa

    return pa.schema(
        [
            ("prompt", pa.int64()),
            ("trajectory_id", pa.string()),
            ("kind", pa.string()),
            ("ids", pa.list_(pa.int32())),
            ("advantages", pa.list_(pa.float32())),
            ("loss_mask", pa.list_(pa.bool_())),
            ("old_logprobs", pa.list_(pa.float32())),
            ("likelihood", pa.bool_()),
            ("divisor", pa.int64()),
            ("answers", pa.int64()),
            ("reward", pa.float64()),
        ]
    )


def _list_prompt(example: Example, extras: dict[str, Any]) -> pa.RecordBatch:
    import pyarrow as pa

    # Tokenizers without pictures know no blocks.
    prompt = example.prompt if example.images else example.messages
    row = {
        "prompt_id": example.prompt_id,
        "prompt": json.dumps(prompt),
        "images": [{"bytes": each["bytes"], "path": each.get("path")} for each in example.images],
        **{name: extras.get(name) for name in EXTRAS},
    }
    return pa.RecordBatch.from_pylist([row], schema=make_prompt_schema())


def _list_rows(group: Iterable[Carried], number: int) -> pa.RecordBatch:
    import pyarrow as pa

    rows = [
        {
            "prompt": number,
            "trajectory_id": each.trajectory_id,
            "kind": each.kind,
            "ids": each.ids,
            "advantages": np.where(each.loss_mask, each.advantages, np.float32(0)),
            "loss_mask": each.loss_mask,
            "old_logprobs": each.old_logprobs,
            "likelihood": each.loss == "likelihood",
            "divisor": divisor,
            "answers": answers,
            "reward": each.reward,
        }
        for each, divisor, answers in group
    ]
    return pa.RecordBatch.from_pylist(rows, schema=make_row_schema())


def _remove(folder: Path, process: int) -> None:
    """A worker that was forked must not remove what its parent reads."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
