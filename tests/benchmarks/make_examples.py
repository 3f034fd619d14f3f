"""Examples for training: rows and tokens a second, and peak memory, by the length of answers.

Each data set has as many tokens as 100,000 answers of 512; a process of its own reads it, so that
peaks can be compared. The first pass also counts the summary and proves the files; the second is
what every later epoch costs. Processor time is that of all threads. The page cache is warm, because
the files were just written.
    python tests/benchmarks/make_examples.py [--tokens 51200000] [--lengths 512,3072,16384]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

SAMPLES, PICTURE, VOCABULARY = 8, 10_000, 150_000
FLOOR_ROWS, FLOOR_LENGTH = 20_000, 512
FLOOR = FLOOR_ROWS * FLOOR_LENGTH
"""Tokens a second that are to be passed."""

CHARACTERS = 4
"""Of text, per token."""


def main() -> None:
    """Print one line per length, or be the process that reads one data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=100_000 * 512)
    parser.add_argument("--lengths", default="512,3072,16384")
    parser.add_argument("--small", type=float, default=0.1, help="share of the run for flat memory")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(read(arguments.read)))
        return
    base: dict[str, float] = {}
    lengths = [int(word) for word in arguments.lengths.split(",")]
    for length, share in [(lengths[0], arguments.small), *((each, 1.0) for each in lengths)]:
        with tempfile.TemporaryDirectory(prefix="dfgen-examples-") as folder:
            rows = max(SAMPLES, int(arguments.tokens * share / length) // SAMPLES * SAMPLES)
            write(Path(folder), rows, length)
            command = [sys.executable, __file__, "--read", folder]
            # OMP_NUM_THREADS is also what Arrow decodes with; both cores are meant to be used.
            found = json.loads(
                subprocess.check_output(
                    command, text=True, env={**os.environ, "OMP_NUM_THREADS": "2"}
                )
            )
        size = rows * length
        own = {"cpu": found["cpu"] / size, "wall": found["second"] / size}
        if share == 1:
            base = base or own
        report(rows, length, found, base or own)


def report(rows: int, length: int, found: dict[str, float], base: dict[str, float]) -> None:
    """Print the figures of one data set, as they are and against the first of full size.

    On a busy machine only processor time and what follows from it mean something.
    """
    tokens = rows * length
    cpu, wall = found["cpu"] / tokens, found["second"] / tokens
    print(
        f"{rows:>7,} answers of {length:>6,} tokens: {1 / wall / length:>7,.0f} rows/s, "
        f"{1e-6 / wall:>5.1f} M tokens/s ({base['wall'] / wall:.2f} x); "
        f"first pass with summary and hashes {rows / found['first']:>7,.0f} rows/s; "
        f"processor {cpu * 1e9:>4.1f} ns a token ({base['cpu'] / cpu:.2f} x): "
        f"one free core does {1 / cpu / length:,.0f} rows/s, {1e-6 / cpu:.1f} M tokens/s "
        f"({1 / cpu / FLOOR:.1f} x {FLOOR_ROWS:,} rows of {FLOOR_LENGTH}); "
        f"peak {found['peak'] / 1024:.0f} MiB, {found['idle'] / 1024:.0f} of them before",
        flush=True,
    )


def read(folder: Path) -> dict[str, float]:
    """Read a data set twice; seconds, kilobytes."""
    import pyarrow.parquet  # noqa: F401

    from dfgen.trainers.examples import make_examples

    idle = find_peak()
    start = time.perf_counter()
    examples = make_examples(folder, "df+repair", say=lambda _: None)
    for _ in examples:
        pass
    first = time.perf_counter() - start
    start, used = time.perf_counter(), time.process_time()
    for _ in examples:
        pass
    second, cpu = time.perf_counter() - start, time.process_time() - used
    peak = find_peak()
    return {"first": first, "second": second, "cpu": cpu, "peak": peak, "idle": idle}


def find_peak() -> int:
    """Find the most memory that this process held, in kilobytes; Linux."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.split("VmHWM:")[1].split()[0])


def write(folder: Path, rows: int, length: int) -> None:
    """Write groups as `dfgen export` does."""
    from dfgen.export.digest import MaskDigest
    from dfgen.export.manifest import DatasetManifest, FileEntry, TableEntry
    from dfgen.export.tables import GROUPS
    from dfgen.export.writing import write_files

    digest = MaskDigest(GROUPS)
    files = write_files(make_tables(rows, length), GROUPS.make_schema("0" * 64), folder)
    entries = [
        FileEntry(path=file.path.name, rows=file.rows, size=file.size, sha256=file.sha256)
        for file in files
    ]
    table = TableEntry(
        rows=rows // SAMPLES, trajectories=rows, masks_sha256=digest.hexdigest(), files=entries
    )
    manifest = DatasetManifest(
        name="speed",
        run_created="2026-01-01T00:00:00Z",
        tokenizer={"name": "none", "sha256": "0" * 64},
        tables={"groups": table},
        origin={"sampling": {"temperature": 1.0}},
    )
    (folder / "dfgen.json").write_bytes(manifest.encode())


def make_tables(rows: int, length: int) -> Iterator[pa.Table]:
    """Groups of 8 answers, some megabytes at a time: zipf ids, masks in spans, half are wrong."""
    from dfgen.export.tables import GROUPS

    schema = GROUPS.make_schema("0" * 64)
    rng = np.random.default_rng(0)
    words = " ".join(f"word{i}" for i in rng.integers(0, 2000, 200_000))
    step = max(1, 2_000_000 // (length * SAMPLES))
    for start in range(0, rows // SAMPLES, step):
        count = min(step, rows // SAMPLES - start)
        yield make_table(schema, rng, words, start, count, length)


def make_table(
    schema: pa.Schema, rng: np.random.Generator, words: str, start: int, count: int, length: int
) -> pa.Table:
    """Make `count` groups; every second answer is wrong and repaired."""
    rows = count * SAMPLES
    total = rows * length
    wrong = np.arange(rows) % 2 == 1
    ids = np.minimum(rng.zipf(1.3, total), VOCABULARY).astype(np.int32)
    changed = np.repeat(rng.random((total + 15) // 16) < 0.1, 16)[:total]
    changed &= np.repeat(wrong, length)
    repaired = np.where(changed, ids[::-1], ids)
    logprobs = -rng.exponential(0.3, total).astype(np.float32)
    spread = np.repeat(wrong, length)
    characters = length * CHARACTERS
    places = rng.integers(0, len(words) - characters, (2, rows))
    texts = [[words[a : a + characters] for a in row] for row in places.tolist()]
    nulls = [text if bad else None for text, bad in zip(texts[1], wrong, strict=True)]
    widths = np.tile(np.arange(length + 1) * CHARACTERS, rows).astype(np.int32)

    def lists(values: Any, only_wrong: bool = False, extra: int = 0) -> pa.ListArray:
        lengths = (
            np.where(wrong, length + extra, 0) if only_wrong else np.full(rows, length + extra)
        )
        edges = np.append(0, np.cumsum(lengths)).astype(np.int32)
        offsets = pa.array(edges, mask=np.append(~wrong, False)) if only_wrong else pa.array(edges)
        return pa.ListArray.from_arrays(offsets, pa.array(values))

    columns: dict[str, Any] = {
        "trajectory_id": [f"{start + i // SAMPLES:032d}-{i % SAMPLES}" for i in range(rows)],
        "completion_text": texts[0],
        "finish_reason": ["stop"] * rows,
        "mask_source": np.where(wrong, "repair", "correct").tolist(),
        "reward": np.where(wrong, 0, 1).astype(np.float32),
        "completion_ids": lists(ids),
        "logprobs": lists(logprobs),
        "loss_mask": lists(np.where(spread, changed, True)),
        "token_ops": lists(changed[spread].astype(np.int8), True),
        "token_bytes": lists(widths, extra=1),
        "step_ids": lists(np.tile(np.arange(length) // 64, rows).astype(np.int16)),
        "repair": nulls,
        "repair_ids": lists(repaired[spread], True),
        "repair_mask": lists(changed[spread], True),
        "repair_logprobs": lists(logprobs[::-1][spread], True),
    }
    inner = schema.field("trajectories").type.value_type
    arrays = [
        pa.array(columns[f.name], f.type)
        if isinstance(columns.get(f.name), list)
        else columns[f.name].cast(f.type)
        if isinstance(columns.get(f.name), pa.Array)
        else pa.array(columns.get(f.name, [None] * rows), f.type)
        for f in inner
    ]
    nested = pa.StructArray.from_arrays(arrays, [f.name for f in inner])
    question = "How many red circles are there in this picture, and why?"
    block = [{"type": "image", "text": None}, {"type": "text", "text": question}]
    groups: dict[str, Any] = {
        "prompt_id": [f"{start + i:032d}" for i in range(count)],
        "prompt": [[{"role": "user", "content": block}]] * count,
        "messages": [[{"role": "user", "content": "<image>" + question}]] * count,
        "images": [[{"bytes": rng.bytes(PICTURE), "path": None}] for _ in range(count)],
    }
    edges = pa.array(np.arange(0, rows + 1, SAMPLES), pa.int32())
    outer = [
        pa.ListArray.from_arrays(edges, nested)
        if f.name == "trajectories"
        else pa.array(groups.get(f.name, [None] * count), f.type)
        for f in schema
    ]
    return pa.Table.from_arrays(outer, schema=schema)


if __name__ == "__main__":
    main()
