"""Every hostile case comes out as it must: a reject, one clear error, or read because harmless."""

from __future__ import annotations

import json

import pytest

from tests.hostile.driver import list_cases
from tests.support.forking import start_module

CASES = list_cases()
AREAS = list(dict.fromkeys(case.area for case in CASES))


def run_driver(*arguments: str) -> list[str]:
    """Carry out cases; returns those that came out otherwise, as lines."""
    process = start_module("tests.hostile.driver", "--json", *arguments)
    try:
        out, err = process.communicate(timeout=900)
    finally:
        process.kill()
    found = [json.loads(line) for line in out.splitlines()]
    assert found, err[-2000:]
    return [f"{each['name']}: {each['outcome']}" for each in found if not each["expected"]]


@pytest.mark.parametrize("area", AREAS)
def test_nothing_breaks_it(area: str) -> None:
    assert run_driver(area) == []


@pytest.mark.slow
def test_what_takes_long_does_not_break_it_either() -> None:
    assert run_driver("--slow", *AREAS) == []


def test_there_are_as_many_cases_as_promised() -> None:
    assert len(CASES) >= 120
    names = [(case.area, case.name) for case in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("outcome", ["TRACEBACK ValueError: x", "KILLED by SIGKILL", "HANGS", ""])
def test_no_case_expects_the_worst(outcome: str) -> None:
    import re

    assert not [case.name for case in CASES if re.fullmatch(case.expected, outcome, re.DOTALL)]
