"""Lane `files` with the real `vllm run-batch`: the repairs are those of single greedy requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from tests.vllm.repair.conftest import check_decided, make_engine, read_attempts, read_repairs
from tests.vllm.repair.serving import MAX_LENGTH, REPAIRER
from tests.vllm.running import run_dfgen

LIMIT_S = 400
POSITIONS = f'{{"text_config": {{"max_position_embeddings": {MAX_LENGTH}}}}}'


def run_batch(requests: Path, answers: Path) -> None:
    """Have `vllm run-batch` answer every file of a folder, as a user does."""
    answers.mkdir(exist_ok=True)
    for path in sorted(requests.glob("*.jsonl")):
        command = [
            *(sys.executable, "-m", "vllm.entrypoints.cli.main", "run-batch"),
            *("-i", str(path), "-o", str(answers / path.name), "--model", str(REPAIRER)),
            *("--served-model-name", "repairer", "--dtype", "float32", "--enforce-eager"),
            *("--max-model-len", str(MAX_LENGTH), "--max-num-seqs", "16"),
            *("--hf-overrides", POSITIONS, "--kv-cache-memory-bytes", "128M"),
        ]
        env = {**os.environ, "VLLM_NO_USAGE_STATS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "1"}
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]


def test_run_batch_makes_the_repairs_of_single_requests(
    reference: dict[str, Mapping[str, Any]],
    run: Path,
    write: Callable[..., Path],
    tmp_path: Path,
) -> None:
    pipeline = write(make_engine("http://127.0.0.1:1/v1"), retry_temperature=0.0)
    command = ("repair", pipeline, "--out", run, "--lane", "files", "--no-check")
    requests, answers = tmp_path / "requests", tmp_path / "answers"
    for turn in range(3):  # the first attempts, the second ones, and a last time only to read
        folder = requests / str(turn)
        read = ("--read", answers) if turn else ()
        run_dfgen(*command, *read, "--write", folder, VLLM_API_KEY="unused")
        if not folder.exists():
            break
        run_batch(folder, answers / str(turn) if turn else answers)
        for path in (answers / str(turn)).glob("*.jsonl"):
            path.rename(answers / f"{turn}-{path.name}")
    check_decided(run)
    ours = {key: row["repair"] for key, row in read_repairs(run).items()}
    # Copies have no attempts; second attempts draw by chance there, and greedily here.
    first = {
        key: row["repair"]
        for key, row in reference.items()
        if any(attempt["accepted"] for attempt in row["attempts"][:1])
    }
    assert len(first) > 30
    assert {key: ours[key] for key in first} == first
    attempts = read_attempts(run)
    assert {attempt["lane"] for attempt in attempts} == {"files"}
    # The picture's tokens are among those read: none was lost on the way.
    assert all(attempt["prompt_tokens"] > 16 for attempt in attempts)
    rows = [
        json.loads(line)
        for path in answers.glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert len(rows) == len(attempts)
