"""Decides whether an answer is right: extraction, graders, and a pool that bounds their time."""

from __future__ import annotations

from dfgen.grade.choice import check_reference
from dfgen.grade.extract import extract_answer, find_answer_spans
from dfgen.grade.grading import grade
from dfgen.grade.pool import GradePool
from dfgen.grade.registry import get_grader, list_graders
from dfgen.grade.verdict import GradeItem, Verdict

__all__ = [
    "GradeItem",
    "GradePool",
    "Verdict",
    "check_reference",
    "extract_answer",
    "find_answer_spans",
    "get_grader",
    "grade",
    "list_graders",
]
