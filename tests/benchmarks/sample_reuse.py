"""What K samples of one prompt cost beside K prompts, in tokens that vLLM had to read.

vLLM itself reports how many tokens of each prompt it found computed before (`num_cached_tokens`).
The prompt has a long question, because vLLM reuses whole blocks of 32 tokens on a CPU (16 on a
GPU), and a picture, which is recognised by the sha256 of its file.

    .venv-vllm/bin/python tests/benchmarks/sample_reuse.py
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
# Two threads of a small model on a busy machine mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

from dfgen.config.vllm import VllmConfig
from dfgen.engines.base import Request
from dfgen.engines.loading import load_engine
from tests.vllm.asking import ask, list_scenes

MODEL = Path(__file__).parents[2] / "dfgen" / "demo" / "models" / "policy"
SAMPLES = 8
NEEDED = 0.5


def count_prefill(engine: Any, requests: list[Request]) -> dict[str, int]:
    """Tokens of all prompts, those that vLLM computed, and encodings of pictures it asked for."""
    counted = {"prompt_tokens": 0, "computed": 0}
    step = engine.binding.step

    def watch() -> list[Any]:
        outputs: list[Any] = step()
        for output in outputs:
            counted["prompt_tokens"] += len(output.prompt_token_ids)
            counted["computed"] += len(output.prompt_token_ids) - output.num_cached_tokens
        return outputs

    vllm = engine.binding.engine
    vllm.reset_prefix_cache()
    vllm.reset_mm_cache()
    vllm.reset_encoder_cache()
    before = read_picture_lookups(vllm)
    engine.binding.step = watch
    try:
        for _ in engine.generate(requests):
            pass
    finally:
        del engine.binding.step
    after = read_picture_lookups(vllm)
    return counted | {name: after[name] - before[name] for name in after}


def read_picture_lookups(vllm: Any) -> dict[str, int]:
    """Pictures that requests held, and those that vLLM had processed before."""
    values = {metric.name: getattr(metric, "value", 0) for metric in vllm.get_metrics()}
    queries = int(values.get("vllm:mm_cache_queries", 0))
    hits = int(values.get("vllm:mm_cache_hits", 0))
    return {"pictures": queries, "pictures_processed": queries - hits}


def main() -> int:
    engine: Any = load_engine(
        VllmConfig(
            model=str(MODEL),
            dtype="float32",
            enforce_eager=True,
            max_model_len=512,
            max_num_seqs=16,
            kv_cache_memory_bytes=64 << 20,
            limit_mm_per_prompt={"image": 1},
            engine_args={"block_size": 32, "disable_log_stats": False},
        )
    )
    scenes = [(question * 12, image) for question, image in list_scenes(SAMPLES)]
    one = [ask(k, scenes[0], seed=k, max_tokens=16) for k in range(SAMPLES)]
    # The same text everywhere, so that only the pictures tell the prompts apart.
    many = [
        ask(k, (scenes[0][0], image), seed=k, max_tokens=16) for k, (_, image) in enumerate(scenes)
    ]
    shared, separate = count_prefill(engine, one), count_prefill(engine, many)
    names = ("max_num_batched_tokens", "max_num_seqs", "chunked_prefill")
    budget = {name: engine.info.settings[name] for name in names}
    engine.close()
    ratio = shared["computed"] / separate["computed"]
    print(
        json.dumps(
            {
                "budget": budget,
                f"{SAMPLES} samples of one prompt": shared,
                f"{SAMPLES} prompts, other pictures": separate,
                "ratio": round(ratio, 3),
                "needed": NEEDED,
                "met": ratio <= NEEDED,
            }
        )
    )
    return 0 if ratio <= NEEDED else 1


if __name__ == "__main__":
    raise SystemExit(main())
