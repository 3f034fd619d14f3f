"""dfgen's command in processes of its own, with the real vLLM."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.vllm.conftest import POLICY

LIMIT_S = 240


def write_pipeline(path: Path, **sections: Any) -> Path:
    """A pipeline of demo questions for vLLM; `sections` are merged into it."""
    tree: dict[str, Any] = {
        "prompts": {"source": "demo", "count": 12, "seed": 5, "shard_size": 4},
        "policy": {
            "engine": "vllm",
            "model": str(POLICY),
            "dtype": "float32",
            "enforce_eager": True,
            "max_model_len": 256,
            "max_num_seqs": 8,
            "kv_cache_memory_bytes": 64 << 20,
            "limit_mm_per_prompt": {"image": 1},
        },
        "sample": {"num_samples": 4, "max_tokens": 64},
    }
    for name, values in sections.items():
        tree[name] = {**tree.get(name, {}), **values}
    path.write_text(yaml.safe_dump(tree), "utf-8")
    return path


def start_dfgen(
    *arguments: str | Path, start_new_session: bool = False, **env: str
) -> subprocess.Popen[str]:
    """Start the command through its real entry point."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("dfgen")), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=start_new_session,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
    )


def run_dfgen(*arguments: str | Path, code: int = 0, **env: str) -> tuple[str, str]:
    """Run the command to its end; returns stdout and stderr."""
    process = start_dfgen(*arguments, **env)
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == code, f"exit {process.returncode}\n{out}\n{err[-4000:]}"
    return out, err


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process does."""
    start = time.monotonic()
    while not condition():
        assert process.poll() is None, process.communicate()[1][-4000:]
        assert time.monotonic() - start < LIMIT_S
        time.sleep(0.005)


def count_journal_lines(run: Path, stage: str = "sample") -> int:
    """Draws (or attempts, of `repair`) in a stage's journals, nearly: headers count too."""
    total = 0
    for path in (run / "journal").glob(f"{stage}-*.jsonl"):
        try:
            total += path.read_bytes().count(b"\n")
        except FileNotFoundError:
            continue
    return total


def read_trajectories(run: Path) -> dict[str, Mapping[str, Any]]:
    """All trajectories of a run by id."""
    from dfgen.store.run import Run

    rows = Run.open_or_create(run, None).table("trajectories").iter_rows()
    return {row["trajectory_id"]: row for row in rows}
