"""The version of dfgen, importable without importing anything else."""

VERSION = "0.1.0"
