"""How fast `dfgen sample` is beside the engine it drives.

Three ways to draw the same samples of the same prompts with pictures, settings and seeds equal:

    bare    one `LLM.generate` call with everything at once: as fast as vLLM goes, nothing on disk
    dfgen   the sample stage, from the first request to the last finished Parquet file
    loop    `LLM.generate` batch by batch, waiting for each

The temperature is 2, because at 1 the demo's policy always writes 39 or 40 tokens, and waiting for
a batch whose members all end together costs nothing. At 2 the lengths spread as those of policies
that think do (a tenth is under 33 tokens, half under 43, a tenth over 130).

Starting the engine, the grader's processes and reading the prompts are left out of all three.
Rounds alternate; caches are emptied before each. Ratios are of each way's fastest round within this
one run: other work on the machine only ever makes a round slower. The medians are printed, too, and
the processor time of this process and of all below it (the engine's, the grader's).

A fourth way is no claim but a price: `unseeded` is `bare` without a seed for each request.

    .venv-vllm/bin/python tests/benchmarks/sample_speed.py                  # engine in this process
    .venv-vllm/bin/python tests/benchmarks/sample_speed.py --own-process    # vLLM's own default
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Read by vLLM when it is imported.
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = str(int("--own-process" in sys.argv))
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
# Two threads of a small model on a busy machine mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

from dfgen.config.pipeline import Pipeline
from dfgen.engines.base import Request
from dfgen.records import make_trajectory_id
from dfgen.stages.ingest import read_shard, run_prompts
from dfgen.stages.sample.draws import make_requests
from dfgen.stages.sample.stage import run_sampling
from dfgen.stages.session import Session
from dfgen.stages.work import open_graders
from dfgen.store.run import Run

MODEL = Path(__file__).parents[2] / "dfgen" / "demo" / "models" / "policy"
NEEDED = {"dfgen/bare": 0.90, "dfgen/loop": 1.30}


def make_pipeline(prompts: int, samples: int, seqs: int, temperature: float) -> Pipeline:
    return Pipeline.model_validate(
        {
            "prompts": {"source": "demo", "count": prompts, "seed": 11, "shard_size": 32},
            "policy": {
                "engine": "vllm",
                "model": str(MODEL),
                "dtype": "float32",
                "enforce_eager": True,
                "max_model_len": 512,
                "max_num_seqs": seqs,
                "kv_cache_memory_bytes": 256 << 20,
                "limit_mm_per_prompt": {"image": 1},
            },
            "sample": {"num_samples": samples, "max_tokens": 400, "temperature": temperature},
        }
    )


class Contest:
    """The three ways on one machine, with one set of requests."""

    def __init__(self, pipeline: Pipeline, root: Path) -> None:
        from vllm import LLM

        from dfgen.engines.loading import load_engine
        from dfgen.engines.processor.loading import load_processor
        from dfgen.engines.vllm.arguments import build_arguments
        from dfgen.engines.vllm.binding import (
            list_arguments,
            make_sampling_params,
            runs_on_cpu,
        )
        from dfgen.engines.vllm.prompts import VllmPrompt, VllmPromptReader

        assert pipeline.policy is not None and pipeline.policy.engine == "vllm"
        self.pipeline, self.root, self.rounds = pipeline, root, 0
        self.engine: Any = load_engine(pipeline.policy)
        arguments = build_arguments(pipeline.policy, None, list_arguments(), on_cpu=runs_on_cpu())
        self.llm = LLM(**arguments)
        reader = VllmPromptReader(load_processor(pipeline.policy), 1)
        self.prompts: list[dict[str, Any]] = []
        self.params: list[Any] = []
        for request in self.list_requests():
            prompt = reader.read(request)
            assert isinstance(prompt, VllmPrompt)
            self.prompts.append(prompt.to_dict())
            params = make_sampling_params(request)
            # dfgen decodes each text once, at its end, and spares vLLM a copy of the settings.
            # Whoever calls vLLM gets this.
            params.detokenize, params.skip_clone = True, False
            self.params.append(params)

    def list_requests(self) -> list[Request]:
        """All requests of a run, from prompts that were read from disk."""
        session = self.make_session()
        config = self.pipeline.sample
        requests: list[Request] = []
        for shard in session.run.table("prompts").shards():
            prompts = list(read_shard(session, shard))
            cells = {
                make_trajectory_id(p.prompt_id, i)
                for p in prompts
                for i in range(config.num_samples)
            }
            requests += make_requests(prompts, config, self.pipeline.seed, cells)
        return requests

    def make_session(self) -> Session:
        """A new run with its prompts read."""
        self.rounds += 1
        run = Run.open_or_create(self.root / f"run{self.rounds}", self.pipeline)
        session = Session(run, self.pipeline)
        with run.lock():
            run_prompts(session)
        return session

    def read_budgets(self) -> dict[str, dict[str, Any]]:
        """How much each of the two engines computes in one step; they must not differ."""
        from dfgen.engines.vllm.worker_probe import read_budget

        engines = {"dfgen": self.engine.binding.engine, "bare": self.llm.llm_engine}
        return {name: read_budget(each.vllm_config) for name, each in engines.items()}

    def close(self) -> None:
        """End both engines; a process of vLLM's that is left keeps this one from ending."""
        self.engine.close()
        self.llm.llm_engine.engine_core.shutdown()

    def empty_caches(self, engine: Any) -> None:
        engine.reset_prefix_cache()
        engine.reset_mm_cache()
        engine.reset_encoder_cache()

    def run_bare(self, *, seeded: bool = True) -> tuple[float, int]:
        self.empty_caches(self.llm.llm_engine)
        params = self.params if seeded else [forget_seed(each) for each in self.params]
        start = time.perf_counter()
        outputs = self.llm.generate(self.prompts, params, use_tqdm=False)
        return time.perf_counter() - start, sum(len(o.outputs[0].token_ids) for o in outputs)

    def run_loop(self, batch: int) -> tuple[float, int]:
        self.empty_caches(self.llm.llm_engine)
        start, tokens = time.perf_counter(), 0
        for first in range(0, len(self.prompts), batch):
            part = slice(first, first + batch)
            outputs = self.llm.generate(self.prompts[part], self.params[part], use_tqdm=False)
            tokens += sum(len(o.outputs[0].token_ids) for o in outputs)
        return time.perf_counter() - start, tokens

    def run_dfgen(self) -> tuple[float, int]:
        session = self.make_session()
        run = session.run
        self.empty_caches(self.engine.binding.engine)
        with run.lock(), open_graders(session.pipeline.grade) as pool:
            warm_up(pool)
            assert session.tokenizer
            todo = session.list_unfinished("sample")
            start = time.perf_counter()
            run_sampling(session, self.engine, pool, todo)
            taken = time.perf_counter() - start
            session.close()
        rows = list(run.table("trajectories").iter_rows(columns=["completion_ids"]))
        assert len(rows) == len(self.prompts)
        return taken, sum(len(row["completion_ids"]) for row in rows)


