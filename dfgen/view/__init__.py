"""Serves a run to a browser on this machine: the page of `dfgen report`, with all rows, live."""
