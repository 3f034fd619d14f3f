"""The pipeline file as pydantic models, one for each of its sections."""
