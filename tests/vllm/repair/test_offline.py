"""An offline repairer: the vLLM engine inside `dfgen repair`, no server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from tests.vllm.repair.conftest import COMPACT, check_decided, read_repairs
from tests.vllm.repair.serving import REPAIRER
from tests.vllm.repair.test_schema import check_every_finished_answer_obeys
from tests.vllm.running import run_dfgen

IN_PROCESS = {
    "engine": "vllm",
    "model": str(REPAIRER),
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 512,
    "max_num_seqs": 8,
    "kv_cache_memory_bytes": 64 << 20,
    "limit_mm_per_prompt": {"image": 1},
}


def test_in_process_the_repairs_are_those_of_the_transformers_engine(
    reference: dict[str, Any], run: Path, write: Callable[..., Path]
) -> None:
    run_dfgen("repair", write(IN_PROCESS), "--out", run, "-q")
    assert check_decided(run) == {}
    assert {key: row["repair"] for key, row in read_repairs(run).items()} == {
        key: row["repair"] for key, row in reference.items()
    }


def test_in_process_answers_obey_the_schema(run: Path, write: Callable[..., Path]) -> None:
    engine = {**IN_PROCESS, "engine_args": {"structured_outputs_config": json.loads(COMPACT)}}
    decoding = {"temperature": 1.0, "max_tokens": 160}
    pipeline = write(engine, protocol="hunks", decoding=decoding)
    run_dfgen("repair", pipeline, "--out", run, "-q")
    check_every_finished_answer_obeys(run)
    check_decided(run)
