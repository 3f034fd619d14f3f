"""`python -m tests.support.to_file FILE ARGUMENTS`: dfgen, what it prints going to a file."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from dfgen.cli.main import main

    sys.stdout = open(sys.argv.pop(1), "w", encoding="utf-8")  # noqa: SIM115 (until the end)
    main()
