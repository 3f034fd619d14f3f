"""Proves that a run or a mask file is sound, by code that had no part in making it."""
