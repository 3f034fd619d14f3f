"""Explains why rows went no further: every reason code, what it means and what to do about it.

A code stands in the column `reason` of a reject and of an attempt. Tests compare this table with
the codes that the source gives: none is without a row here, no row without a use. `dfgen inspect
RUN --rejects` explains from it what it shows; `schemas/reasons.md` is the table for reading.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One code.

    Attributes:
        code: as it stands in the files; never renamed.
        stages: that give it. `repair` gives it to a wrong answer, or to one attempt at it.
        meaning: what happened, in one sentence.
        remedy: what a user can do about it, in one sentence.
    """

    code: str
    stages: tuple[str, ...]
    meaning: str
    remedy: str


PROMPTS, SAMPLE, REPAIR, MASK = ("prompts",), ("sample",), ("repair",), ("mask",)
SCORE, VALUE = ("score",), ("value",)
SERVERS = (*SAMPLE, *REPAIR)
"""The stages that ask a model which may be behind a server."""
ENGINES = (*SERVERS, *SCORE, *VALUE)
"""The stages that ask a model, whose failures are the same in all."""
_NOTHING = "Nothing: this is no fault, and the row counts as it stands."
_REPORT = "Report it with the row's id: this must not happen."
_WIDEN = "Nothing, or, to accept such repairs,"
_FEEDBACK = "Nothing: the next attempt is told so (`repair.max_attempts`)."

