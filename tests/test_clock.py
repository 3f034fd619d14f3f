"""No test asks how late it is: on a busy machine the answer means nothing."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
CLOCK = re.compile(r"\b(monotonic|perf_counter)(_ns)?\(|\btime\.time\(\) *-|-> *time\.time\(")
#: Where time may be read: to end a wait that is in vain, and to measure.
ALLOWED = ("support", "benchmarks", "vllm", "hostile")


def test_no_test_reads_the_clock() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{number}"
        for path in TESTS.rglob("*.py")
        if path.relative_to(TESTS).parts[0] not in ALLOWED and path != Path(__file__)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if CLOCK.search(line) and "os.utime" not in line
    ]
    assert found == [], "use tests/support/waiting.py or bounded.py"
