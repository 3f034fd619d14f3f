"""Reasons of the stage `prompts`: reading prompts, imported answers and pairs."""

from __future__ import annotations

from dfgen.reasons.reason import ENGINES, MASK, PROMPTS, Reason

REASONS: tuple[Reason, ...] = (
    # Reading prompts, imported answers and pairs.
    Reason(
        "row_unreadable",
        (*PROMPTS, *MASK),
        "A row of the source is no row: broken JSON, another type, bytes that are no text, a line "
        "that is too long; or a cell of it cannot be read at all.",
        "Mend that row of the source.",
    ),
    Reason(
        "question_missing",
        PROMPTS,
        "The question is empty, or nothing but pictures.",
        "Name the right column in `prompts.columns.question`.",
    ),
    Reason(
        "question_invalid",
        PROMPTS,
        "The question is neither text nor a chat with one user turn.",
        "Map a column that holds one question; chats of several turns have to be split.",
    ),
    Reason(
        "answer_missing",
        PROMPTS,
        "The reference answer is empty, so nothing could be graded.",
        "Name the right column in `prompts.columns.answer`.",
    ),
    Reason(
        "answer_invalid",
        PROMPTS,
        "The reference answer is not text and cannot be made text.",
        "Name a column that holds one answer.",
    ),
    Reason(
        "answer_no_choice",
        PROMPTS,
        "The question has choices, and the reference answer names none of them.",
        "Mend the answer or the choices; `prompts.answer_index` says that answers are positions.",
    ),
    Reason(
        "precision_invalid",
        PROMPTS,
        "The column of `prompts.columns.precision` holds no number of decimals from 0 to 15.",
        "Mend the cell, leave it empty, or name another column.",
    ),
    Reason(
        "solution_invalid",
        PROMPTS,
        "The worked solution is not text.",
        "Name another column in `prompts.columns.solution`, or none.",
    ),
    Reason(
        "choices_invalid",
        PROMPTS,
        "The choices are no list, not labelled A, B, C, or have no such position as the answer's.",
        "Look at `evidence`, which holds the cell as it was read.",
    ),
    Reason(
        "placeholder_mismatch",
        PROMPTS,
        "Question and choices hold placeholders (`<image>`) for more or fewer pictures than there "
        "are.",
        "Name all picture columns in `prompts.columns.images`, or mend the text.",
    ),
    Reason(
        "response_missing",
        PROMPTS,
        "An imported row holds no answer of a model.",
        "Name the right column in `imports.columns.response`.",
    ),
    Reason(
        "response_invalid",
        PROMPTS,
        "The imported answer is neither text nor a chat with one assistant turn.",
        "Name a column that holds one answer.",
    ),
    Reason(
        "duplicate",
        PROMPTS,
        "An earlier row asks the same, with the same pictures and answer.",
        "Nothing, if it stands twice by mistake: the earlier row counts.",
    ),
    Reason(
        "id_missing",
        PROMPTS,
        "The cell of `prompts.columns.id` is empty, or holds no single value.",
        "Give every row an id of its own, or name no column.",
    ),
    Reason(
        "duplicate_id",
        (*PROMPTS, *MASK),
        "An earlier row has the same own id: another question, or another pair.",
        "Give every row an id of its own.",
    ),
    Reason(
        "image_missing",
        PROMPTS,
        "A picture is not there: no bytes, no such file, or fewer than `images.min_per_prompt`.",
        "Set `prompts.image_root`, or name the picture column in `prompts.columns.images`.",
    ),
    Reason(
        "image_too_many",
        PROMPTS,
        "The row has more pictures than `images.max_per_prompt`.",
        "Raise the limit if your model can take them.",
    ),
    Reason(
        "image_too_large",
        PROMPTS,
        "A picture has more bytes or pixels than allowed, checked before it is decoded.",
        "Raise `images.max_bytes` or `images.max_pixels`, or make the picture smaller.",
    ),
    Reason(
        "image_too_small",
        PROMPTS,
        "A side of a picture is shorter than `images.min_side`.",
        "Lower the limit if your model can take it.",
    ),
    Reason(
        "image_too_narrow",
        PROMPTS,
        "A picture is longer for its width than `images.max_aspect`.",
        "Cut or pad the picture, or raise the limit if your model can take it.",
    ),
    Reason(
        "image_remote",
        PROMPTS,
        "The picture is an address on the network; dfgen fetches none.",
        "Download the pictures and give their paths.",
    ),
    Reason(
        "image_outside",
        PROMPTS,
        "The path of a picture leads out of the folder of the data.",
        "Set `prompts.image_root`; or, if you trust it, `prompts.images.stay_inside: false`.",
    ),
    Reason(
        "image_corrupt",
        (*PROMPTS, *ENGINES),
        "The picture cannot be decoded, here or by the server that was asked.",
        "Mend or leave out the picture.",
    ),
)
