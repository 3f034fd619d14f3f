"""Keeps one row per finished run: a small file each, merged into results.parquet.

Two processes may work side by side: a run is claimed by a lock that ends with its process, and a
row is a file of its own until `merge` collects them. A run whose row is there is not done again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.study.settings import LOOP_VERSION, Settings

FOLDER = Path(__file__).parent


class Results:
    """The rows of a folder: results.parquet and the files that are not merged yet."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.table = folder / "results.parquet"
        self.fresh = folder / "fresh"
        self.claims = folder / "claims"
        for path in (self.fresh, self.claims):
            path.mkdir(parents=True, exist_ok=True)

    def read(self) -> list[dict[str, Any]]:
        """Return all rows, merged or not; of two rows of one run the first."""
        rows = pq.read_table(self.table).to_pylist() if self.table.exists() else []
        rows += [json.loads(path.read_text("utf-8")) for path in sorted(self.fresh.glob("*.json"))]
        by_run: dict[tuple[str, int], dict[str, Any]] = {}
        for row in rows:
            by_run.setdefault((row["hash"], row["seed"]), row)
        return list(by_run.values())

    def done(self) -> set[tuple[str, int]]:
        """Return the runs that have a row, as (hash of the settings, seed)."""
        return {(row["hash"], row["seed"]) for row in self.read()}

    @contextmanager
    def claim(self, settings: Settings, seed: int) -> Iterator[bool]:
        """Hold a run while it is worked on; false where another process does, or it is done."""
        path = self.claims / f"{settings.hash}-{seed}.lock"
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield (settings.hash, seed) not in self.done()
            path.unlink(missing_ok=True)

    def add(self, settings: Settings, seed: int, figures: dict[str, Any]) -> None:
        """Write one row; it is there whole or not at all."""
        row = {"hash": settings.hash, "seed": seed, "loop": LOOP_VERSION}
        self._write(row | asdict(settings) | figures)

    def _write(self, row: dict[str, Any]) -> None:
        path = self.fresh / f"{row['hash']}-{row['seed']}.json"
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(row), encoding="utf-8")
        part.replace(path)

    def take_over(self, other: Results) -> int:
        """Add the rows of another folder that this one lacks; return how many."""
        done = self.done()
        rows = [row for row in other.read() if (row["hash"], row["seed"]) not in done]
        for row in rows:
            kept = {name: value for name, value in row.items() if value is not None}
            self._write(kept)
        self.merge()
        return len(rows)

    def merge(self) -> int:
        """Put all rows into results.parquet; return how many there are."""
        with (self.claims / "merge.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Listed before they are read: what arrives meanwhile waits for the next time.
            files = sorted(self.fresh.glob("*.json"))
            rows = sorted(self.read(), key=lambda row: json.dumps(row, sort_keys=True))
            if rows:
                part = self.table.with_suffix(".part")
                table = pa.Table.from_pylist(rows, schema=find_schema(rows))
                pq.write_table(table, part, compression="zstd")
                part.replace(self.table)
            for path in files:
                path.unlink()
        return len(rows)


def find_schema(rows: list[dict[str, Any]]) -> pa.Schema:
    """Return a schema with every column of any row, in the order of the longest."""
    names = list(max(rows, key=len))
    names += sorted({name for row in rows for name in row} - set(names))
    fields = []
    for name in names:
        values = [row[name] for row in rows if row.get(name) is not None]
        fields.append(pa.field(name, pa.array(values).type))
    return pa.schema(fields)
