"""Makes `python -m dfgen` the same as the command `dfgen`."""

from dfgen.cli.main import main

if __name__ == "__main__":
    main()
