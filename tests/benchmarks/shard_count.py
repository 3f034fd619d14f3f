"""What handing out a shard costs as their number grows: files looked at, names, bytes of run.json.

Claim: of one worker and of two, from 250 shards to 4,000 nothing grows by more than 1.3 a shard.

    PYTHONPATH=. python tests/benchmarks/shard_count.py [--shards 250 1000 4000]
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.support.many_shards import make_run


def measure(shards: int, workers: int) -> Counter[str]:
    """Count the calls of all workers on a new run."""
    with tempfile.TemporaryDirectory() as folder:
        root = make_run(Path(folder) / "run", shards)
        command = [sys.executable, "-m", "tests.support.many_shards", str(root)]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(workers)]
        said = [process.communicate()[0] for process in started]
    return sum((Counter(ast.literal_eval(each.decode())) for each in said), Counter[str]())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[250, 1000, 4000])
    options = parser.parse_args()
    for workers in (1, 2):
        found = {shards: measure(shards, workers) for shards in options.shards}
        print(f"{workers} workers, per shard:", *found, "grows", sep="\t")
        for what in sorted({key for each in found.values() for key in each}):
            per = [counts[what] / shards for shards, counts in found.items()]
            print(what, *(f"{value:.2f}" for value in per), f"{per[-1] / per[0]:.2f}", sep="\t")


if __name__ == "__main__":
    main()
