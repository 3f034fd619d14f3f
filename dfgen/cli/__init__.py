"""Holds the command line: reads arguments, calls what does the work, prints messages."""
