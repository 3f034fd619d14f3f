"""Repairs wrong answers by rule, as well or as badly as a study asks for.

- `perfect`: every false value put right, every other word kept.
- `fallible`: one repair in three overlooks something: a line stays or becomes false, and what
  follows is made to fit it. Verification by the final answer throws most of those out.
- `rewriter`: all true, but in phrases of its own.
A garbled answer becomes a true one in the wording that can be read of it.
"""

from __future__ import annotations

import re

import numpy as np

from tests.benchmarks.study.tasks import Problem

REPAIRERS = ("perfect", "fallible", "rewriter")
#: Share of repairs that go wrong.
FAILURES = 0.3


def repair_answer(problem: Problem, text: str, repairer: str, rng: np.random.Generator) -> str:
    """Repair one answer."""
    ideal = problem.repair(text)
    if repairer == "rewriter":
        return problem.write(rng)
    if repairer == "fallible" and rng.random() < FAILURES:
        return spoil_repair(ideal, rng)
    return ideal


def spoil_repair(repair: str, rng: np.random.Generator) -> str:
    """Shift a number of one line by one, and every later total and the answer with it.

    Each line of a chain ends with its total, so the shift is carried by the last number of all
    lines from there on. In the demo's answers only the line and the final answer change.
    """
    lines = repair.split("\n")
    places = [i for i, line in enumerate(lines[:-1]) if re.search(r"\d", line)]
    first = places[rng.integers(len(places))]
    shift = 1 if rng.random() < 0.5 or re.search(r" 0\b", lines[first]) else -1
    carried = [first]
    if "," in lines[first]:
        carried = [i for i in places if i >= first]
        lines[first] = re.sub(
            r" (\d+),", lambda m: f" {max(0, int(m[1]) + shift)},", lines[first], count=1
        )
    for index in [*carried, len(lines) - 1]:
        lines[index] = re.sub(
            r"(\d+)(\D*)$", lambda m: f"{max(0, int(m[1]) + shift)}{m[2]}", lines[index]
        )
    return "\n".join(lines)
