"""Defines the rows of every table, once for Python, Parquet and JSON Schema.

    Prompt ──▶ Trajectory ──▶ Repair ──▶ Mask          (and Reject, for what went no further)
                    └──────────┴──▶ Score ──┤
                    └──────────┴──▶ Value ──┘

A record is a pydantic model; its Parquet schema is derived from the same annotations by
`dfgen.store.arrow_schema`. Plain Python types map to the obvious Arrow type; narrower ones are
written as `Annotated[int, Arrow("int32")]` through the aliases below. Optional means nullable: null
says "not computed", which is never the same as zero.
"""

from __future__ import annotations

import json
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from dfgen.arrow_types import Float32, Int8, Int16, Int32, Int64
from dfgen.errors import RowError


class Record(BaseModel):
    """Base of all records. `SCHEMA` is the name and version written into every file."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    SCHEMA: ClassVar[str] = ""


class Image(BaseModel):
    """A picture as the Hugging Face `Image` feature stores it: original bytes and a name."""

    model_config = ConfigDict(extra="forbid")
    bytes: bytes
    path: str | None = None


class ImageInfo(BaseModel):
    """What decoding a picture once showed. Width and height are after EXIF orientation."""

    model_config = ConfigDict(extra="forbid")
    sha256: str
    format: str
    width: Int32
    height: Int32


class Prompt(Record):
    """A question about zero or more pictures, with its reference answer."""

    SCHEMA: ClassVar[str] = "dfgen.prompt/1"
    prompt_id: str
    """32 hex digits of sha256 over question, choices, answer and picture hashes."""
    question: str
    images: list[Image]
    image_info: list[ImageInfo]
    choices: list[str]
    answer: str
    answer_type: str
    """Name of the grader."""
    solution: str | None = None
    source: str
    """File and row that the prompt came from."""
    metadata: str
    """JSON object: the columns carried along."""
    precision: Int32 | None = None
    """Decimals to which the answer is stated; null: the source does not say."""
    source_id: str | None = None
    """The user's own id (`prompts.columns.id`), once in a run; null where none is named."""


class VerdictInfo(BaseModel):
    """What the grader decided and why."""

    model_config = ConfigDict(extra="forbid")
    correct: bool
    grader: str
    extracted: str | None
    expected: str
    method: str
    detail: str
    undecided: bool | None = None
    """An answer was given and could not be read, or its grader failed: reward 0, but neither right
    nor wrong; null in files from before this column."""


class Trajectory(Record):
    """One completion of a prompt, as it was drawn, with its reward."""

    SCHEMA: ClassVar[str] = "dfgen.trajectory/1"
    trajectory_id: str
    """`<prompt_id>-<sample_index>`."""
    prompt_id: str
    sample_index: Int32
    completion: str
    """The text of `completion_ids`, special tokens left out."""
    completion_ids: list[Int32]
    """Token ids exactly as sampled (`ids_source`: sampled), or the canonical encoding of imported
    text (encoded)."""
    ids_source: Literal["sampled", "encoded"]
    logprobs: list[Float32] | None
    """Natural log of each token's probability under the policy, before temperature; null for
    imported text."""
    finish_reason: str
    """stop, length (truncated), or content_filter; unknown for imported text."""
    stop_reason: str | None
    prompt_tokens: Int32 | None
    """Tokens of the prompt, pictures included."""
    image_tokens: Int32 | None
    seed: Int64 | None
    model: str
    reward: Float32
    verdict: VerdictInfo
    metadata: str
    """JSON object. Of an imported answer: what its source says about it. Of a sampled one: `{}`,
    or, after `--retry length`, the limit it was drawn with and the draws that it replaced."""
    source_id: str | None = None
    """The user's own id: of the prompt where the answer was sampled, of the answer itself where it
    was imported (`imports.columns.id`); null where no column is named."""


class Attempt(BaseModel):
    """One call of the repairer for one trajectory, kept whether it was accepted or not."""

    model_config = ConfigDict(extra="forbid")
    index: Int32
    accepted: bool
    reason: str
    """`accepted`, or the code of the check that refused it."""
    detail: str
    text: str
    """What the repairer returned."""
    finish_reason: str
    prompt_tokens: Int32 | None
    completion_tokens: Int32 | None
    """Null where the server did not tell, which is not zero."""
    cost_usd: float | None
    """By the prices of the day it arrived; null where tokens are unknown that cost something."""
    seed: Int64
    cached_tokens: Int32 | None = None
    """Among `prompt_tokens`, those that the server had in its cache; null where it did not tell."""
    model: str | None = None
    """Who answered; null where an earlier dfgen did not say so."""
    lane: str | None = None
    """How the request travelled: online, batch or files."""


