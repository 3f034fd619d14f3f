"""Runs that the tests of the report share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sample_run import make_run


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("report") / "run", prompts=14, samples=4)
