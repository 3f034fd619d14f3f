"""Grades the answers of a run anew, with another grader or a newer dfgen."""
