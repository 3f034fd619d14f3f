"""Holds the stages of a run, and what they share: rows in, rows out, a shard at a time."""
