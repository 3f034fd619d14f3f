"""How many requests a run in a bucket makes of its store: for each shard, and for each start.

Runs of two sizes are made in a bucket of a real S3 server on this machine (moto's), one stage after
the other, by one process alone and by one that shares the run; the models are scripted. A proxy
counts the requests. What the larger run makes more is put down to its shards, the rest to the
start. At the end a machine that has nothing of the run begins it again, finished as it is.

    PYTHONPATH=. python tests/benchmarks/bucket_requests.py
    PYTHONPATH=. python tests/benchmarks/bucket_requests.py --shards 40 --by-folder
    PYTHONPATH=. python tests/benchmarks/bucket_requests.py --looks     a large run

Stores bill `PUT`, `LIST`, `POST` and copies at one price, `GET` and `HEAD` at a tenth of it or
less, and no deletion. Not counted are segments of journals that work for longer than 30 seconds or
8 paid answers. Claims: of listings a shard takes less than one, whoever works on it; and a look at
the shards of a claim in a large run a fifth of a look at the run.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dfgen.store.bucket.mirror import Mirror
from dfgen.store.layout import MANIFEST
from tests.support.bucket_runs import move_to
from tests.support.bucket_worker import REPAIRS, WORDS
from tests.support.memory_objects import MemoryObjects
from tests.support.s3_proxy import S3Proxy
from tests.support.s3_server import S3Server, make_environment
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.scripted_runs import invoke

KINDS = ("PUT", "GET", "LIST", "HEAD", "DELETE")
STEPS = ("sample", "repair", "mask", "run")
PROMPTS = 2
"""In a shard."""
LARGE = 200_000
"""Objects of a run for which looks are measured."""

Counts = dict[str, Counter[tuple[str, str]]]
"""Of each step: requests by kind and by the folder of what was asked for."""


def name_request(method: str, path: str) -> tuple[str, str]:
    """Kind of a request, and the folder of the run that it is about."""
    parts = urlsplit(path)
    query = parse_qs(parts.query, keep_blank_values=True)
    key = parts.path.strip("/").split("/")[2:]  # bucket, run
    if "delete" in query:
        return "DELETE", "?"
    if method == "GET" and "list-type" in query:
        return "LIST", query.get("prefix", [""])[0].strip("/").partition("/")[2] or "."
    return method, "/".join(key[:2] if key[:1] == ["shared"] else key[:1]) or "?"


@contextmanager
def count_requests(proxy: S3Proxy) -> Iterator[Counter[tuple[str, str]]]:
    """Count the requests of a block."""
    found: Counter[tuple[str, str]] = Counter()

    def note(method: str, path: str) -> None:
        found[name_request(method, path)] += 1

    proxy.rule = note
    yield found
    proxy.rule = lambda method, path: None


def write_pipeline(folder: Path, shards: int) -> Path:
    """Questions for so many shards."""
    folder.mkdir(parents=True)
    tree = make_pipeline(folder, prompts={"shard_size": PROMPTS})
    assert tree.prompts is not None
    rows = [{"question": f"What is thing {i}?", "answer": "fine"} for i in range(PROMPTS * shards)]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "pipeline.yaml"
    path.write_text(json.dumps(tree.model_dump(mode="json", exclude_unset=True)), "utf-8")
    return path


def measure(folder: Path, bucket: str, proxy: S3Proxy, shards: int, *options: str) -> Counts:
    """Make a run and begin it again; returns what each step asked for."""
    address, pipeline = f"{bucket}/run", write_pipeline(folder / "questions", shards)
    found: Counts = {}
    with pytest.MonkeyPatch.context() as patch:
        Models(answer_by_index(WORDS), dict(REPAIRS)).replace_engines(patch)
        for step in STEPS:
            move_to(folder / ("fresh" if step == "run" else "staging"), patch)
            with count_requests(proxy) as found[step]:
                invoke(step, pipeline, "--out", address, "--quiet", *options)
    return found


def sum_kinds(found: Counter[tuple[str, str]]) -> Counter[str]:
    """Requests by kind alone."""
    kinds: Counter[str] = Counter()
    for (kind, _), count in found.items():
        kinds[kind] += count
    return kinds


def print_table(what: str, small: Counts, large: Counts, half: int, *, by_folder: bool) -> bool:
    """Print two lines for each step of a run of `half` shards and of one of twice as many; says
    whether a shard takes less than a listing."""
    print(f"\n{what:<24}" + "".join(f"{kind:>9}" for kind in KINDS))
    held = True
    for step in STEPS:
        name = "begun elsewhere" if step == "run" else step
        before, after = sum_kinds(small[step]), sum_kinds(large[step])
        a_shard = {kind: (after[kind] - before[kind]) / half for kind in KINDS}
        print(f"{name:<16}a shard" + "".join(f"{a_shard[kind]:>9.1f}" for kind in KINDS))
        rest = (after[kind] - 2 * half * a_shard[kind] for kind in KINDS)
        print(f"{'':<16}a start" + "".join(f"{each:>9.0f}" for each in rest))
        held &= a_shard["LIST"] < 1
        for (kind, folder), count in sorted(large[step].items() if by_folder else ()):
            print(f"    {kind:<7}{folder:<24}{count:>6} in all, before {small[step][kind, folder]}")
    return held


def measure_looks(folder: Path) -> bool:
    """Print what a look costs in a large run, whole and at the shards of a claim; says whether the
    second is a fifth. The run is in memory, so seconds are the processor's alone."""
    objects = MemoryObjects()
    objects.put(MANIFEST, b"{}\n")
    for shard in range(LARGE // 4):
        for name in ("trajectories/part", "repairs/part", "masks/part", "rejects/repair"):
            objects.put(f"{name}-{shard:05d}.parquet", b"")
    mirror = Mirror(objects, folder, alone=True)
    mirror.refresh()
    shards = list(range(20_000, 20_032))
    requests = []
    looks = (mirror.refresh, lambda: mirror.refresh_shards(shards))
    for what, look in zip(("a look at the whole run", "at 32 of its shards"), looks, strict=True):
        objects.pages, start = 0, time.process_time()
        look()
        took = time.process_time() - start
        print(f"{what:<24}{objects.pages:>6} LIST, {took:.2f} s of the processor")
        requests.append(objects.pages)
    return requests[1] <= requests[0] / 5


def main() -> None:
    """Print the requests; exit code 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shards", type=int, default=24, help="of the larger run; even")
    parser.add_argument("--by-folder", action="store_true", help="print what was asked for, too")
    parser.add_argument("--looks", action="store_true", help="measure looks at a large run")
    options = parser.parse_args()
    if options.looks:
        with tempfile.TemporaryDirectory() as name:
            raise SystemExit(not measure_looks(Path(name)))
    half, held = options.shards // 2, True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = S3Server(folder / "log")
        proxy = S3Proxy(server.endpoint)
        os.environ |= make_environment(proxy.endpoint)
        try:
            for what, words in (("one process alone", ()), ("a worker (--shared)", ("--shared",))):
                small, large = (
                    measure(folder / f"{what[:3]}{n}", server.make_bucket(), proxy, n, *words)
                    for n in (half, 2 * half)
                )
                held &= print_table(what, small, large, half, by_folder=options.by_folder)
        finally:
            proxy.close()
            server.close()
    raise SystemExit(not held)


if __name__ == "__main__":
    main()
