"""Lists which settings change results and which do not: together they name every field.

A test fails when a field of the configuration is on neither list or on both, so whoever adds a
field decides here. A field changes results if the rows of a finished run could differ because of
it, beyond the rounding that another batch, device or kernel brings. It stands under the first stage
whose rows it changes; the stages after that one depend on it as well.
"""

from __future__ import annotations

from dfgen.store.layout import Stage

_ENGINE_RESULT = (
    "dtype",
    "engine",
    "engine_args",  # anything may stand there
    "extra_body",
    "max_image_bytes",
    "limit_mm_per_prompt",
    "lora",
    "max_length",
    "max_model_len",
    "model",
    "processor_args",
    "quantization",
    "retokenize",
    "return_token_ids",
    "revision",
    "tokenizer",
    "trust_remote_code",
)

_ENGINE_NEUTRAL = (
    "api_key_env",
    "attention",  # the same arithmetic in another kernel
    "base_url",  # an address; a server that a cluster job starts has another one every time
    "batch.completion_window",
    "batch.in_flight",
    "batch.max_bytes",
    "batch.max_requests",
    "batch.pictures",
    "batch.poll_s",
    "batch.priority",
    "batch.provider",
    "batch.settle_s",
    "batch_size",
    "concurrency",
    "device",  # where, not what
    "enforce_eager",
    "gpu_memory_utilization",
    "in_flight",
    "kv_cache_memory_bytes",
    "lane",  # how requests travel, not what they ask
    "max_num_seqs",
    "max_retries",
    "price.as_of",
    "price.batch_factor",
    "price.cached",
    "price.cached_from",
    "price.completion",
    "price.prompt",
    "requests_per_minute",
    "tensor_parallel_size",
    "threads",
    "timeout",
    "tokens_per_minute",
)

_SOURCE_RESULT = (
    "answer_index",
    "answer_type",
    "columns.answer",
    "columns.answer_type",
    "columns.choices",
    "columns.images",
    "columns.metadata",
    "columns.precision",
    "columns.question",
    "columns.solution",
    "image_root",
    "images.max_aspect",
    "images.max_bytes",
    "images.max_per_prompt",
    "images.max_pixels",
    "images.min_side",
    "images.stay_inside",
    "limit",
    "max_row_bytes",
    "name",
    "path",
    "revision",
    "shard_size",
    "source",
    "split",
)


