"""Graders that misbehave, used through the pool by name."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from dfgen.config.grade import GradeConfig
from dfgen.grade import Verdict


def grade_well(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict:
    right = completion == answer
    return Verdict(right, float(right), "well", completion, answer, "whole_text", "compared")


def grade_in_parts(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict:
    """Call an answer correct that has a quarter of the reward."""
    return Verdict(True, 0.25, completion, completion, answer, "whole_text", "compared")


def misbehave(completion: str, answer: str, choices: Sequence[str], config: GradeConfig) -> Verdict:
    """Do what the completion says."""
    if completion == "sleep":
        time.sleep(3600)
    if completion == "burn":
        while True:
            pass
    if completion == "abort":
        os.abort()
    if completion == "exit":
        os._exit(3)
    if completion == "raise":
        raise ValueError("no grade today")
    if completion == "memory":
        return Verdict(bool(bytearray(2**40)), 1.0, "m", None, answer, "none", "had memory")
    if completion == "print":
        print("this must not reach the standard output of the command")
    return grade_well(completion, answer, choices, config)


def return_none(completion: str, answer: str, choices: Sequence[str], config: GradeConfig) -> None:
    return None


def reward_too_much(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict:
    return Verdict(True, 7.0, "generous", None, answer, "none", "")


NOT_A_FUNCTION = 5
