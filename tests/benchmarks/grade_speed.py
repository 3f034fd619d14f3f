"""How long grading takes for each row, in this checkout and in another one.

    python tests/benchmarks/grade_speed.py --data /path/to/data [--cases FILE] [--against DIR]

Every row is graded in this process, as the calling process and the workers of a pool would do it
together: first what needs no algebra, then the algebra. Each checkout runs in processes of its
own, in turn, several times; the fastest round of each counts, since a busy machine only adds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_ROUNDS = 3
_SLOWEST = 2.0  # seconds for one row: what a pool would have killed is not measured


def read_rows(data: Path, cases: Path | None) -> list[tuple[str, str, str, list[str]]]:
    """Return (completion, answer, answer type, choices) of all sets."""
    rows: list[tuple[str, str, str, list[str]]] = []

    def read(path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]

    if cases is not None:
        rows += [
            (r["completion"], r["answer"], "auto", r.get("choices") or []) for r in read(cases)
        ]
    for row in read(data / "mathv" / "outputs.jsonl"):
        rows.append((row["response"], row["gold_answer"], "auto", row["options"] or []))
    for row in read(data / "answers" / "math_verify_cases.jsonl"):
        if "gold" in row:
            rows.append((row["pred"], row["gold"], "math", []))
    return rows


def measure(rows: list[tuple[str, str, str, list[str]]]) -> float:
    """Return seconds for each row in this process, without the start of the algebra."""
    from dfgen.config.grade import GradeConfig
    from dfgen.grade import grade

    config = GradeConfig()
    grade(r"\boxed{\int_0^1 x dx + \sqrt{2}}", r"\sqrt{3}", answer_type="math", config=config)
    spent = 0.0
    for completion, answer, kind, choices in rows:
        start = time.process_time()
        grade(completion, answer, answer_type=kind, choices=tuple(choices), config=config)
        spent += min(time.process_time() - start, _SLOWEST)
    return spent / len(rows)


def run_checkout(folder: Path, arguments: list[str]) -> float:
    """Return seconds for each row with the package of another folder."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, __file__, *arguments, "--inner"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout.split()[-1])


def main() -> int:
    """Print microseconds for each row, and the ratio where there is another checkout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with answers/ and mathv/")
    parser.add_argument("--cases", type=Path, help="graded answers as JSON lines, graded as well")
    parser.add_argument("--against", type=Path, help="root of another checkout")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    rows = read_rows(options.data, options.cases)
    if options.inner:
        print(measure(rows))
        return 0
    arguments = ["--data", str(options.data)]
    arguments += ["--cases", str(options.cases)] if options.cases else []
    here = Path(__file__).resolve().parents[2]
    folders = [here] + ([options.against.resolve()] if options.against else [])
    best = {folder: float("inf") for folder in folders}
    for _ in range(_ROUNDS):
        for folder in folders:
            best[folder] = min(best[folder], run_checkout(folder, arguments))
    for folder, seconds in best.items():
        print(f"{seconds * 1e6:8.0f} µs a row ({len(rows)} rows): {folder}")
    if options.against:
        print(f"ratio {best[here] / best[folders[1]]:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
