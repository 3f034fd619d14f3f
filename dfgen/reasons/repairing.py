"""Reasons of the stage `repair`: what is repaired, and the checks of a repair, in their order."""

from __future__ import annotations

from dfgen.reasons.reason import FEEDBACK, MASK, NOTHING, REPAIR, WIDEN, Reason

REASONS: tuple[Reason, ...] = (
    # Choosing what is repaired.
    Reason(
        "truncated",
        REPAIR,
        "The wrong answer was cut off, so a repair would have to add an ending.",
        "Raise `sample.max_tokens`, or draw again with `--retry length`.",
    ),
    Reason("empty_completion", REPAIR, "The wrong answer has no text.", NOTHING),
    Reason(
        "no_answer",
        REPAIR,
        "No final answer could be read in the wrong answer.",
        "Set `repair.require_answer: false` to repair such rows as well.",
    ),
    Reason(
        "undecided",
        (*REPAIR, *MASK),
        "An answer was given and cannot be read, or its grader failed: right or wrong is unknown.",
        "Nothing, or set `grade.undecided` to `wrong`, or to `keep` for a row without loss.",
    ),
    Reason(
        "over_group_cap",
        REPAIR,
        "Enough other wrong answers to this prompt were sent before it.",
        "Raise `repair.per_group`.",
    ),
    # The checks of a repair, in their order.
    Reason(
        "not_finished",
        REPAIR,
        "The repairer did not finish by itself.",
        "Raise `repair.decoding.max_tokens` if many are cut off.",
    ),
    Reason(
        "unreadable",
        REPAIR,
        "The repairer's output has not the form that the protocol asks for.",
        "Use `protocol: rewrite`, or a server that keeps to JSON schemas, if there are many.",
    ),
    Reason(
        "does_not_apply",
        REPAIR,
        "An edit has no place in the text, or more than one.",
        FEEDBACK,
    ),
    Reason("empty", REPAIR, "The repair has no text.", FEEDBACK),
    Reason(
        "too_long",
        REPAIR,
        "The repair is so long that comparing it would only cost time.",
        FEEDBACK,
    ),
    Reason(
        "unchanged",
        REPAIR,
        "The repairer gave the text back as it was: of a right answer (a control) that is right, "
        "of a wrong one it is none.",
        FEEDBACK,
    ),
    Reason(
        "control_characters",
        REPAIR,
        "The repair brings in control characters or directions of writing.",
        f"{WIDEN} `repair.allow: [control_characters]`.",
    ),
    Reason(
        "over_token_budget",
        REPAIR,
        "More tokens changed than `repair.max_edit_ratio` allows: this is another answer.",
        "Use `protocol: hunks`, or raise the limit.",
    ),
    Reason(
        "over_step_budget",
        REPAIR,
        "More steps changed than `repair.max_step_ratio` allows.",
        "Raise the limit if your answers have few steps.",
    ),
    Reason(
        "over_hunk_budget",
        REPAIR,
        "There are more separate edits than `repair.max_hunks` allows.",
        "Raise the limit.",
    ),
    Reason(
        "meta_talk",
        REPAIR,
        "The repair speaks about the mistake instead of being right at once.",
        f"{WIDEN} `repair.allow: [meta_talk]`.",
    ),
    Reason(
        "language",
        REPAIR,
        "The new words are in another language than the answer.",
        f"{WIDEN} `repair.allow: [language]`.",
    ),
    Reason(
        "answer_wrong",
        REPAIR,
        "The repaired answer is graded below 1: it is still wrong.",
        "Use a stronger repairer or more attempts, if there are many.",
    ),
    Reason(
        "answer_only",
        REPAIR,
        "Only the final answer changed, not the reasoning that leads to it.",
        f"{WIDEN} `repair.allow: [answer_only]`.",
    ),
    Reason(
        "leak",
        REPAIR,
        "The repair states the reference answer before anything leads to it.",
        f"{WIDEN} `repair.allow: [leak]`; `repair.answer: blind` does not tell the answer.",
    ),
    # How other requests to the repairer ended.
    Reason("accepted", REPAIR, "An attempt that is the repair.", NOTHING),
    Reason("changed", REPAIR, "The repairer changed a right answer (a control).", NOTHING),
    Reason(
        "needed",
        REPAIR,
        "Asked about one edit taken back, the repairer changed that place again.",
        NOTHING,
    ),
    Reason(
        "unneeded",
        REPAIR,
        "Asked about one edit taken back, the repairer left that place as it was.",
        "Nothing: `repair.unneeded_weight` is its weight.",
    ),
    Reason(
        "unjudged",
        REPAIR,
        "An answer of the repairer has arrived and was not judged yet when the process ended.",
        "Type the same command again: it is judged, and not paid for twice.",
    ),
)
