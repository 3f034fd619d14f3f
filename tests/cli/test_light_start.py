"""Commands that need no model start without torch, without models of transformers, without more.

Which modules a command has imported is asked when its process ends: what a command does, not only
its `--help`, counts. So are the threads that it has left running.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.sample_run import make_pipeline, make_run

TELL = """
import atexit, json, sys, threading
out = sys.argv.pop(1)

def tell():
    threads = [thread.name for thread in threading.enumerate()]
    open(out, "w").write(json.dumps([sorted(sys.modules), threads]))

atexit.register(tell)
from dfgen.cli.main import main
main()
"""
MODELS = {"torch", "vllm", "accelerate", "torchvision", "transformers.modeling_utils"}
GRADING = {"sympy", "math_verify", "latex2sympy2_extended", "antlr4"}
DATA = {"datasets", "multiprocess", "fsspec"}
NETWORK = {"aiohttp", "openai", "httpx", "huggingface_hub"}
PICTURES = {"PIL"}
SERVICES = MODELS | GRADING | DATA | NETWORK | {"transformers"}

DEMO = ["--tokenizer", "demo:policy"]
DIFF = ["diff", "{work}/wrong.txt", "{work}/right.txt", *DEMO]
COMMANDS: dict[str, tuple[list[str], set[str]]] = {
    "diff": (DIFF, SERVICES | PICTURES | {"pyarrow", "pandas", "pydantic"}),
    "diff --json": ([*DIFF, "--json"], SERVICES | PICTURES | {"pyarrow", "pandas", "pydantic"}),
    "stats": (["stats", "{run}"], SERVICES | PICTURES | {"pandas"}),
    "stats --json": (["stats", "{run}", "--json"], SERVICES | PICTURES | {"pandas"}),
    "inspect": (["inspect", "{run}"], SERVICES | PICTURES | {"pandas"}),
    "inspect --rejects": (["inspect", "{run}", "--rejects"], SERVICES | PICTURES | {"pandas"}),
    "validate": (["validate", "{run}"], SERVICES | PICTURES | {"pandas"}),
    "export": (["export", "{run}", "--out", "{work}/groups"], SERVICES | PICTURES),
    "export --to trajectories": (
        ["export", "{run}", "--to", "trajectories", "--out", "{work}/rows"],
        SERVICES | PICTURES,
    ),
    "report": (["report", "{run}", "--out", "{work}/page.html"], SERVICES),
    "mask, done": (["mask", "{pipeline}", "--out", "{run}"], SERVICES | PICTURES),
    "mask --pairs": (
        ["mask", "--pairs", "{work}/pairs.jsonl", *DEMO, "--out", "{work}/pairs"],
        SERVICES | PICTURES,
    ),
    "retokenize": (
        ["retokenize", "{run}", "--tokenizer", "demo:repairer", "--out", "{work}/again"],
        SERVICES | PICTURES,
    ),
    "sample, done": (["sample", "{pipeline}", "--out", "{run}"], SERVICES | PICTURES),
    "repair, done": (["repair", "{pipeline}", "--out", "{run}"], SERVICES | PICTURES),
    "run, done": (["run", "{pipeline}", "--out", "{run}"], SERVICES | PICTURES),
    "config show": (["config", "show", "{pipeline}"], SERVICES | PICTURES | {"pyarrow", "numpy"}),
}
"""A command and what it must not have imported when it ends."""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    work = tmp_path_factory.mktemp("light")
    (work / "wrong.txt").write_text("Step 1: I see 3. Answer: 4")
    (work / "right.txt").write_text("Step 1: I see 2. Answer: 2")
    pair = {"question": "How many?", "wrong": "I see 3 cats.", "right": "I see 4 cats."}
    (work / "pairs.jsonl").write_text(json.dumps(pair))
    pipeline = work / "pipeline.yaml"
    content = make_pipeline(6, 2, 0).model_dump(mode="json", exclude_none=True)
    pipeline.write_text(yaml.safe_dump(content))
    return {"work": work, "run": make_run(work / "run", 6, 2), "pipeline": pipeline}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_a_command_imports(name: str, places: dict[str, Path], tmp_path: Path) -> None:
    words, unwanted = COMMANDS[name]
    words = [word.format(**places) for word in words]
    listed = tmp_path / "modules.json"
    command = [sys.executable, "-c", TELL, str(listed), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded, threads = json.loads(listed.read_text())
    assert sorted(unwanted & set(loaded)) == []
    assert not [module for module in loaded if ".modeling_" in module]
    # A thread that runs on while the interpreter ends may abort the process.
    assert threads == ["MainThread"]
