"""What becomes of hostile input? One line per case: outcome, seconds, peak memory.

    PYTHONPATH=. python tests/benchmarks/hostile_corpus.py [--slow] [AREA ...]

Every case is made by code and carried out in a process of its own, whose memory is bounded. Memory
is what the case needed beyond the libraries that are loaded; `!` marks an outcome that is not the
expected one, and the exit code is 1 then.
"""

from __future__ import annotations

import sys

from tests.hostile.driver import main

if __name__ == "__main__":
    sys.exit(main())