def forget_seed(params: Any) -> Any:
    """The same sampling with the engine's one stream of random numbers."""
    params = params.clone()
    params.seed = None
    return params


def read_processor_time() -> dict[str, float]:
    """Seconds of processor time of this process and of those below it, by name."""
    ticks, parents, names = {}, {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text("utf-8", "replace")
        except OSError:
            continue
        pid, fields = int(path.parent.name), text.rsplit(")", 1)[1].split()
        names[pid], parents[pid] = text[text.index("(") + 1 : text.rindex(")")], int(fields[1])
        ticks[pid] = int(fields[11]) + int(fields[12])
    found: dict[str, float] = {}
    for pid, spent in ticks.items():
        above = pid
        while above not in (0, os.getpid()):
            above = parents.get(above, 0)
        if above:
            name = "this" if pid == os.getpid() else names[pid]
            found[name] = found.get(name, 0.0) + spent / os.sysconf("SC_CLK_TCK")
    return found


def warm_up(pool: Any) -> None:
    """Have the grader's processes started."""
    from dfgen.grade.verdict import GradeItem

    item = GradeItem(completion="Answer: 3", answer="3", answer_type="numeric", choices=())
    pool.grade_batch([item])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=96)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--seqs", type=int, default=64, help="max_num_seqs and the loop's batch")
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--own-process", action="store_true", help="of vLLM's engine")
    options = parser.parse_args()
    pipeline = make_pipeline(options.prompts, options.samples, options.seqs, options.temperature)
    with tempfile.TemporaryDirectory(prefix="dfgen-bench-") as folder:
        contest = Contest(pipeline, Path(folder))
        budgets = contest.read_budgets()
        print(f"budget of a step: {json.dumps(budgets)}", flush=True)
        ways: dict[str, Callable[[], tuple[float, int]]] = {
            "bare": contest.run_bare,
            "dfgen": contest.run_dfgen,
            "loop": lambda: contest.run_loop(options.seqs),
            "unseeded": lambda: contest.run_bare(seeded=False),
        }
        # What is slow once only, in each of the two engines.
        contest.run_bare()
        contest.run_dfgen()
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                before = read_processor_time()
                seconds, tokens = way()
                after = read_processor_time()
                used = {key: after[key] - before.get(key, 0.0) for key in after}
                speeds[name].append(len(contest.prompts) / seconds)
                rates[name].append(tokens / seconds)
                shown = ", ".join(f"{key} {value:.1f}" for key, value in used.items() if value > 0)
                print(
                    f"{name:8} {seconds:7.2f} s  {tokens / seconds:8.0f} tokens/s"
                    f"  load {os.getloadavg()[0]:4.1f}  processor s: {shown}",
                    flush=True,
                )
        contest.close()
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    fastest = {name: max(values) for name, values in speeds.items()}
    ratios = {pair: fastest[pair[:5]] / fastest[pair[6:]] for pair in NEEDED}
    met = budgets["dfgen"] == budgets["bare"] and all(
        ratios[pair] >= needed for pair, needed in NEEDED.items()
    )
    print(
        json.dumps(
            {
                "engine": "own process" if options.own_process else "in process",
                "requests": len(contest.prompts),
                "budgets": budgets,
                "fastest_requests_per_second": {k: round(v, 2) for k, v in fastest.items()},
                "median_requests_per_second": {k: round(v, 2) for k, v in medians.items()},
                **{pair: round(value, 3) for pair, value in ratios.items()},
                # Other noise, other lengths: tokens, not requests, are comparable here.
                "seeded/unseeded": round(max(rates["bare"]) / max(rates["unseeded"]), 3),
                "needed": NEEDED,
                "met": met,
            }
        )
    )
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