class Necessity(BaseModel):
    """What became of the answer when one hunk of a repair was taken back alone."""

    model_config = ConfigDict(extra="forbid")
    start: Int32
    end: Int32
    """Span of the hunk in the trajectory, in UTF-8 bytes."""
    repair_start: Int32
    repair_end: Int32
    """Span of the hunk in the repair, in UTF-8 bytes."""
    needed: bool
    """Without it the answer is wrong (grader), or the repairer changes its place again (model)."""
    weight: Float32
    decided_by: Literal["grader", "model"] = "grader"
    """Whose verdict `needed` is. The grader's, too, where the repairer was asked and its answer
    decided nothing."""
    attempt: Attempt | None = None
    """The request to the repairer: `reason` is `needed`, `unneeded`, or why it decided nothing;
    `index` is that of the hunk. Null where it was not asked about this hunk."""


class Repair(Record):
    """A verified small edit of a wrong trajectory."""

    SCHEMA: ClassVar[str] = "dfgen.repair/1"
    trajectory_id: str
    prompt_id: str
    sample_index: Int32
    repair: str
    protocol: str
    edits: str | None
    """JSON list of the edits as the repairer gave them, with reasons; null for `rewrite`."""
    reward: Float32
    verdict: VerdictInfo
    edit_ratio: Float32
    """Token edit distance / length of the longer side."""
    step_edit_ratio: Float32
    """Share of the trajectory's steps that the repair touches."""
    answer_only: bool
    """Only the final answer changed, not the reasoning before it."""
    attempts: list[Attempt]
    """Empty where the repair of an identical trajectory was taken over (`copy_of`)."""
    model: str
    """Whose attempt was accepted."""
    cost_usd: float | None
    """Of all attempts and necessity tests together; null where the cost of one is unknown."""
    alternatives: list[str] = []
    """The other accepted candidates: larger repairs of the same trajectory."""
    necessity: list[Necessity] | None = None
    """One entry per hunk; null if not computed."""
    copy_of: str | None = None
    """trajectory_id of the identical trajectory that this repair was made for."""


class Control(Record):
    """What the repairer did to a right trajectory: it should have changed nothing. Never training
    data."""

    SCHEMA: ClassVar[str] = "dfgen.control/1"
    trajectory_id: str
    prompt_id: str
    sample_index: Int32
    changed: bool
    """The repairer changed something that is not format only: a false edit."""
    text: str | None
    """What it made of the trajectory; null if it gave nothing readable."""
    reward: Float32 | None
    """Of the text; null if it was not graded."""
    edit_ratio: Float32 | None
    attempt: Attempt
    """`reason` is `unchanged` when all is well, else `changed` or why there is no text."""
    model: str


class Quality(BaseModel):
    """How much the repair changed and how sure the alignment is."""

    model_config = ConfigDict(extra="forbid")
    edit_ratio: Float32
    step_edit_ratio: Float32
    n_hunks: Int32
    ambiguous: bool
    """Several minimal alignments existed and only a fixed order chose between them."""
    approximate: bool
    """The texts were too long and too different for an exact alignment."""
    format_only_share: Float32
    """Share of the changed tokens whose change is one of format only."""
    answer_only: bool


class HunkValue(BaseModel):
    """What a hunk did to the policy's success: V(t) is the share of continuations of the first t
    tokens, drawn from the policy itself, that end right. All null where the hunk marks no token."""

    model_config = ConfigDict(extra="forbid")
    start: Int32 | None
    end: Int32 | None
    """Tokens [start, end) of the completion that the hunk marks, and what lies between them."""
    value_before: Float32 | None
    """V(start)."""
    value_wrong: Float32 | None
    """V(end), after the wrong tokens."""
    value_repaired: Float32 | None
    """V of the repair through this hunk; null where not drawn (`value.repaired`)."""
    value_drop: Float32 | None
    """`value_before - value_wrong`: the success that was lost here."""
    value_gain: Float32 | None
    """`value_repaired - value_wrong`: the success that the repair wins back."""
    draws_before: Int32 | None
    draws_wrong: Int32 | None
    draws_repaired: Int32 | None
    """Continuations behind each value; 0: known without drawing (the answer ends there)."""


