"""Files of requests with pictures are written in at most twice the time of copying their bytes.

    python tests/benchmarks/batch_files.py --requests 50000
    python tests/benchmarks/batch_files.py --requests 5000 --folder /tmp

Each request holds a picture of 200 kB, the same for the four wrong answers of a prompt. Rows are
written as the batch lane writes them (JSON, base64, hash, cut at 200 MB), then the files are copied
and nothing else. Both times are wall and processor seconds of one run; memory is the peak of the
process. Then a file of as many results is read as the lane reads it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from dfgen.config.batch import BatchConfig
from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Decoding, ImageData, Message, Request
from dfgen.engines.openai.batch.openai_form import OpenAIForm
from dfgen.engines.openai.batch.providers import find_limits
from dfgen.engines.openai.batch.request_file import RequestFile, RowWriter
from dfgen.engines.openai.batch.results import Asked, Harvest
from dfgen.engines.openai.endpoint import Endpoint
from tests.support.loopback import write_completion

PICTURE = 200_000
ANSWERS = 4
POOL = 64


def make_requests(count: int) -> Iterator[Request]:
    """Requests in the order of their prompts."""
    pool = [os.urandom(PICTURE) for _ in range(POOL)]
    text = "Correct the student's answer with the smallest possible edit. " * 30
    for number in range(count):
        prompt = number // ANSWERS
        image = ImageData(pool[prompt % POOL], f"{prompt:064x}", "image/png")
        content = (image, f"{text}\nQuestion {prompt}\nAnswer {number}")
        yield Request(
            f"{prompt:032x}-{number % ANSWERS}_r0",
            (Message("user", content),),
            Decoding(temperature=0.0, max_tokens=2048),
            seed=number,
        )


def write_files(folder: Path, count: int, config: OpenAIConfig) -> list[Path]:
    """Write all rows, as `BatchEngine` does."""
    form, writer, limits = OpenAIForm(config.batch), RowWriter(), find_limits(config.batch)
    files: list[RequestFile] = []
    for request in make_requests(count):
        row = form.write_row(writer, config, request)
        if not files or not files[-1].has_room(row):
            if files:
                files[-1].close()
            files.append(RequestFile(folder / f"{len(files):05d}.jsonl", *limits))
        files[-1].add(row)
    files[-1].close()
    assert sum(file.pictures for file in files) == count
    assert len({file.sha256 for file in files}) == len(files)
    return [file.path for file in files]


def read_results(folder: Path, count: int, config: OpenAIConfig) -> float:
    """Read a file of results; rows a second of processor time."""
    path = folder / "results.jsonl"
    body = write_completion("<corrected>" + "Step 1: there are 4. " * 40 + "</corrected>")
    names = [f"{number // ANSWERS:032x}-{number % ANSWERS}_r0" for number in range(count)]
    with path.open("w") as file:
        for name in reversed(names):
            response = {"status_code": 200, "request_id": "r", "body": body}
            row = {"custom_id": name, "response": response, "error": None}
            file.write(json.dumps(row) + "\n")
    asked = {name: Asked(name, 2048, 1, schema=False) for name in names}
    form, endpoint = OpenAIForm(config.batch), Endpoint("", "")
    harvest = Harvest(config, form, endpoint, asked, dict.fromkeys(names))
    start = time.process_time()
    assert sum(1 for _ in harvest.read_file(path)) == count
    return count / (time.process_time() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    config = OpenAIConfig(model="m", lane="batch", batch=BatchConfig())
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        clocks = [(time.perf_counter(), time.process_time())]
        paths = write_files(folder, arguments.requests, config)
        clocks.append((time.perf_counter(), time.process_time()))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = sum(path.stat().st_size for path in paths)
        for path in paths:
            with path.open("rb") as source, (folder / "copy").open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        clocks.append((time.perf_counter(), time.process_time()))
        rate = read_results(folder, arguments.requests, config)
    (wall, cpu), (copy_wall, copy_cpu) = (
        (after[0] - before[0], after[1] - before[1]) for before, after in pairwise(clocks)
    )
    print(f"{arguments.requests:,} requests, {len(paths)} files, {size / 1e9:.2f} GB")
    print(f"written in {wall:.1f} s ({cpu:.1f} s of processor), copied in {copy_wall:.1f} s "
          f"({copy_cpu:.1f} s)")  # fmt: skip
    print(f"writing / copying: {wall / copy_wall:.2f}; peak memory {memory:,.0f} MB")
    print(f"results read: {rate:,.0f} a second of processor time")


if __name__ == "__main__":
    main()
