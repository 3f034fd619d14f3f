"""The pipeline file: one model per section."""
