"""How long `dfgen --help` takes, beside a Python that does nothing.

python tests/benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "dfgen --help": [sys.executable, "-m", "dfgen", "--help"],
    "dfgen run --help": [sys.executable, "-m", "dfgen", "run", "--help"],
}


def time_once(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    # In turns, so that a busy moment of the machine hits all alike.
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            times[name].append(time_once(command))
    floor = statistics.median(times["python -c pass"])
    for name, values in times.items():
        median = statistics.median(values)
        print(
            f"{name:<18} median {median * 1000:6.1f} ms   min {min(values) * 1000:6.1f} ms   "
            f"{median / floor:4.1f} x python"
        )


if __name__ == "__main__":
    main()
