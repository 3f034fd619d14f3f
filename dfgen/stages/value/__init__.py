"""Draws on from prefixes of wrong answers, to see where the policy lost its success."""
