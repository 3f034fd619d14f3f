"""How long a run with many finished shards takes to begin again, on a disk and from a bucket.

A run of one prompt a shard is sampled on a disk until its engine dies, so that the notes of all
finished shards lie beside each other and run.json has none of them: the dearest way to begin. It is
copied into a bucket of a real S3 server on this machine (moto's). Then both are begun again, the
bucket from a machine that has nothing of it, up to the first request to the engine. Needed with
2,000 shards: 5 s on the disk, 20 s from the bucket.

    .venv/bin/python tests/benchmarks/bucket_start.py
    .venv/bin/python tests/benchmarks/bucket_start.py --shards 500
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from dfgen.config.pipeline import Pipeline
from dfgen.errors import EngineError
from dfgen.runners.local import run_stages
from dfgen.stages.sample import stage as sample_stage
from dfgen.stages.session import Session
from dfgen.store.bucket.address import parse_address
from dfgen.store.bucket.mounting import STAGING, mount
from dfgen.store.bucket.opening import open_objects
from dfgen.store.run import Run
from tests.support.s3_server import S3Server
from tests.support.stub_engine import POLICY, StubEngine
from tests.support.word_graders import LOOSE

MOST_S = {"disk": 5.0, "bucket": 20.0}


class AskedError(Exception):
    """The engine was asked for the first time."""


class Waiting(StubEngine):
    """An engine that only says that it was asked."""

    def generate(self, requests: Any) -> Any:
        """Raise `AskedError` at the first request."""
        next(iter(requests))
        raise AskedError


@contextmanager
def use_engine(engine: StubEngine) -> Iterator[None]:
    """Let the sample stage have an engine."""
    real = sample_stage.open_lane

    @contextmanager
    def open_it(*args: object, **kwargs: object) -> Iterator[Any]:
        yield engine

    sample_stage.open_lane = open_it  # type: ignore[assignment]
    try:
        yield
    finally:
        sample_stage.open_lane = real


def make_pipeline(folder: Path, shards: int) -> Pipeline:
    """A pipeline of one question a shard, and one shard more than will be finished."""
    source = folder / "questions.jsonl"
    rows = [{"question": f"What is thing {i}?", "answer": "fine"} for i in range(shards + 1)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Pipeline.model_validate(
        {
            "prompts": {
                "source": "jsonl",
                "path": str(source),
                "images": {"min_per_prompt": 0},
                "shard_size": 1,
            },
            "policy": {"engine": "transformers", "model": str(POLICY)},
            "sample": {"num_samples": 1, "max_tokens": 64},
            "grade": {"grader": LOOSE},
        }
    )


def begin(root: Path, pipeline: Pipeline | None) -> None:
    """Begin or go on with a run until its engine ends it."""
    run = Run.open_or_create(root, pipeline)
    with run.lock(), suppress(AskedError, EngineError):
        run_stages(Session(run, pipeline or run.read_pipeline()), ("prompts", "sample"))


def copy_to_bucket(root: Path, address: str) -> int:
    """Copy a run directory into a bucket; returns the number of objects."""
    objects = open_objects(parse_address(address))
    files = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: objects.put(path.relative_to(root).as_posix(), path), files))
    return len(files)


def measure(shards: int) -> dict[str, float]:
    """Seconds until the first request, on the disk and from the bucket."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = S3Server(folder / "log")
        try:
            os.environ |= {**server.environment, STAGING: str(folder / "machine")}
            pipeline, local = make_pipeline(folder, shards), folder / "run"
            with use_engine(StubEngine(lambda _: "It is fine", batch=1, die_after=shards)):
                begin(local, pipeline)
            address = f"{server.make_bucket()}/run"
            done = len(list((local / "journal").glob("sample-*.done.json")))
            print(f"{done:,} finished shards, {copy_to_bucket(local, address):,} objects")
            found = {}
            with use_engine(Waiting(lambda _: "")):
                for place, open_root in (
                    ("disk", lambda: local),
                    ("bucket", lambda: mount(address).root),
                ):
                    start = time.monotonic()
                    begin(open_root(), None)
                    found[place] = time.monotonic() - start
            return found
        finally:
            server.close()


def main() -> None:
    """Print the seconds; exit code 1 if they are more than needed with 2,000 shards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=2_000)
    shards = parser.parse_args().shards
    found = measure(shards)
    for place, seconds in found.items():
        print(f"{place:<8}{seconds:6.1f} s to the first request (needed: {MOST_S[place]:.0f} s)")
    raise SystemExit(any(seconds > MOST_S[place] for place, seconds in found.items()))


if __name__ == "__main__":
    main()
