"""Reasons of comparing two texts (stages `repair`, `value`, `mask`) and of making masks."""

from __future__ import annotations

from dfgen.reasons.reason import MASK, REPAIR, REPORT, SCORE, VALUE, Reason

REASONS: tuple[Reason, ...] = (
    # Comparing two texts, in the stages repair, value and mask.
    Reason(
        "invalid_unicode",
        (*REPAIR, *SCORE, *VALUE, *MASK),
        "A text holds half of a character (a lone surrogate), which no file can keep.",
        "Mend the source of the text.",
    ),
    Reason(
        "completion_mismatch",
        (*REPAIR, *VALUE, *MASK),
        "The answer's token ids decode to another text than the answer.",
        "Name the tokenizer that the ids belong to.",
    ),
    Reason(
        "hunk_does_not_apply",
        (*REPAIR, *VALUE, *MASK),
        "An edit on record does not fit its text.",
        REPORT,
    ),
    Reason(
        "diff_not_exact",
        (*REPAIR, *VALUE, *MASK),
        "The edits found do not lead from one text to the other.",
        REPORT,
    ),
    Reason(
        "answer_over_length",
        VALUE,
        "The answer, or the part of its repair that is drawn on from, is longer than answers may "
        "be, so that nothing drawn after it could end in time.",
        "Set `value.max_tokens` to what the answers were allowed.",
    ),
    # Making masks, of runs and of pairs.
    Reason(
        "mask_empty",
        (*VALUE, *MASK),
        "The repair leaves no token to learn from: it changes only form or order.",
        "Nothing, or, for a row of zeros, `mask.empty: keep`.",
    ),
    Reason(
        "text_differs",
        MASK,
        "The token ids of an answer without a repair decode to another text.",
        "Name the tokenizer that the ids belong to.",
    ),
    Reason(
        "outcome_dropped",
        MASK,
        "A wrong answer without a repair, which the settings leave out.",
        "Set `mask.outcome` to `all` or `none` to have it.",
    ),
    Reason(
        "text_missing",
        MASK,
        "A pair lacks one of its two texts.",
        "Name the right columns with `--map`.",
    ),
    Reason(
        "ids_differ",
        MASK,
        "The token ids given with a pair do not decode to its wrong text.",
        "Name the tokenizer that the ids belong to, or leave the ids out.",
    ),
)
