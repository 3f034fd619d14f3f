"""Decides where shards are worked on: on this machine, one stage after the other."""
