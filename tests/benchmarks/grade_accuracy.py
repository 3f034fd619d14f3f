"""How often dfgen's verdicts agree with other people's.

    python tests/benchmarks/grade_accuracy.py --data /path/to/data [--show]

Two measures:

1. `answers/math_verify_cases.jsonl`: 276 cases of the tests of Math-Verify, graded by the math
   grader with the arguments that each row names. Rows without a reference answer do not count: they
   list what a parser must extract, not whether an answer is right.
2. `mathv/outputs.jsonl`: 180 answers of three VLMs with the verdict of the benchmark's own
   evaluator, graded by the auto grader with dfgen's defaults.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from dfgen.config.grade import GradeConfig
from dfgen.grade import GradeItem, GradePool, Verdict

# Row 188 quotes the source of an f-string; its value is what the test compares.
_EVALUATED = {
    "f'{math.sqrt(17):.15f}'": f"{math.sqrt(17):.15f}",
    "f'$\\\\sqrt{{17}}$'": "$\\sqrt{17}$",
}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def make_config(row: dict[str, Any]) -> GradeConfig:
    """Return the configuration that a row of Math-Verify's tests asks for."""
    arguments = row["kwargs_in_test"]
    return GradeConfig(
        math_targets=tuple(arguments.get("match_types", ("latex", "expr"))),
        math_precision=arguments.get("precision", row.get("precision", 6)),
        math_strict=row.get("strict", True),
        math_set_relations=row.get("allow_set_relation_comp", False),
    )


def measure_math_verify(path: Path, show: bool) -> tuple[int, int]:
    """Print the agreement with the cases of Math-Verify; return (agreed, counted)."""
    rows = read_rows(path)
    counted = [row for row in rows if "gold" in row]
    left_out = Counter(f"{row['file']}::{row['test']}" for row in rows if "gold" not in row)
    by_config: dict[GradeConfig, list[dict[str, Any]]] = defaultdict(list)
    for row in counted:
        by_config[make_config(row)].append(row)
    agreed = 0
    for config, group in by_config.items():
        items = [
            GradeItem(
                _EVALUATED.get(row["pred"], row["pred"]),
                _EVALUATED.get(row["gold"], row["gold"]),
                "math",
            )
            for row in group
        ]
        with GradePool(config) as pool:
            for row, verdict in zip(group, pool.grade_many(items), strict=True):
                expected = bool(row.get("expected", row.get("result")))
                agreed += verdict.correct is expected
                if verdict.correct is not expected and show:
                    _show(f"{row['test']}[{row['i']}]", row["pred"], expected, verdict)
    print(f"math-verify cases: {agreed} of {len(counted)} agree ({len(rows)} rows)")
    for name, count in left_out.items():
        print(
            f"  {count} rows do not count: {name} has no reference answer (what a parser extracts)"
        )
    return agreed, len(counted)


def measure_mathv(path: Path, show: bool) -> tuple[int, int]:
    """Print the agreement with the verdicts of MATH-V; return (agreed, counted)."""
    rows = read_rows(path)
    items = [
        GradeItem(row["response"], row["gold_answer"], "auto", tuple(row["options"] or ()))
        for row in rows
    ]
    table: Counter[tuple[bool, bool]] = Counter()
    methods: Counter[str] = Counter()
    with GradePool(GradeConfig()) as pool:
        for row, verdict in zip(rows, pool.grade_many(items), strict=True):
            table[(row["correct"], verdict.correct)] += 1
            methods[verdict.method] += 1
            if verdict.correct is not row["correct"] and show:
                options = f"{row['options']} " if row["options"] else ""
                name = f"{row['id']} {options}theirs: {row['extracted_answer'][:60]!r}"
                _show(name, row["response"][-160:], row["correct"], verdict)
    agreed = table[(True, True)] + table[(False, False)]
    print(f"MATH-V verdicts: {agreed} of {len(rows)} agree ({agreed / len(rows):.3f})")
    print(f"  only dfgen says right: {table[(False, True)]}, only MATH-V: {table[(True, False)]}")
    print("  answers found by: " + ", ".join(f"{name} {n}" for name, n in methods.most_common()))
    return agreed, len(rows)


def _show(name: str, text: str, expected: bool, verdict: Verdict) -> None:
    print(f"  - {name}\n    text     {text!r}\n    theirs   {expected}")
    print(f"    dfgen    {verdict.correct}: {verdict.extracted!r} ({verdict.method})")
    print(f"    answer   {verdict.expected!r}; {verdict.detail}")


def main() -> int:
    """Run both measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with answers/ and mathv/")
    parser.add_argument("--show", action="store_true", help="print the rows that disagree")
    options = parser.parse_args()
    start = time.perf_counter()
    measure_math_verify(options.data / "answers" / "math_verify_cases.jsonl", options.show)
    measure_mathv(options.data / "mathv" / "outputs.jsonl", options.show)
    print(f"{time.perf_counter() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