def _under(section: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{section}.{name}" for name in names)


RESULT_FIELDS: dict[Stage, tuple[str, ...]] = {
    "prompts": (),
    "sample": (
        "grade.absolute_tolerance",
        "grade.approximate",
        "grade.decimal_mark",
        "grade.fallback",
        "grade.grader",
        "grade.last_number",
        "grade.math_precision",
        "grade.math_set_relations",
        "grade.math_strict",
        "grade.math_targets",
        "grade.max_chars",
        "grade.relative_tolerance",
        "grade.units",
        "imports.columns.finish_reason",
        "imports.columns.id",
        "imports.columns.model",
        "imports.columns.response",
        "imports.columns.response_metadata",
        "imports.columns.verdict",
        "imports.model",
        "imports.tokenizer",
        *_under("policy", _ENGINE_RESULT),
        "sample.chat_template",
        "sample.chat_template_args",
        "sample.max_tokens",
        "sample.num_samples",
        "sample.prompt",
        "sample.stop",
        "sample.stop_early_after",
        "sample.system",
        "sample.temperature",
        "sample.top_k",
        "sample.top_p",
        "seed",
    ),
    "repair": (
        "grade.undecided",
        "repair.allow",
        "repair.answer",
        "repair.candidates",
        "repair.chat_template_args",
        "repair.controls",
        "repair.decoding.max_tokens",
        "repair.decoding.stop",
        "repair.decoding.temperature",
        "repair.decoding.top_k",
        "repair.decoding.top_p",
        *_under("repair.engine", _ENGINE_RESULT),
        "repair.engines",
        "repair.max_attempts",
        "repair.max_edit_ratio",
        "repair.max_hunks",
        "repair.max_step_ratio",
        "repair.necessity",
        "repair.necessity_tests",
        "repair.require_answer",
        "repair.per_group",
        "repair.prefix_lock",
        "repair.prompt",
        "repair.protocol",
        "repair.retry_temperature",
        "repair.show_solution",
        "repair.structured_output",
        "repair.system",
        "repair.unneeded_weight",
    ),
    "score": (
        "score.completions",
        *_under("score.engine", _ENGINE_RESULT),
        "score.tempered",
        "score.visual",
    ),
    "value": (
        "value.controls",
        "value.draws",
        *_under("value.engine", _ENGINE_RESULT),
        "value.limit",
        "value.masks",
        "value.max_interval",
        "value.max_tokens",
        "value.repaired",
        "value.temperature",
    ),
    "mask": (
        "mask.consequence_weight",
        "mask.counterfactual",
        "mask.correct",
        "mask.crumb_max_chars",
        "mask.crumb_max_units",
        "mask.crumb_min_edit",
        "mask.crumbs",
        "mask.empty",
        "mask.format_only",
        "mask.insertion_anchor",
        "mask.max_cells",
        "mask.metadata",
        "mask.move_min_units",
        "mask.moves",
        "mask.outcome",
        "mask.steps",
        "mask.ties",
        "mask.value",
        "mask.whole_atoms",
        "pairs.tokenizer",
        "retokenize.tokenizer",
    ),
}
"""Fields that change results, under the first stage whose rows they change."""

JUDGING_FIELDS: tuple[str, ...] = (
    "repair.allow",
    "repair.controls",
    "repair.max_attempts",
    "repair.max_edit_ratio",
    "repair.max_hunks",
    "repair.max_step_ratio",
    "repair.necessity",
    "repair.necessity_tests",
    "repair.per_group",
    "repair.require_answer",
    "repair.unneeded_weight",
)
"""Those of the repair stage that say what is asked and what counts as a repair, but not how: under
others the stored answers of the repairer are judged anew (`dfgen repair --rejudge`). What grades is
left out: `dfgen regrade` changes it, for all stages together."""

NEUTRAL_FIELDS: tuple[str, ...] = (
    # What a grader may take of this machine: too little of it says nothing about the answer. Rows
    # that ended so are graded with more of it by `dfgen regrade`.
    "grade.memory_mb",
    "grade.recycle_after",
    "grade.start_timeout_s",
    # Which rows become prompts. The rows themselves are compared where they are read again; a run
    # whose prompts are all there keeps those it has.
    *(f"{section}.images.min_per_prompt" for section in ("prompts", "imports", "pairs")),
    "grade.timeout_s",
    "bucket.flush_paid_answers",
    "bucket.flush_paid_seconds",
    "bucket.flush_seconds",
    "max_reject_ratio",  # an exit code
    "name",
    # They say where prompts come from; the prompts themselves are compared, one by one
    # (dfgen.store.growing): new ones are added, and those that are missing are named.
    *_under("imports", _SOURCE_RESULT),
    "imports.missing",
    *_under("prompts", _SOURCE_RESULT),
    "prompts.columns.id",
    "prompts.count",
    "prompts.missing",
    "prompts.on_duplicate",
    "prompts.seed",
    # The rows themselves are compared, shard by shard: more of them may come, others may not.
    *_under("pairs", _SOURCE_RESULT),
    "pairs.columns.completion_ids",
    "pairs.columns.id",
    "pairs.columns.right",
    "pairs.columns.wrong",
    *_under("policy", _ENGINE_NEUTRAL),
    *_under("repair.engine", _ENGINE_NEUTRAL),
    "repair.max_cost_usd",  # when to stop, not what to make
    "repair.max_requests",
    "retokenize.path",  # the masks there are compared, shard by shard
    "score.enabled",  # whether, not what
    *_under("score.engine", _ENGINE_NEUTRAL),
    "score.max_gap",  # when to stop, not what to make
    "score.max_gap_share",
    "value.enabled",  # whether, not what
    *_under("value.engine", _ENGINE_NEUTRAL),
    "version",
    "workers",
)
"""Fields that may change between two starts of one run."""

GROWING_FIELD = "sample.num_samples"
"""May grow: seeds and keys of the samples there are do not depend on how many there are, so they
are kept and only the new ones are drawn. It may not shrink: paid rows would be thrown away."""