class Mask(Record):
    """A trajectory with its token and step masks: what trainers read. T = len(completion_ids),
    U = len(repair_ids), S = number of steps."""

    SCHEMA: ClassVar[str] = "dfgen.mask/1"
    trajectory_id: str
    prompt_id: str
    sample_index: Int32
    completion: str
    completion_ids: list[Int32]
    """length T, exactly as sampled."""
    ids_source: Literal["sampled", "encoded"]
    logprobs: list[Float32] | None
    """length T."""
    finish_reason: str
    reward: Float32
    mask_source: Literal["repair", "correct", "outcome"]
    """repair: a verified repair exists; correct: the reward says right; outcome: wrong, and no
    accepted repair."""
    loss_mask: list[bool]
    """length T: where this trajectory's gradient flows."""
    token_ops: list[Int8] | None
    """length T: 0 equal, 1 substituted, 2 deleted, 3 moved, 4 format-only; null: no repair."""
    gap_mask: list[bool] | None
    """length T+1: the repair inserts before token i (i = T: at the end); null without a repair."""
    repair: str | None
    repair_ids: list[Int32] | None
    """length U: the repaired trajectory under the policy's tokenizer."""
    repair_mask: list[bool] | None
    """length U: the tokens that are new in the repair."""
    repair_logprobs: list[Float32] | None
    """length U: teacher-forced under the sampling policy; null until computed."""
    token_bytes: list[Int32]
    """length T+1: UTF-8 byte offset of each token in `completion`; special tokens are empty."""
    step_ids: list[Int16]
    """length T: which step a token belongs to."""
    step_labels: list[bool] | None
    """length S: the repair touches this step; null without a repair."""
    step_changed: list[Float32] | None
    """length S: share of the step's tokens that changed."""
    step_roles: list[str] | None
    """length S: unchanged, first (the first error), consequence, independent."""
    first_error_step: Int32 | None
    """Index of the first step touched, -1 if none is; null without a repair."""
    weights: list[Float32] | None
    """length T, in [0, 1]: soft version of loss_mask (see `mask.counterfactual`); null if not
    computed."""
    hunks: str | None
    """JSON list of the edits: byte spans and texts of both sides, kind, token spans, reason."""
    quality: Quality | None
    undecided: bool | None = None
    """True: the answer could not be read, so nobody knows its reward; whoever computes the baseline
    of its group leaves the row out (`grade.undecided: keep`). Null everywhere else."""
    scored_logprobs: list[Float32] | None = None
    """length T: as `logprobs`, but teacher-forced (see `Score`); null until computed."""
    tempered_logprobs: list[Float32] | None = None
    """length T: teacher-forced under softmax(logits / sampling temperature), nothing cut off by
    top-p or top-k; null where that temperature is 1 (then `scored_logprobs` are these), or until
    computed."""
    repair_tempered_logprobs: list[Float32] | None = None
    """length U: the same of the repair."""
    visual_kl: list[Float32] | None = None
    """length T: how much each token depends on the pictures (see `Score`); null if not computed."""
    visual_log_ratio: list[Float32] | None = None
    """length T: the same as a log-ratio (see `Score`); null if not computed."""
    value_start: Float32 | None = None
    """Share of the policy's answers to the prompt that are right (see `Value`); null if not
    drawn."""
    hunk_values: list[HunkValue] | None = None
    """One per hunk; null if not drawn (see `Value`)."""
    source_id: str | None = None
    """The trajectory's, or the pair's own (`pairs.columns.id`)."""
    metadata: str | None = None
    """JSON object of the columns that `mask.metadata` names; null where it names none."""


class Score(Record):
    """What the policy itself says of a trajectory and its repair: each is read once, token by
    token, and nothing is drawn. T = len(completion_ids), U = len(repair_ids)."""

    SCHEMA: ClassVar[str] = "dfgen.score/1"
    trajectory_id: str
    prompt_id: str
    sample_index: Int32
    ids_sha256: str
    """Of `completion_ids` as little-endian int32: the very tokens that were scored, 64 hex
    digits."""
    scored_logprobs: list[Float32] | None
    """length T: natural logs of the tokens' probabilities under the policy, before temperature."""
    logprob_gap: Float32 | None
    """Largest difference of these from the stored `logprobs`, in nats; null where none are
    stored."""
    temperature: Float32 | None
    """At which the answer was drawn; null: it was imported, and nobody knows."""
    truncated_sampling: bool | None
    """Drawn with top-p, top-k, min-p or the like, which no logprobs here take into account; null:
    nobody knows."""
    tempered_logprobs: list[Float32] | None
    """length T: under softmax(logits / temperature), as trainers compute them; null where the
    temperature is 1 (equal to `scored_logprobs`), 0 or unknown, or `score.tempered` is off."""
    repair_ids: list[Int32] | None
    """length U: the repair in the policy's tokens, ended as the completion is; null without a
    repair."""
    repair_logprobs: list[Float32] | None
    """length U: as `scored_logprobs`."""
    repair_tempered_logprobs: list[Float32] | None
    """length U: as `tempered_logprobs`."""
    visual_kl: list[Float32] | None
    """length T: KL divergence, in nats over the whole vocabulary, of each token's distribution from
    the one with every picture black; 0: the token does not depend on the pictures. Null without
    pictures or `score.visual`."""
    visual_log_ratio: list[Float32] | None
    """length T: instead of `visual_kl`, where the engine tells no more than the token's own
    logprob: by how many nats the pictures made this token more probable; may be negative."""


