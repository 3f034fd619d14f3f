"""The study's loop and TRL, given the same answers, have the same losses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.trainer_envs import ROOT, require_env

pytestmark = pytest.mark.trainers


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Groups of the demo's own models: answers, repairs and log-probs are real."""
    from tests.benchmarks.study.replay import keep_mixed

    folder = tmp_path_factory.mktemp("answers")
    for command in (
        ("demo", "--out", "run", "--count", "12"),
        ("export", "run", "--to", "groups", "--out", "groups"),
    ):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        python = [sys.executable, "-m", "dfgen"]
        subprocess.run([*python, *command], cwd=folder, env=environment, check=True)
    return folder / "mixed", keep_mixed(folder / "groups", folder / "mixed")


@pytest.mark.parametrize("recipe", ["grpo", "df", "df+repair", "df+whole"])
def test_trl_and_the_loop_have_the_same_losses(answers: tuple[Path, Any], recipe: str) -> None:
    """To 1e-6 at the first step; along the curve differences of rounding add up."""
    from tests.benchmarks.study.replay import replay_loop, replay_trl

    python = require_env("trl")
    folder, groups = answers
    assert len(groups) > 4
    loop = replay_loop(groups, recipe, 4)
    trl = replay_trl(python, folder, recipe, 4)
    assert len(loop) == len(trl) == 4
    assert abs(loop[0] - trl[0]) <= 1e-6
    assert loop == pytest.approx(trl, abs=1e-4)
    # It moves by far more than that.
    assert loop[0] - loop[-1] > 1e-3
