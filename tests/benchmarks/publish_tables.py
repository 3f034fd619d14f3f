"""Published Parquet: speed of writing, bytes per trajectory, speed of loading.

Every figure is a ratio or rate within one run on one machine. Writing is compared in processor time
(`cpu_ratio`), which other work on the machine leaves nearly alone, and in time on the wall, which
holds on an idle machine only:
    python tests/benchmarks/publish_tables.py [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dfgen.export.load import load_groups
from dfgen.export.tables import TABLES
from dfgen.export.writing import write_files

TOKENS, SAMPLES, PICTURE = 512, 8, 200_000
VOCABULARY = 150_000


def make_groups(prompts: int, picture: int, seed: int = 0) -> pa.Table:
    """Groups of 8 trajectories of 512 tokens: zipf ids, random logprobs, masks in spans."""
    rng = np.random.default_rng(seed)
    rows = prompts * SAMPLES
    total = rows * TOKENS
    offsets = pa.array(np.arange(0, total + 1, TOKENS), pa.int32())
    ids = np.minimum(rng.zipf(1.3, total), VOCABULARY).astype(np.int32)
    logprobs = -rng.exponential(0.3, total).astype(np.float32)
    mask = np.repeat(rng.random(total // 16) < 0.25, 16)
    widths = rng.integers(1, 7, (rows, TOKENS + 1)).astype(np.int32)
    widths[:, 0] = 0
    edges = pa.array(np.arange(0, rows * (TOKENS + 1) + 1, TOKENS + 1), pa.int32())
    steps = np.tile(np.arange(TOKENS) // 64, rows).astype(np.int16)
    words = [f"word{i}" for i in range(2000)]
    picks = rng.integers(0, 2000, (rows, 90))
    schema = TABLES["groups"].make_schema("0" * 64)
    inner = schema.field("trajectories").type.value_type
    lists: dict[str, Any] = {
        "trajectory_id": pa.array([f"p{i // SAMPLES:031d}-{i % SAMPLES}" for i in range(rows)]),
        "sample_index": pa.array(np.tile(np.arange(SAMPLES), prompts).astype(np.int32)),
        "completion_text": pa.array([" ".join(words[j] for j in row) for row in picks]),
        "completion_ids": pa.ListArray.from_arrays(offsets, pa.array(ids)),
        "logprobs": pa.ListArray.from_arrays(offsets, pa.array(logprobs)),
        "reward": pa.array(rng.integers(0, 2, rows).astype(np.float32)),
        "loss_mask": pa.ListArray.from_arrays(offsets, pa.array(mask)),
        "token_ops": pa.ListArray.from_arrays(offsets, pa.array(mask.astype(np.int8))),
        "token_bytes": pa.ListArray.from_arrays(edges, pa.array(widths.cumsum(1).ravel())),
        "step_ids": pa.ListArray.from_arrays(offsets, pa.array(steps)),
    }
    fields = [lists.get(f.name, pa.nulls(rows, f.type)).cast(f.type) for f in inner]
    nested = pa.StructArray.from_arrays(fields, [f.name for f in inner])
    groups = pa.array(np.arange(0, rows + 1, SAMPLES), pa.int32())
    pictures = [
        [{"bytes": rng.bytes(picture), "path": None}] if picture else [] for _ in range(prompts)
    ]
    columns: dict[str, Any] = {
        "prompt_id": pa.array([f"p{i:031d}" for i in range(prompts)]),
        "problem": pa.array(["<image>How many red circles are there?"] * prompts),
        "images": pa.array(pictures, schema.field("images").type),
        "trajectories": pa.ListArray.from_arrays(groups, nested),
    }
    arrays = [columns.get(f.name, pa.nulls(prompts, f.type)) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def measure_writing(folder: Path, rounds: int = 15) -> dict[str, float]:
    """Our writer (hash included) against `pyarrow.parquet.write_table` with its defaults.

    Both in turns, the best of all rounds of each; with pictures and without, since what ours does
    more (zstd, content-defined chunks, checksums) weighs differently on tokens and on pictures.
    """
    found: dict[str, float] = {}
    for name, picture in (("tokens", 0), ("pictures", 100_000)):
        table = make_groups(400, picture)

        def write_ours(table: pa.Table = table) -> None:
            write_files([table], table.schema, folder / "ours")

        def write_plain(table: pa.Table = table) -> None:
            pq.write_table(table, folder / "plain.parquet")

        pairs = [(clock(write_ours), clock(write_plain)) for _ in range(rounds)]
        (our_wall, plain_wall), (our_cpu, plain_cpu) = (
            [min(pair[side][kind] for pair in pairs) for side in (0, 1)] for kind in (0, 1)
        )
        found |= {
            f"{name}_mb_per_cpu_s": table.nbytes / 1e6 / our_cpu,
            f"{name}_write_cpu_ratio": plain_cpu / our_cpu,
            f"{name}_write_wall_ratio": plain_wall / our_wall,
        }
    return found


def clock(action: Callable[[], None]) -> tuple[float, float]:
    """Seconds on the wall and of this process's processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure_bytes(folder: Path) -> dict[str, float]:
    """Bytes per trajectory with a picture of 200 kB, against picture / 8 + 4 bytes a token."""
    table = make_groups(200, PICTURE)
    files = write_files([table], table.schema, folder / "size")
    found = sum(file.size for file in files) / (200 * SAMPLES)
    ideal = PICTURE / SAMPLES + 4 * TOKENS
    return {"bytes_per_trajectory": found, "ideal_bytes": ideal, "bytes_ratio": found / ideal}


def measure_loading(folder: Path, rounds: int = 5) -> dict[str, float]:
    """Trajectories per second from Parquet to torch tensors: ids, mask, logprobs, reward."""
    import torch

    torch.set_num_threads(1)
    table = make_groups(1000, 0)
    write_files([table], table.schema, folder / "load")
    names = ("completion_ids", "loss_mask", "logprobs", "reward")

    def load() -> None:
        for row in load_groups(folder / "load", columns=[f"trajectories.{n}" for n in names]):
            for trajectory in row["trajectories"]:
                for name in names[:3]:
                    torch.as_tensor(trajectory[name].copy())

    wall, cpu = (min(times) for times in zip(*(clock(load) for _ in range(rounds)), strict=True))
    count = table.num_rows * SAMPLES
    return {"loaded_per_cpu_s": count / cpu, "loaded_per_wall_s": count / wall}


TARGETS = {
    "tokens_write_cpu_ratio": (">=", 0.6),
    "pictures_write_cpu_ratio": (">=", 0.6),
    "bytes_ratio": ("<=", 1.15),
    "loaded_per_cpu_s": (">=", 20_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = measure_writing(folder) | measure_bytes(folder) | measure_loading(folder)
    if asked.json:
        print(json.dumps(found))
    missed = []
    for key, value in found.items():
        sign, target = TARGETS.get(key, ("", 0))
        good = not sign or (value >= target if sign == ">=" else value <= target)
        missed += [] if good else [key]
        if not asked.json:
            wanted = f"   ({sign} {target:,}{'' if good else ', MISSED'})" if sign else ""
            print(f"{key:28} {value:12,.2f}{wanted}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
