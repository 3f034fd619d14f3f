"""Asks the policy itself how probable its answers and their repairs are."""
