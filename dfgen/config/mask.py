"""Defines section `mask`: how the difference of an answer and its repair becomes a mask."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dfgen.config.section import Section


class MaskConfig(Section):
    """What is marked. Each refinement of the alignment has its own switch."""

    correct: Literal["all", "none"] = Field(
        default="all",
        description="loss_mask of a trajectory that the reward says is right: every token or none.",
    )
    outcome: Literal["all", "none", "drop"] = Field(
        default="all",
        description="loss_mask of a wrong trajectory without an accepted repair: every token "
        "(plain GRPO), none, or drop the row.",
    )
    empty: Literal["reject", "keep"] = Field(
        default="reject",
        description="What becomes of a wrong trajectory whose accepted repair leaves no token in "
        "loss_mask (only form or order differs): a reject with the reason, or a row of zeros. So "
        "with pairs; a pair of two equal texts always gives a row of zeros: nothing is wrong.",
    )
    whole_atoms: bool = Field(
        default=True,
        description="Align words, numbers, quantities and LaTeX commands as wholes instead of "
        "single tokens: 46 -> 146 marks 46, though its digits are all still there.",
    )
    ties: bool = Field(
        default=True,
        description="Among equally short edit scripts prefer fewer hunks, hunks inside one step, "
        "hunks that start or end at a step or sentence, the later of two identical copies.",
    )
    crumbs: bool = Field(
        default=True,
        description="Merge a few short equal words between two long edits into one edit: chance, "
        "not agreement. Never across a step or sentence boundary.",
    )
    crumb_max_units: int = Field(
        default=2, ge=1, description="Longest equality that counts as a crumb, in words and signs."
    )
    crumb_max_chars: int = Field(
        default=4, ge=1, description="Longest word that a crumb may hold, in characters."
    )
    crumb_min_edit: int = Field(
        default=4,
        ge=1,
        description="Length of the edits on both sides from which an equality between them can be "
        "a crumb, in words and signs.",
    )
    format_only: bool = Field(
        default=True,
        description="Type changes of white space, case of words, notation (x² / x^2), bullets, "
        "emphasis, quotes and number format (0.50 / 0.5) as format-only and leave them out of "
        "loss_mask.",
    )
    moves: bool = Field(
        default=True,
        description="Type a sentence, step or clause that only stands elsewhere in the repair as "
        "a move and leave it out of loss_mask.",
    )
    move_min_units: int = Field(
        default=4, ge=1, description="Shortest text that counts as moved, in words and signs."
    )
    insertion_anchor: Literal["next", "previous", "both", "none"] = Field(
        default="next",
        description="Which existing token carries the gradient of a pure insertion. At the end of "
        "the text the previous one stands in for the next.",
    )
    steps: Literal["auto", "lines", "sentences", "paragraphs"] = Field(
        default="auto",
        description="What a step is. auto: 'Step n:' marks (and 第一步), else blank lines, "
        "headings and list items (also 1. 2. 3. and ①②③ within a line), else sentences; tags such "
        "as <think> always separate, fenced code is never cut.",
    )
    consequence_weight: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Weight of hunks that only carry a value an earlier hunk changed; the others "
        "weigh 1. Unset: no weights are computed.",
    )
    counterfactual: Literal["multiply", "alone", "off"] = Field(
        default="multiply",
        description="What weights make of the scores of a repair (`dfgen score`), by which a token "
        "weighs 1 minus the probability that the policy gives the new token once everything "
        "before it is right: near 0, it would have mended it by itself. multiply: with the other "
        "weights there are (agreement, necessity, consequence_weight); alone: instead of them; "
        "off: not at all. Without scores nothing changes.",
    )
    value: Literal["multiply", "alone", "off"] = Field(
        default="off",
        description="What weights make of the values of a repair's hunks (`dfgen value`), by which "
        "a token weighs the share of the policy's success that was lost at its hunk: near 0, "
        "nothing was lost there. multiply: with the other weights there are; alone: instead of "
        "them; off: not at all. Without values nothing changes.",
    )
    metadata: list[str] = Field(
        default_factory=list,
        description="Columns of `columns.metadata` (and `response_metadata`) that every mask "
        "holds, too, as one JSON object in its column `metadata`; exports take it along.",
    )
    max_cells: int = Field(
        default=1_000_000_000,
        ge=10_000,
        description="Largest exact alignment (length x length after common ends are cut); beyond "
        "it a windowed one is used and the row is flagged approximate.",
    )