REASONS: tuple[Reason, ...] = (
    # Reading prompts, imported answers and pairs.
    Reason(
        "row_unreadable",
        (*PROMPTS, *MASK),
        "A row of the source is no row: broken JSON, another type, bytes that are no text.",
        "Mend the line that `row_id` names.",
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
        _NOTHING,
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
        "image_corrupt",
        (*PROMPTS, *ENGINES),
        "The picture cannot be decoded, here or by the server that was asked.",
        "Mend or leave out the picture.",
    ),
    # Drawing answers, and asking for repairs: what an engine or a server could not do.
    Reason(
        "prompt_too_long",
        ENGINES,
        "Prompt and room for the answer do not fit the model's context.",
        "Use a longer context, smaller pictures or a smaller `max_tokens`.",
    ),
    Reason(
        "prompt_invalid",
        ENGINES,
        "The model cannot take the prompt: its processor refused it, or the text holds a token "
        "that stands for a picture.",
        "Take such marks out of the question.",
    ),
    Reason(
        "control_token",
        SAMPLE,
        "The question or a choice spells a control token of the policy, which its chat template "
        "would obey.",
        "Take it out of the text, or write it in another way.",
    ),
    Reason(
        "image_over_limit",
        SAMPLE,
        "A picture, as it is shown, has more bytes than `policy.max_image_bytes`.",
        "Make it smaller in the source: what trainers get cannot be smaller than what was sent.",
    ),
    Reason(
        "too_many_images",
        ENGINES,
        "The prompt has more pictures than the vLLM engine was started for.",
        "Raise `limit_mm_per_prompt` in the engine's section.",
    ),
    Reason(
        "ids_invalid",
        (*ENGINES, *MASK),
        "Given token ids are none that the model can be fed as text, or no list of ids.",
        "Check that the ids were made with this model's tokenizer; a policy may also draw a "
        "picture's id by itself, and its answer then stays without scores.",
    ),
    Reason("completion_empty", SCORE, "An answer to be scored has no tokens.", _NOTHING),
    Reason(
        "engine_error",
        ENGINES,
        "The engine ended this request without an answer.",
        "Look into the log of vLLM; `detail` has its words.",
    ),
    Reason(
        "server_error",
        SERVERS,
        "The server gave no complete answer, also after further tries.",
        "Look at the server's log; `max_retries` says how often a request is sent again.",
    ),
    Reason(
        "rate_limited",
        SERVERS,
        "The server kept saying that it is asked too often.",
        "Set `requests_per_minute` or `tokens_per_minute` to the limits of your account.",
    ),
    Reason(
        "request_too_large",
        SERVERS,
        "The server takes no request of this size (HTTP 413).",
        "Raise the server's limit, make the pictures smaller, or, for a repairer, set "
        "`max_image_bytes`.",
    ),
    Reason(
        "bad_request",
        SERVERS,
        "The server refused the request for good (HTTP 4xx).",
        "Read `detail`: a setting that this server does not know is the usual cause.",
    ),
    Reason(
        "bad_response",
        SERVERS,
        "The server answered with something that is no chat completion.",
        "Check `base_url`: a proxy or another program may have answered.",
    ),
    Reason(
        "content_filter",
        SERVERS,
        "The provider's filter refused the prompt or the answer.",
        "Use another provider for such rows.",
    ),
    Reason(
        "refused",
        SERVERS,
        "The model declined to answer.",
        "Use another model for such rows.",
    ),
    # Keeping and grading what was drawn.
    Reason(
        "not_encodable",
        (*SAMPLE, *MASK),
        "The tokenizer does not give the text back from its own ids, so no mask would be exact.",
        "Use a server that returns token ids, or another tokenizer.",
    ),
    Reason(
        "logprobs_length",
        SAMPLE,
        "There are more or fewer logprobs than tokens.",
        "Update the server; dfgen does not guess which token a logprob belongs to.",
    ),
    Reason(
        "token_out_of_vocabulary",
        (*ENGINES, *MASK),
        "A token id is beyond the tokenizer's vocabulary.",
        "Name the tokenizer of the model that wrote the answer.",
    ),
    Reason(
        "group_decided",
        SAMPLE,
        "Not drawn: the first samples of the prompt are all right, or all wrong.",
        "Nothing: `sample.stop_early_after` asked for it.",
    ),
    # Choosing what is repaired.
    Reason(
        "truncated",
        REPAIR,
        "The wrong answer was cut off, so a repair would have to add an ending.",
        "Raise `sample.max_tokens`, or draw again with `--retry length`.",
    ),
    Reason("empty_completion", REPAIR, "The wrong answer has no text.", _NOTHING),
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
        _FEEDBACK,
    ),
    Reason("empty", REPAIR, "The repair has no text.", _FEEDBACK),
    Reason(
        "too_long",
        REPAIR,
        "The repair is so long that comparing it would only cost time.",
        _FEEDBACK,
    ),
    Reason(
        "unchanged",
        REPAIR,
        "The repairer gave the text back as it was: of a right answer (a control) that is right, "
        "of a wrong one it is none.",
        _FEEDBACK,
    ),
    Reason(
        "control_characters",
        REPAIR,
        "The repair brings in control characters or directions of writing.",
        f"{_WIDEN} `repair.allow: [control_characters]`.",
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
        f"{_WIDEN} `repair.allow: [meta_talk]`.",
    ),
    Reason(
        "language",
        REPAIR,
        "The new words are in another language than the answer.",
        f"{_WIDEN} `repair.allow: [language]`.",
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
        f"{_WIDEN} `repair.allow: [answer_only]`.",
    ),
    Reason(
        "leak",
        REPAIR,
        "The repair states the reference answer before anything leads to it.",
        f"{_WIDEN} `repair.allow: [leak]`; `repair.answer: blind` does not tell the answer.",
    ),
    # How other requests to the repairer ended.
    Reason("accepted", REPAIR, "An attempt that is the repair.", _NOTHING),
    Reason("changed", REPAIR, "The repairer changed a right answer (a control).", _NOTHING),
    Reason(
        "needed",
        REPAIR,
        "Asked about one edit taken back, the repairer changed that place again.",
        _NOTHING,
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
        _REPORT,
    ),
    Reason(
        "diff_not_exact",
        (*REPAIR, *VALUE, *MASK),
        "The edits found do not lead from one text to the other.",
        _REPORT,
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
        "duplicate_id", MASK, "Two pairs have the same id.", "Give every pair an id of its own."
    ),
    Reason(
        "ids_differ",
        MASK,
        "The token ids given with a pair do not decode to its wrong text.",
        "Name the tokenizer that the ids belong to, or leave the ids out.",
    ),
)

_BY_CODE = {reason.code: reason for reason in REASONS}


def find_reason(code: str) -> Reason | None:
    """Look a code up; None for one that this version of dfgen does not give."""
    return _BY_CODE.get(code)


def write_reasons() -> str:
    """Write the table as Markdown, as it stands in `schemas/reasons.md`."""
    lines = [
        "# Reason codes",
        "",
        "Why a row went no further (column `reason` of `rejects/`), or how an attempt at a repair",
        "ended. `dfgen inspect RUN --rejects` explains those of a run. Generated from",
        "`dfgen/reasons.py` by `make schemas`.",
        "",
        "| code | stage | what it means | what to do |",
        "|---|---|---|---|",
    ]
    for reason in REASONS:
        stages = ", ".join(reason.stages)
        lines.append(f"| `{reason.code}` | {stages} | {reason.meaning} | {reason.remedy} |")
    return "\n".join(lines) + "\n"
