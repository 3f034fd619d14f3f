"""Carries out hostile cases, each in a process of its own with bounded memory and time.

    python -m tests.hostile.driver [--slow] [--json] [AREA ...]

Prints the table: area, case, outcome, seconds, peak memory; exit code 1 if an outcome is not the
expected one.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import PIL.Image

import dfgen
from dfgen.errors import DfgenError
from tests.hostile.case import Case

MEMORY_BYTES = 1536 << 20
"""That a case may have beyond what the libraries take."""
SECONDS = 120.0
LOADED = ("pyarrow.parquet", "datasets", "fsspec.implementations.zip", "aiohttp", "PIL.Image")
"""Libraries that would else be loaded in every case; dfgen's own modules beside them."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case; `peak_mb` is what it needed beyond the libraries."""

    area: str
    name: str
    outcome: str
    expected: bool
    seconds: float
    peak_mb: float


def list_cases() -> list[Case]:
    """List all cases, in the order of the areas."""
    from tests.hostile import (
        addresses,
        files,
        names,
        pictures,
        rows,
        run_files,
        servers,
        terminal,
        yaml_files,
    )

    areas = (rows, files, pictures, addresses, yaml_files, run_files, names, servers, terminal)
    return [case for area in areas for case in area.list_cases()]


def carry_out(case: Case) -> Outcome:
    """Carry out a case in a fork of this process."""
    folder = Path(tempfile.mkdtemp(prefix="dfgen-hostile-"))
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _become_case(case, folder, writing)
    os.close(writing)
    try:
        text = _read_outcome(reading, child, began + SECONDS)
    finally:
        os.close(reading)
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - began
    said = json.loads(text) if text else {"outcome": "the process is gone", "peak_mb": 0.0}
    expected = re.fullmatch(case.expected, said["outcome"], re.DOTALL) is not None
    return Outcome(case.area, case.name, said["outcome"], expected, seconds, said["peak_mb"])


def _read_outcome(reading: int, child: int, deadline: float) -> bytes:
    text = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            os.kill(child, signal.SIGKILL)
            text = json.dumps({"outcome": f"HANGS for {SECONDS:.0f} s", "peak_mb": 0.0}).encode()
            break
        part = os.read(reading, 1 << 16)
        if not part:
            break
        text += part
    status = os.waitpid(child, 0)[1]
    if not text and os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        text = json.dumps({"outcome": f"KILLED by {name}", "peak_mb": 0.0}).encode()
    return text


def _become_case(case: Case, folder: Path, writing: int) -> None:
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.chdir(folder)
        size, before = _read_kb("VmSize"), _read_kb("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        limit = size * 1024 + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        outcome = _attack(case, folder)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        peak = max(0, _read_kb("VmHWM") - before) / 1024
        os.write(writing, json.dumps({"outcome": outcome, "peak_mb": peak}).encode())
    finally:
        os._exit(0)


def _attack(case: Case, folder: Path) -> str:
    try:
        return case.attack(folder)
    except DfgenError as error:
        return f"error {type(error).__name__}: {str(error).splitlines()[0]:.300}"
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        said = (str(error).splitlines() or [""])[0]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        return f"TRACEBACK {type(error).__name__}: {said:.200} ({where})"


def _read_kb(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0


def carry_out_all(areas: list[str], slow: bool) -> Iterator[Outcome]:
    """Carry out the cases of some areas, or of all; slow ones only if asked for."""
    for name in (*LOADED, *(each.name for each in pkgutil.walk_packages(dfgen.__path__, "dfgen."))):
        if not re.search(r"__main__$|\.trainers\.|\.vllm|\.demo\.", name):
            importlib.import_module(name)
    PIL.Image.init()
    for case in list_cases():
        if (not areas or case.area in areas) and (slow or not case.slow):
            yield carry_out(case)


def main() -> int:
    """Print the table, or its rows as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("areas", nargs="*", metavar="AREA")
    parser.add_argument("--slow", action="store_true", help="slow cases, too")
    parser.add_argument("--json", action="store_true", help="a JSON object per case")
    options = parser.parse_args()
    cases, failed = 0, 0
    for found in carry_out_all(options.areas, options.slow):
        cases, failed = cases + 1, failed + (not found.expected)
        if options.json:
            print(json.dumps(asdict(found)), flush=True)
            continue
        mark = " " if found.expected else "!"
        shown = "".join(c if c.isprintable() else "?" for c in found.outcome)
        print(
            f"{mark} {found.area:<9} {found.name:<44.44} {found.seconds:6.2f} s "
            f"{found.peak_mb:7.0f} MB  {shown:.110}",
            flush=True,
        )
    if not options.json:
        print(f"{cases} cases, {failed} with another outcome than expected")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
