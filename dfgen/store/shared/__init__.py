"""Lets several processes, on any machines, work on one run, through its directory alone."""
