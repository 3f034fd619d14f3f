"""Runs a script in a trainer's own environment, which `make trainers-env` builds.

    seen = run_in("tinker", "check_tinker.py", str(folder), home=tmp_path)

The last line that the script prints is JSON. Without the environment the test is skipped, unless
DFGEN_REQUIRE_TRAINERS is set, as `make trainers-test` does.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests/trainers"


def require_env(name: str) -> Path:
    """Return the Python of a trainer's environment; the test is skipped or fails without it."""
    python = ROOT / f".venv-{name}/bin/python"
    if not python.exists():
        if os.environ.get("DFGEN_REQUIRE_TRAINERS"):
            pytest.fail(f"{python} is missing: make trainers-env")
        pytest.skip(f"there is no .venv-{name}: make trainers-env")
    return python


def run_in(name: str, script: str, *arguments: str, home: Path, **variables: str) -> Any:
    """Run a script of tests/trainers; what it prints last is returned."""
    python = require_env(name)
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", **variables}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "MODELSCOPE_CACHE": str(home)}
    result = subprocess.run(
        [str(python), str(SCRIPTS / script), *arguments],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.strip().splitlines()[-1])
