"""What very long answers cost to look at: drawn in a terminal, and on the page of a report.

    python tests/benchmarks/long_answers.py [--rows 8] [--kilobytes 400]

Every row is laid out twice in one process by turns: cut to what stands around its edits, as dfgen
does, and whole, as it did before. Prints CPU seconds of both and their ratio. Exit code 1: cut
rows take more than a fifth of the time of whole ones.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rich.console import Console

from dfgen.report import trajectory
from dfgen.report.embedding import pack_json
from dfgen.report.page_data import describe_details
from dfgen.report.samples import Sample
from dfgen.report.trajectory import SampleView
from dfgen.report.view import LONGEST, build_view
from tests.report.hostile import make_mask_row

WORDS = ["the", "red", "square", "lies", "left", "of", "a", "circle", "so", "count\n"]
WHOLE = 1 << 30
GOAL = 0.2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--kilobytes", type=int, default=400)
    options = parser.parse_args()
    samples = [make_sample(seed, options.kilobytes * 1000) for seed in range(options.rows)]
    tasks: dict[str, Callable[[Sample, bool], object]] = {"terminal": draw, "report": describe}
    worst = 0.0
    for name, task in tasks.items():
        spent = {True: 0.0, False: 0.0}
        for sample in samples:
            for cut in (True, False):
                began = time.process_time()
                task(sample, cut)
                spent[cut] += time.process_time() - began
        ratio = spent[True] / spent[False]
        worst = max(worst, ratio)
        print(
            f"{name}: {options.rows} rows of {options.kilobytes} kB: whole {spent[False]:.2f} s, "
            f"cut {spent[True]:.2f} s of CPU, ratio {ratio:.3f}"
        )
    return int(worst > GOAL)


def make_sample(seed: int, size: int) -> Sample:
    rng = random.Random(seed)
    text = [rng.choice(WORDS) for _ in range(size // 5)]
    other = list(text)
    other[len(other) // 2] = "eleven"
    row: dict[str, Any] = make_mask_row(" ".join(text), " ".join(other))
    prompt = {"question": "How many?", "answer": "3", "choices": []}
    return Sample(row, prompt, None, None, None, {0: 0.0})


def draw(sample: Sample, cut: bool) -> None:
    kept = trajectory.LONGEST
    trajectory.LONGEST = kept if cut else WHOLE
    try:
        Console(file=io.StringIO(), width=140).print(SampleView(sample))
    finally:
        trajectory.LONGEST = kept


def describe(sample: Sample, cut: bool) -> None:
    pack_json([describe_details(sample, build_view(sample.mask, LONGEST if cut else WHOLE))])


if __name__ == "__main__":
    raise SystemExit(main())
