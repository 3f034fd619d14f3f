"""Keeps a run in an object store: a staging directory here, every change of it mirrored there."""
