"""A repairer as a process that can be killed and started again on the same port.

    python -m tests.faults.lasting_server PORT FOLDER [ANSWERS]

FOLDER holds `ideal.json` (wrong text -> right text); every answer that is about to leave adds a
line to `paid.jsonl` there, so that what was paid for is known over all its lives. After so many
ANSWERS nobody gets one any more: a client cannot be done before the server is killed.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.faults.framing import is_probe, read_student
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion

SECONDS = 0.1


def make_answer(folder: Path, most: float) -> Any:
    """Answer with the right repair, slowly enough for others to be on their way."""
    ideal = json.loads((folder / "ideal.json").read_text("utf-8"))
    lock, left = threading.Lock(), [most]

    def answer(received: Received) -> Reply:
        if is_probe(received):
            return Reply(write_completion("yes"))
        student = read_student(received)
        time.sleep(SECONDS)
        with lock:
            left[0] -= 1
            leaves = left[0] >= 0
        if not leaves:
            threading.Event().wait()
        with lock, (folder / "paid.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(student) + "\n")
        return Reply(write_completion(f"<corrected>{ideal.get(student, student)}</corrected>"))

    return answer


def read_paid(folder: Path) -> list[str]:
    """Texts that were answered, in order."""
    path = folder / "paid.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


if __name__ == "__main__":
    most = float(sys.argv[3]) if len(sys.argv) > 3 else math.inf
    with LoopbackServer(make_answer(Path(sys.argv[2]), most), int(sys.argv[1])):
        # Until it is killed.
        threading.Event().wait()
