"""The stages: rows in, rows out."""
