"""Draws the answers of the policy: requests, grading, shards, retries."""
