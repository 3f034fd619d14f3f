"""Defines section `grade`: how an answer is compared with the reference answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dfgen.config.section import Section

UndecidedPolicy = Literal["drop", "keep", "wrong"]
"""What becomes of an answer that was given but cannot be read."""


class GradeConfig(Section):
    """The grader, its tolerances and its bounds on time and memory."""

    grader: str = Field(
        default="auto",
        description="Grader of prompts whose answer type is auto: auto, math, choice, numeric, "
        "text, the name of a dfgen.graders entry point, or package.module:function.",
    )
    timeout_s: float = Field(
        default=5.0,
        gt=0,
        le=3600,
        description="Seconds of wall time for one completion in a worker process; a grader that "
        "takes longer is killed and the answer is undecided.",
    )
    memory_mb: int | None = Field(
        default=4096,
        ge=256,
        description="Address space of one worker process in MiB, so that an answer like 9^9^9^9 "
        "cannot take the machine's memory; null: no limit.",
    )
    start_timeout_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds a worker process may take to start and to import its graders.",
    )
    recycle_after: int = Field(
        default=2000,
        gt=0,
        description="Completions after which a worker process is replaced; sympy's caches grow.",
    )
    fallback: bool = Field(
        default=True,
        description="Without a stated answer (box, tag, 'Answer:' line), take what the last "
        "sentence concludes, the last choice or the whole text; false: such a completion has no "
        "answer and is wrong.",
    )
    last_number: bool = Field(
        default=False,
        description="The last number of a text whose last sentence concludes nothing is its answer."
        " For benchmarks that score so; in training data it rewards answers that were never given.",
    )
    approximate: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="Whether 'about 5' answers 5. A reference with decimals is itself rounded, so "
        "'about 3.14' always answers 3.14.",
    )
    undecided: UndecidedPolicy = Field(
        default="drop",
        description="What becomes of an answer that was given but cannot be read, or whose grader "
        "failed. drop: a reject at the mask stage, not repaired, left out of the group's baseline; "
        "keep: a mask row without loss tokens, left out of the baseline; wrong: as a wrong answer.",
    )
    decimal_mark: Literal["auto", "point", "comma"] = Field(
        default="auto",
        description="How 1,500 and 1.500 are read. auto: by the other numbers and the language of "
        "the text, and as English (1500 and 1.5) where these say nothing.",
    )
    relative_tolerance: float = Field(
        default=1e-6,
        ge=0,
        lt=1,
        description="Numbers are equal within this share of the expected one (0.05: 5 percent). Up "
        "to 1e-5 it forgives rounding only: 1000001 is not 1000000, 0.333333 is 1/3.",
    )
    absolute_tolerance: float = Field(
        default=0.0,
        ge=0,
        description="Numbers are equal within this distance, whatever their size; 0: the relative "
        "tolerance alone counts, so that 0 is not 6.6e-34.",
    )
    units: Literal["check", "ignore"] = Field(
        default="check",
        description="check: known units are converted (24 cm = 0.24 m) and must be of one kind "
        "when both sides have one; ignore: only the numbers are compared.",
    )
    math_targets: tuple[Literal["latex", "expr"], ...] = Field(
        default=("latex", "expr"),
        min_length=1,
        description="What math-verify looks for: LaTeX in delimiters, plain expressions, or both.",
    )
    math_precision: int = Field(
        default=6,
        ge=0,
        le=50,
        description="Decimal places to which math-verify rounds before it compares.",
    )
    math_strict: bool = Field(
        default=True,
        description="math-verify: names of variables matter and a set is not a tuple.",
    )
    math_set_relations: bool = Field(
        default=False,
        description="math-verify: an inequality may answer an interval in both directions, not "
        "only where the completion gives the interval.",
    )
    max_chars: int = Field(
        default=20_000,
        ge=100,
        description="Only this many last characters of a completion go to math-verify, whose "
        "search is not linear in the length of the text.",
    )
