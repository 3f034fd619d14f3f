"""Finds which tokens of a wrong answer its repair changed. Pure functions: no models, no files."""

from dfgen.diff.hunks import Hunk, RepairerEdit, apply_hunks
from dfgen.diff.pair import PairDiff, PairQuality, diff_pair
from dfgen.diff.project import project_mask
from dfgen.diff.spans import Span
from dfgen.diff.steps import split_steps
from dfgen.diff.weights import agreement_weights

__all__ = [
    "Hunk",
    "PairDiff",
    "PairQuality",
    "RepairerEdit",
    "Span",
    "agreement_weights",
    "apply_hunks",
    "diff_pair",
    "project_mask",
    "split_steps",
]
