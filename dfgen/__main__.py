"""Starts the command `dfgen`, also as `python -m dfgen`."""

import signal
import sys

INTERRUPTED = 130
"""Exit code that shells give a command which Ctrl-C has ended."""


def main() -> None:
    """Entry point of the console script: a Ctrl-C while modules are loaded ends it, too."""
    try:
        from dfgen.ending import end_in_order

        end_in_order()
        from dfgen.cli.main import main as call

        call()
    except KeyboardInterrupt as interrupt:
        print("Stopped.", file=sys.stderr)
        raise SystemExit(getattr(interrupt, "exit_code", INTERRUPTED)) from None
    finally:
        # All is said; one more Ctrl-C while Python puts its things away must not write a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
