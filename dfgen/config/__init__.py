"""Defines the pipeline file: one pydantic model for each of its sections."""