class ValuePoint(BaseModel):
    """V after some tokens of a side."""

    model_config = ConfigDict(extra="forbid")
    side: Literal["wrong", "repair"]
    index: Int32
    """Tokens of that side that are given."""
    draws: Int32
    right: Int32
    """Continuations drawn, and how many ended right; both 0: known without drawing."""
    value: Float32


class MaskBlame(BaseModel):
    """How much of the lost success one mask holds."""

    model_config = ConfigDict(extra="forbid")
    mask: str
    """dfgen, a control (lowest_logprob, random, first_token, first_step, suffix, answer_only), or
    given_NAME: one of `value.masks`."""
    tokens: Int32
    captured: Float32
    """Sum of V(a) - V(b) over the maximal masked runs [a, b)."""


class Value(Record):
    """Where the policy lost its success in a wrong answer: continuations of prefixes of the answer
    and its repair, drawn from the policy and graded."""

    SCHEMA: ClassVar[str] = "dfgen.value/1"
    trajectory_id: str
    prompt_id: str
    sample_index: Int32
    ids_sha256: str
    repair_ids_sha256: str
    """Of the ids of answer and repair as little-endian int32, 64 hex digits."""
    tokens: Int32
    """T, the length of the answer."""
    temperature: Float32
    prefix: Literal["ids", "text"] | None
    """How the policy was given beginnings: as ids (null in old rows), or as text for a server."""
    drawn: Int32
    """Continuations drawn for this row and no earlier one: equal prefixes of a prompt share
    them."""
    value_start: Float32
    """V(0), from draws of its own and not those of the group."""
    value_points: list[ValuePoint]
    hunk_values: list[HunkValue]
    blame: list[MaskBlame]


class Reject(Record):
    """A row that went no further, and why. Nothing is dropped without one."""

    SCHEMA: ClassVar[str] = "dfgen.reject/1"
    stage: str
    """prompts, sample, repair, mask, or the name of a side stage."""
    row_id: str
    """trajectory_id, prompt_id, or of a source row `file:number`: the line of a text file, counted
    from 1; the row of any other source, counted from 0."""
    prompt_id: str | None
    reason: str
    detail: str
    evidence: str
    """JSON object."""
    source_id: str | None = None
    """The user's own id of the row, as far as it was read; see `Prompt` and `Trajectory`."""

    @classmethod
    def from_error(
        cls,
        stage: str,
        row_id: str,
        prompt_id: str | None,
        error: RowError,
    ) -> Reject:
        """Make the entry of a row that an error stopped; every stage makes its rejects here."""
        return cls(
            stage=stage,
            row_id=row_id,
            prompt_id=prompt_id,
            reason=error.reason,
            detail=error.detail,
            evidence=json.dumps(error.evidence, ensure_ascii=False, sort_keys=True, default=str),
        )


RIGHT_REWARD = 1.0
"""Of a right answer; what is below it is wrong, if worth something (see `is_right`)."""


def is_right(reward: float) -> bool:
    """Say whether this reward is of a right answer: needs no repair, accepted as a repair.

    The one meaning of right in dfgen. A partial reward is that of a wrong answer which is worth
    something: it is repaired, and its group's advantages use the partial value.
    """
    return reward >= RIGHT_REWARD


def make_trajectory_id(prompt_id: str, sample_index: int) -> str:
    """Make the key of a cell: `<prompt_id>-<sample_index>`."""
    return f"{prompt_id}-{sample_index}"


def split_trajectory_id(trajectory_id: str) -> tuple[str, int]:
    """Prompt and sample index of a key that `make_trajectory_id` made.

    Raises:
        ValueError: it did not.
    """
    prompt_id, _, index = trajectory_id.rpartition("-")
    return prompt_id, int(index)


RECORDS: tuple[type[Record], ...] = (
    *(Prompt, Trajectory, Repair, Control, Mask, Score, Value, Reject),
)
