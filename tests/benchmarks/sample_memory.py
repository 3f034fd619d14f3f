"""Peak memory of the sampling process, the engine apart, for 1,000 and for 20,000 cells.

The engine is a stub that answers at once, so everything else is under more pressure than with a
model: requests are built, draws journalled, graded, and written as fast as they can be. Every size
runs in a process of its own; its prompts are read by another one before.

    .venv/bin/python tests/benchmarks/sample_memory.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

SIZES = (1_000, 5_000, 20_000)
SAMPLES = 8
ALLOWED = 0.10


def make(cells: int) -> Any:
    from tests.support.stub_engine import make_pipeline

    return make_pipeline(
        prompts={"count": cells // SAMPLES, "shard_size": 64}, sample={"num_samples": SAMPLES}
    )


def ingest(root: Path, cells: int) -> None:
    from dfgen.stages.ingest import run_prompts
    from dfgen.stages.session import Session
    from dfgen.store.run import Run

    pipeline = make(cells)
    run = Run.open_or_create(root, pipeline)
    with run.lock():
        run_prompts(Session(run, pipeline))


def sample(root: Path, cells: int) -> None:
    """Sample the whole run, then print this process's peak memory in MiB."""
    from dfgen.engines.base import Request
    from dfgen.stages.sample.stage import run_sampling
    from dfgen.stages.session import Session
    from dfgen.stages.work import open_graders
    from dfgen.store.counts import count_rows
    from dfgen.store.run import Run
    from tests.support.stub_engine import StubEngine

    def answer(request: Request) -> str:
        return f"Step 1: red circles: there are {request.seed % 5}. " * 6 + "Answer: 3"

    pipeline = make(cells)
    run = Run.open_or_create(root, pipeline)
    engine = StubEngine(answer, batch=64)
    engine.keep_asked = False
    with run.lock():
        session = Session(run, pipeline)
        run.check_stage("sample", pipeline, {})
        with open_graders(session.pipeline.grade) as pool:
            run_sampling(session, engine, pool, session.list_unfinished("sample"))
        session.close()
    assert count_rows(run)["sample"]["pending"] == 0
    status = Path("/proc/self/status").read_text("ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(
        json.dumps(
            {"rows": count_rows(run)["sample"]["output"], "mib": int(peak.split()[1]) / 1024}
        )
    )


def call(*arguments: str) -> str:
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", nargs="?", choices=("ingest", "sample"))
    parser.add_argument("--root", type=Path)
    parser.add_argument("--cells", type=int)
    options = parser.parse_args()
    if options.work:
        {"ingest": ingest, "sample": sample}[options.work](options.root, options.cells)
        return 0
    peaks = {}
    for cells in SIZES:
        with tempfile.TemporaryDirectory(prefix="dfgen-bench-") as folder:
            where = ("--root", f"{folder}/run", "--cells", str(cells))
            call("ingest", *where)
            peaks[cells] = json.loads(call("sample", *where).splitlines()[-1])["mib"]
    growth = peaks[SIZES[-1]] / peaks[SIZES[0]] - 1
    print(
        json.dumps(
            {
                "peak_mib": {str(cells): round(peak, 1) for cells, peak in peaks.items()},
                "growth": round(growth, 3),
                "allowed": ALLOWED,
                "met": abs(growth) <= ALLOWED,
            }
        )
    )
    return 0 if abs(growth) <= ALLOWED else 1


if __name__ == "__main__":
    raise SystemExit(main())
