"""A run to export."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sample_run import make_run


@pytest.fixture(scope="package")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("exported") / "run", prompts=8, samples=4)
