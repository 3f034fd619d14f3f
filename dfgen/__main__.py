"""Starts the command `dfgen`, also as `python -m dfgen`."""

import sys

INTERRUPTED = 130
"""Exit code that shells give a command which Ctrl-C has ended."""


def main() -> None:
    """Entry point of the console script: a Ctrl-C while modules are loaded ends it, too."""
    try:
        from dfgen.cli.main import main as call

        call()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
