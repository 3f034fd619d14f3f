"""Holds the commands of `dfgen`, one per file; `dfgen.cli.main` lists them."""
