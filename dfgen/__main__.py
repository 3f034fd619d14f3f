"""`python -m dfgen` is the `dfgen` command."""

from dfgen.cli.main import main

if __name__ == "__main__":
    main()
