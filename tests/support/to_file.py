"""`python -m tests.support.to_file FILE ARGUMENTS`: dfgen, what it prints going to a file."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    from dfgen.cli.main import main

    with Path(sys.argv.pop(1)).open("w", encoding="utf-8") as sys.stdout:
        main()
