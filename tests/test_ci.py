"""`.ci/run` says what failed, shows why, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[1]
CI = (ROOT / ".ci" / "run").read_text("utf-8")
TARGETS = (
    *("environments", "lint", "types", "test", "slow-test", "demo"),
    *("vllm-test", "train-demo", "report-test", "cluster-test", "trainers-test"),
)
WELL = """
.venv/bin/dfgen:
	@mkdir -p .venv/bin
vllm-env trainers-env cluster-env lint types demo train-demo:
	@echo said by $@
test slow-test report-test vllm-test cluster-test trainers-test:
	@echo said by $@; echo "12 passed, 3 deselected in 4.51s"
"""


def run_ci(folder: Path, makefile: str) -> subprocess.CompletedProcess[str]:
    (folder / ".ci").mkdir()
    (folder / ".ci" / "run").write_text(CI, "utf-8")
    (folder / "Makefile").write_text(makefile, "utf-8")
    return subprocess.run(
        ["bash", ".ci/run"], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )


def test_its_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("$(BIN)", ".venv/bin")
    rules = set(re.findall(r"^([^\s:#]+):", makefile, re.MULTILINE))
    started = re.findall(r"^start (\S+)(?:.* --no-print-directory (.*))?$", CI, re.MULTILINE)
    assert [name for name, _ in started] == ["install", *TARGETS]
    assert {word for name, given in started for word in (given or name).split()} <= rules


def test_of_what_passes_the_closing_line_is_shown(tmp_path: Path) -> None:
    result = run_ci(tmp_path, WELL)
    assert result.returncode == 0, result.stdout + result.stderr
    assert [name for name in TARGETS if f"== {name}: ok after" not in result.stdout] == []
    assert result.stdout.count("12 passed, 3 deselected in 4.51s") == 6
    assert "said by" not in result.stdout
    assert result.stdout.endswith("all targets passed\n")


def has_ended(state: Path) -> bool:
    """Whether a killed process is gone, or waits to be buried."""
    try:
        return state.read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("broken", TARGETS[1:])
def test_of_what_fails_all_is_shown_and_the_rest_runs(broken: str, tmp_path: Path) -> None:
    left = tmp_path / "left"
    rule = f"{broken}:\n\t@sleep 600 & echo $$! > {left}; echo FAILED tests/x.py; exit 7\n"
    result = run_ci(tmp_path, re.sub(rf"(?<![\w-]){broken}(?=[ :])", "", WELL) + rule)
    assert result.returncode == 1
    assert f"== {broken}: FAILED with exit status 2" in result.stdout
    assert "FAILED tests/x.py\n" in result.stdout
    assert result.stdout.count(": ok after") == len(TARGETS)
    assert result.stdout.endswith(f"failed: {broken}\n")
    # What a target leaves running ends with it.
    state = Path(f"/proc/{left.read_text().strip()}/stat")
    wait_until(lambda: has_ended(state))


def test_without_root_the_clusters_environment_is_made_without_slurm(tmp_path: Path) -> None:
    """Tests of Slurm are then left out; whoever has no root has all others."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text("utf-8"), "utf-8")
    for made in (".venv-cluster/bin/dfgen", ".venv-cluster/node_modules/.bin/azurite-blob"):
        (tmp_path / made).parent.mkdir(parents=True)
        (tmp_path / made).touch()
    refusing = tmp_path / "apt-get"
    refusing.write_text("#!/bin/sh\necho 'are you root?' >&2; exit 100\n", "utf-8")
    refusing.chmod(0o755)
    result = subprocess.run(
        ["make", "cluster-env", "SLURM_PROGRAMS=no-such-slurmctld"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert "are you root?" in result.stderr
    assert "its tests are left out" in result.stderr
