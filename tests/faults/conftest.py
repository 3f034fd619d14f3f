"""A sampled run that tests of this folder copy and repair."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dfgen.engines.openai.engine import Backoff
from tests.faults.server import Sampled, make_pipeline, sample_run


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Sampled:
    """A small run whose sampling is done."""
    root = tmp_path_factory.mktemp("faults") / "sampled"
    return sample_run(root, make_pipeline("http://127.0.0.1:1/v1"))


@pytest.fixture
def copied(sampled: Sampled, tmp_path: Path) -> Sampled:
    """A copy of it."""
    return Sampled(Path(shutil.copytree(sampled.root, tmp_path / "run")), sampled.ideal)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every wait for another try, as the number of tries before; nobody really waits."""
    found: list[int] = []

    def compute_wait(self: Backoff, retries_done: int, retry_after: float | None) -> float:
        found.append(retries_done)
        return 0.0

    monkeypatch.setattr(Backoff, "compute_wait", compute_wait)
    return found
