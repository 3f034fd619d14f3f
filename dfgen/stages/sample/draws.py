"""Turns prompts into requests, answers into draws, and graded draws into trajectories.

Drawing and grading are two functions because they fail differently: a draw costs GPU time and must
be safe on disk before anything else is done with it; a verdict can always be computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from dfgen.arrow_types import Float32, Int32, Int64
from dfgen.config.sample import SampleConfig
from dfgen.engines.base import Engine, Message, Request, Result, derive_seed, is_logprob
from dfgen.errors import EngineError, RowError
from dfgen.records import (
    Prompt,
    Reject,
    Trajectory,
    VerdictInfo,
    make_trajectory_id,
    split_trajectory_id,
)
from dfgen.stages.prompting import Template, build_messages
from dfgen.stages.sample.agreement import Agreement

if TYPE_CHECKING:
    from dfgen.grade.pool import GradePool
    from dfgen.grade.verdict import GradeItem, Verdict
    from dfgen.tokens.tokenizer import TextTokenizer

PROMPT_FIELDS = ("question", "choices")


class Draw(BaseModel):
    """One finished cell as the journal keeps it: a completion not yet graded, or a failure."""

    trajectory_id: str
    prompt_id: str
    sample_index: Int32
    completion_ids: list[Int32] = []
    ids_source: Literal["sampled", "encoded"] = "sampled"
    logprobs: list[Float32] | None = None
    finish_reason: str
    stop_reason: str | None = None
    prompt_tokens: Int32 | None = None
    image_tokens: Int32 | None = None
    seed: Int64
    reason: str | None = None
    detail: str | None = None


class AnswerKey(BaseModel):
    """What grading needs of a prompt, and the own id that its rows carry; pictures stay on disk."""

    answer: str
    answer_type: str
    choices: list[str]
    precision: int | None = None
    source_id: str | None = None


def make_answer_key(prompt: Prompt) -> AnswerKey:
    """Return what grading needs of this prompt."""
    return AnswerKey(
        answer=prompt.answer,
        answer_type=prompt.answer_type,
        choices=prompt.choices,
        precision=prompt.precision,
        source_id=prompt.source_id,
    )


def order_for_batches(prompts: Iterable[Prompt]) -> list[Prompt]:
    """Prompts of one shard with those of like length together, for engines that pad.

    The order depends on the prompts alone, so an interrupted shard resumes with the same batches.
    """
    return sorted(prompts, key=lambda p: (len(p.images), len(p.question), p.prompt_id))


def write_chats(
    prompts: Iterable[Prompt], config: SampleConfig
) -> Iterator[tuple[Prompt, tuple[Message, ...]]]:
    """Write each prompt as the chat that the policy answers; the one way in which that is done.

    The chat template and its arguments, which belong to the chat, too, go with the request.
    """
    template = Template(config.prompt, PROMPT_FIELDS, "sample.prompt")
    for prompt in prompts:
        yield prompt, build_messages(prompt, template, config.system)


def make_requests(
    prompts: Iterable[Prompt], config: SampleConfig, run_seed: int, wanted: Collection[str]
) -> Iterator[Request]:
    """Make one request per wanted cell, the cells of a prompt one after the other."""
    for prompt, messages in write_chats(prompts, config):
        for index in range(config.num_samples):
            key = make_trajectory_id(prompt.prompt_id, index)
            if key in wanted:
                yield Request(
                    key=key,
                    messages=messages,
                    decoding=config,
                    seed=derive_seed(run_seed, prompt.prompt_id, index),
                    chat_template=config.chat_template,
                    chat_template_args=config.chat_template_args,
                )


def refuse_cells(
    prompt: Prompt, error: RowError, config: SampleConfig, run_seed: int, wanted: Collection[str]
) -> Iterator[Draw]:
    """Make draws that say why the wanted cells of a prompt are not drawn."""
    for index in range(config.num_samples):
        key = make_trajectory_id(prompt.prompt_id, index)
        if key in wanted:
            yield Draw(
                trajectory_id=key,
                prompt_id=prompt.prompt_id,
                sample_index=index,
                finish_reason="error",
                seed=derive_seed(run_seed, prompt.prompt_id, index),
                reason=error.reason,
                detail=error.detail,
            )


def draw_samples(
    engine: Engine,
    requests: Iterable[Request],
    retokenizer: TextTokenizer | None = None,
    agreement: Agreement[Draw] | None = None,
) -> Iterator[list[Draw]]:
    """Draw every requested cell; what finished together comes in one list.

    Args:
        engine: who generates.
        requests: from `make_requests`.
        retokenizer: encodes texts that come without token ids. Such ids may not be the sampled
            ones, so the draw is marked and has no logprobs.
        agreement: compares texts with their ids, where both come from elsewhere.

    Raises:
        EngineError: there is no retokenizer and the engine gives no token ids.
        ConfigError: no text is what the tokenizer makes of its ids.
    """
    asked: dict[str, tuple[int, bool]] = {}

    def watch(items: Iterable[Request]) -> Iterator[Request]:
        for request in items:
            asked[request.key] = request.seed, bool(request.decoding.stop)
            yield request

    for results in engine.generate(watch(requests)):
        draws = [
            _to_draw(result, *asked.pop(result.key), retokenizer, agreement) for result in results
        ]
        yield draws if agreement is None else agreement.sift(draws)
    if agreement is not None:
        yield agreement.release()


def _to_draw(
    result: Result,
    seed: int,
    stops: bool,
    retokenizer: TextTokenizer | None,
    agreement: Agreement[Draw] | None,
) -> Draw:
    prompt_id, index = split_trajectory_id(result.key)
    cell: dict[str, Any] = {
        "trajectory_id": result.key,
        "prompt_id": prompt_id,
        "sample_index": index,
        "finish_reason": result.finish_reason,
        "seed": seed,
    }
    if result.failure is not None:
        return Draw(**cell, reason=result.failure.reason, detail=result.failure.detail)
    cell |= {
        "stop_reason": result.stop_reason,
        # No prompt has none: nobody has counted them.
        "prompt_tokens": result.usage.prompt_tokens or None,
        "image_tokens": result.usage.image_tokens,
    }
    if result.token_ids is not None:
        return _keep_ids(cell, result, stops, agreement)
    if retokenizer is None:
        raise EngineError(
            "the policy's server returned text without token ids.",
            hint="Sample from a server that returns them (`vllm serve`, SGLang) or in process. "
            "`policy.retokenize: true` encodes the text again; such rows are marked, their ids "
            "may differ from the sampled ones, and they have no logprobs.",
        )
    if result.reasoning:
        detail = f"{len(result.reasoning):,} characters of reasoning are not in the text."
        return Draw(**cell, reason="reasoning_apart", detail=detail)
    ids = retokenizer.encode(result.text)
    if retokenizer.decode(ids) != result.text:
        detail = f"the tokenizer {retokenizer.name} does not give the text back from its own ids"
        return Draw(**cell, reason="not_encodable", detail=detail)
    return Draw(**cell, completion_ids=ids, ids_source="encoded")


def _keep_ids(
    cell: dict[str, Any], result: Result, stops: bool, agreement: Agreement[Draw] | None
) -> Draw:
    """Make the draw of an answer that came with its ids, if these can be believed."""
    ids, logprobs = list(result.token_ids or ()), result.logprobs
    flaw = None if logprobs is None else find_bad_logprob(logprobs)
    if flaw is not None:
        return Draw(**cell, reason="logprobs_invalid", detail=flaw)
    differs = agreement and agreement.find_difference(result, stops=stops)
    if differs:
        return Draw(**cell, reason=differs.reason, detail=differs.detail)
    kept = None if logprobs is None else list(logprobs)
    return Draw(**cell, completion_ids=ids, logprobs=kept)


def find_bad_logprob(values: Sequence[float]) -> str | None:
    """Name the first value that is no logprob as a column of float32 holds it; None if all are."""
    for index, value in enumerate(values):
        if not is_logprob(value):
            return f"{value!r} at token {index} of {len(values)} is no logprob."
    return None


def grade_draws(
    draws: Sequence[Draw],
    keys: Mapping[str, AnswerKey],
    tokenizer: TextTokenizer,
    pool: GradePool,
    model: str,
) -> Iterator[Trajectory | Reject]:
    """Decode and grade draws; one row out for every draw in, in order.

    A truncated completion (`finish_reason` length) is wrong whatever its text says: the policy did
    not finish answering.
    """
    readable: list[tuple[Draw, str]] = []
    rejects: dict[str, Reject] = {}
    for draw in draws:
        try:
            readable.append((draw, _decode(draw, tokenizer)))
        except RowError as error:
            rejects[draw.trajectory_id] = Reject.from_error(
                "sample", draw.trajectory_id, draw.prompt_id, error
            )
    verdicts = pool.grade_batch([_to_item(text, keys[draw.prompt_id]) for draw, text in readable])
    graded = {
        draw.trajectory_id: _to_trajectory(
            draw, text, verdict, model, keys[draw.prompt_id].source_id
        )
        for (draw, text), verdict in zip(readable, verdicts, strict=True)
    }
    for draw in draws:
        yield rejects.get(draw.trajectory_id) or graded[draw.trajectory_id]


def grade_texts(items: Sequence[tuple[str, AnswerKey]], pool: GradePool) -> Iterator[Verdict]:
    """Grade (text, answer key) pairs in order."""
    return pool.grade_many(_to_item(text, key) for text, key in items)


def _to_item(text: str, key: AnswerKey) -> GradeItem:
    from dfgen.grade.verdict import GradeItem

    return GradeItem(
        completion=text,
        answer=key.answer,
        answer_type=key.answer_type,
        choices=tuple(key.choices),
        precision=key.precision,
    )


def describe_verdict(verdict: Verdict) -> VerdictInfo:
    """Describe the verdict as records keep it."""
    return VerdictInfo(
        correct=verdict.correct,
        grader=verdict.grader,
        extracted=verdict.extracted,
        expected=verdict.expected,
        method=verdict.method,
        detail=verdict.detail,
        undecided=verdict.undecided,
    )


def settle_verdict(verdict: Verdict, *, truncated: bool) -> tuple[VerdictInfo, float]:
    """Return the verdict as records keep it, and the reward.

    Args:
        truncated: the policy did not finish answering, so it is wrong whatever its text says, and
            also where nobody can read it.
    """
    info = describe_verdict(verdict)
    if not truncated:
        return info, verdict.reward
    note = "truncated at the length limit, so it is wrong"
    changes = {"correct": False, "undecided": False, "detail": f"{note}; {info.detail}"}
    return info.model_copy(update=changes), 0.0


def _decode(draw: Draw, tokenizer: TextTokenizer) -> str:
    if draw.reason is not None:
        raise RowError(draw.reason, draw.detail or "")
    if draw.logprobs is not None and len(draw.logprobs) != len(draw.completion_ids):
        raise RowError(
            "logprobs_length",
            f"{len(draw.logprobs)} logprobs for {len(draw.completion_ids)} tokens.",
        )
    return tokenizer.decode(draw.completion_ids)


def _to_trajectory(
    draw: Draw, text: str, verdict: Verdict, model: str, source_id: str | None
) -> Trajectory:
    info, reward = settle_verdict(verdict, truncated=draw.finish_reason == "length")
    values: dict[str, Any] = draw.model_dump(exclude={"reason", "detail"})
    return Trajectory(
        **values,
        completion=text,
        model=model,
        reward=reward,
        verdict=info,
        metadata="{}",
        source_id=source_id,
    )
