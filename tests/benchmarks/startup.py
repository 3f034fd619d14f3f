"""How long every command takes that needs no model, beside `dfgen --help`.

python tests/benchmarks/startup.py [--rounds 7]

The commands work on a run of 12 prompts with 48 answers that is made first, so what is measured is
the start and little else. They take turns, so that a busy moment of the machine hits all alike.
Exit code 1: `dfgen diff` takes more than 6 times as long as `dfgen --help`, in processor time,
which other processes disturb less than the time on the wall.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
GOAL = 6.0
HELP, DIFF = "dfgen --help", "dfgen diff"
DFGEN = [sys.executable, "-m", "dfgen"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each command is run")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        commands = list_commands(Path(folder))
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, command in commands.items():
                taken = time_once(
                    [part.replace("ROUND", str(number)) for part in command], Path(folder)
                )
                if number:  # the first round fills the caches
                    measured[name].append(taken)
    cpu = {name: statistics.median(t[0] for t in times) for name, times in measured.items()}
    wall = {name: statistics.median(t[1] for t in times) for name, times in measured.items()}
    print(f"{'median of ' + str(rounds):<28} processor      wall   x --help (processor, wall)")
    for name in commands:
        print(
            f"{name:<28} {cpu[name] * 1000:6.0f} ms {wall[name] * 1000:6.0f} ms"
            f"   {cpu[name] / cpu[HELP]:5.1f}   {wall[name] / wall[HELP]:5.1f}"
        )
    ratio = cpu[DIFF] / cpu[HELP]
    reached = ratio <= GOAL
    print(
        f"{DIFF} takes {ratio:.1f} times as long as {HELP}; "
        f"the goal is {GOAL:.0f}: {'reached' if reached else 'MISSED'}"
    )
    return 0 if reached else 1


def list_commands(folder: Path) -> dict[str, list[str]]:
    """Return the commands that need no model, with their words; ROUND stands for a number."""
    import yaml

    from tests.support.sample_run import make_pipeline, make_run

    (folder / "wrong.txt").write_text("Step 1: red circles: I see 3. Answer: 4")
    (folder / "right.txt").write_text("Step 1: red circles: I see 2. Answer: 3")
    pair = {"question": "How many?", "wrong": "I see 3 cats.", "right": "I see 4 cats."}
    (folder / "pairs.jsonl").write_text(json.dumps(pair))
    pipeline = str(folder / "pipeline.yaml")
    content = make_pipeline(12, 4, 0).model_dump(mode="json", exclude_none=True)
    Path(pipeline).write_text(yaml.safe_dump(content))
    run = str(make_run(folder / "run", 12, 4))
    out = str(folder / "out-ROUND-")
    policy, repairer = ("--tokenizer", "demo:policy"), ("--tokenizer", "demo:repairer")
    texts = (str(folder / "wrong.txt"), str(folder / "right.txt"))
    pairs = str(folder / "pairs.jsonl")
    words = {
        HELP: ["--help"],
        "dfgen run --help": ["run", "--help"],
        DIFF: ["diff", *texts, *policy],
        "dfgen diff --json": ["diff", *texts, *policy, "--json"],
        "dfgen stats": ["stats", run],
        "dfgen inspect": ["inspect", run],
        "dfgen inspect --rejects": ["inspect", run, "--rejects"],
        "dfgen validate": ["validate", run],
        "dfgen export": ["export", run, "--out", f"{out}groups"],
        "dfgen report": ["report", run, "--out", f"{out}page.html"],
        "dfgen mask --pairs": ["mask", "--pairs", pairs, *policy, "--out", f"{out}pairs"],
        "dfgen retokenize": ["retokenize", run, *repairer, "--out", f"{out}retokenized"],
        "dfgen config show": ["config", "show", pipeline],
        "dfgen run --dry-run": ["run", pipeline, "--out", f"{out}rehearsed", "--dry-run"],
        "dfgen sample, all done": ["sample", pipeline, "--out", run],
        "dfgen repair, all done": ["repair", pipeline, "--out", run],
        "dfgen mask, all done": ["mask", pipeline, "--out", run],
        "dfgen run, all done": ["run", pipeline, "--out", run],
    }
    commands = {"python -c pass": [sys.executable, "-c", "pass"]}
    return commands | {name: [*DFGEN, *given] for name, given in words.items()}


def time_once(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a command; return its processor time, all its threads and children, and the wall's."""
    errors = folder / "stderr"
    start = time.perf_counter()
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed:\n{errors.read_text()}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
