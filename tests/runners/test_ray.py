"""How a crew of actors goes on when some are lost; a real Ray is in tests/cluster."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import pytest

from dfgen.errors import LaunchError
from dfgen.runners import ray
from dfgen.runners.launching import Resources, StageTask
from dfgen.stages.stopping import StopSignal
from tests.support.pretend_ray import PretendError, PretendRay

LOST = PretendError("The actor is temporarily unavailable: Socket closed.")


def run_crew(
    ends: Iterator[tuple[int, str] | PretendError], monkeypatch: pytest.MonkeyPatch, workers: int
) -> tuple[PretendRay, list[str]]:
    """Run a stage to its end; what was told comes back with the actors."""
    pretended, told = PretendRay(ends), list[str]()
    monkeypatch.setattr(ray, "_import_ray", lambda: pretended)
    options = ray.RayOptions(None, ("runs/x",), Path(), Resources(workers))
    crew = ray.Crew(StageTask("mask", workers, 0), options, lambda: 0, told.append)
    with StopSignal() as stop:
        try:
            assert crew.run(stop)
        except LaunchError as error:
            told.append(str(error))
    return pretended, told


def test_who_cannot_be_reached_is_ended_before_another_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be there again in a moment, and would keep its GPUs to the end."""
    pretended, told = run_crew(iter([LOST, (0, "")]), monkeypatch, 1)
    assert pretended.started == pretended.killed == [0, 1]
    assert told == [f"mask: a worker is gone: {LOST}"]


def test_where_all_die_the_launch_ends_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    pretended, told = run_crew(repeat((1, "no such file: x")), monkeypatch, 2)
    assert sorted(pretended.killed) == pretended.started
    assert len(pretended.started) == 2 + 2 * ray.LIVES
    assert "were lost without a shard" in told[-1]
    assert "no such file: x" in told[-1]
