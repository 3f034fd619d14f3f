"""The repair stage: wrong trajectories in, verified small edits of them out.

Work is done in rounds: round 1 asks for one repair of every wrong trajectory, round 2 asks again
where round 1 was refused, and so on. Within a round requests stream without a pause, and what a
round asks for depends only on what the rounds before it left on disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.config.engine import Price
from dfgen.config.repair import RepairConfig
from dfgen.engines.base import Engine, Request, Result, derive_seed
from dfgen.errors import ConfigError, RowError
from dfgen.records import Attempt, Prompt, Repair, Trajectory
from dfgen.stages.checks import Candidate, judge_candidate
from dfgen.stages.prompting import Template, build_messages
from dfgen.stages.sample import (
    AnswerKey,
    describe_verdict,
    grade_texts,
    make_answer_key,
    to_sampling,
)

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig
    from dfgen.diff.pair import PairDiff
    from dfgen.grade.pool import GradePool
    from dfgen.grade.verdict import Verdict
    from dfgen.tokens.tokenizer import TextTokenizer

TEMPLATE_FIELDS = ("question", "choices", "completion", "reference", "feedback")

_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_TAGGED = re.compile(r"<corrected>(.*)</corrected>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Task:
    """One wrong trajectory that needs a repair, with the attempts made so far."""

    trajectory: Trajectory
    prompt: Prompt
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One finished attempt; `repair` is set when it was accepted."""

    trajectory_id: str
    attempt: Attempt
    repair: Repair | None


def needs_repair(trajectory: Trajectory) -> bool:
    """Wrong by the grader's verdict."""
    return trajectory.reward < 1.0


def check_repairable(trajectory: Trajectory) -> None:
    """Refuse trajectories whose repair would say nothing about their tokens.

    Raises:
        RowError: `truncated` (the text stops in the middle, so a repair would have to add an
            ending), or `empty_completion`.
    """
    if trajectory.finish_reason == "length":
        raise RowError(
            "truncated",
            f"the completion was cut off after {len(trajectory.completion_ids)} tokens.",
        )
    if not trajectory.completion.strip():
        raise RowError("empty_completion", "the completion has no text.")


class Repairer:
    """Turns tasks into requests and results into judged attempts.

    Args:
        config: the repair section.
        engine: who generates.
        tokenizer: of the policy: budgets are counted in its tokens.
        pool: grades repaired answers.
        mask: how texts are compared.
        seed: the run's seed.
        price: what the repairer charges.
    """

    def __init__(
        self,
        config: RepairConfig,
        engine: Engine,
        tokenizer: TextTokenizer,
        pool: GradePool,
        mask: MaskConfig,
        seed: int,
        price: Price,
    ) -> None:
        self.config = config
        self.engine = engine
        self.tokenizer = tokenizer
        self.pool = pool
        self.mask = mask
        self.seed = seed
        self.price = price
        self.template = load_template(config)

    def run_round(self, tasks: Iterable[Task]) -> Iterator[list[Outcome]]:
        """One attempt for each task; what finished together comes in one list."""
        waiting: dict[str, tuple[Trajectory, AnswerKey, tuple[Attempt, ...], int]] = {}

        def ask() -> Iterator[Request]:
            for task in tasks:
                request = self.make_request(task)
                key = make_answer_key(task.prompt)
                waiting[request.key] = (task.trajectory, key, task.attempts, request.seed)
                yield request

        for results in self.engine.generate(ask()):
            yield [self._judge(result, *waiting.pop(result.key)) for result in results]

    def make_request(self, task: Task) -> Request:
        """The request of a task's next attempt."""
        index = len(task.attempts)
        trajectory = task.trajectory
        messages = build_messages(
            task.prompt,
            self.template,
            self.config.system,
            {
                "completion": trajectory.completion,
                "reference": self._state_reference(task.prompt),
                "feedback": _state_feedback(task.attempts),
            },
        )
        decoding = self.config.decoding
        if index > 0:
            decoding = decoding.model_copy(update={"temperature": self.config.retry_temperature})
        return Request(
            key=trajectory.trajectory_id,
            messages=messages,
            sampling=to_sampling(decoding),
            seed=derive_seed(self.seed, "repair", trajectory.trajectory_id, index),
            chat_template_args=self.config.chat_template_args,
            with_logprobs=False,
        )

    def _state_reference(self, prompt: Prompt) -> str:
        if self.config.answer == "blind":
            return ""
        lines = f"\nReference answer: {prompt.answer}\n"
        if self.config.show_solution and prompt.solution:
            lines += f"Reference solution:\n{prompt.solution}\n"
        return lines

    def _judge(
        self,
        result: Result,
        trajectory: Trajectory,
        key: AnswerKey,
        earlier: tuple[Attempt, ...],
        seed: int,
    ) -> Outcome:
        text = parse_rewrite(result.text, trajectory.completion)
        comparison = Comparison(trajectory, text, key, self)
        if result.failure is not None:
            reason, detail = result.failure.reason, result.failure.detail
        else:
            candidate = Candidate(
                text=text,
                original=trajectory.completion,
                finish_reason=result.finish_reason,
                measure=lambda: comparison.diff,
                judge=lambda: comparison.verdict,
            )
            reason, detail = judge_candidate(candidate, self.config)
        usage = result.usage
        attempt = Attempt(
            index=len(earlier),
            accepted=reason == "accepted",
            reason=reason,
            detail=detail,
            text=result.text,
            finish_reason=result.finish_reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=(
                usage.prompt_tokens * self.price.prompt
                + usage.completion_tokens * self.price.completion
            )
            / 1e6,
            seed=seed,
        )
        if not attempt.accepted:
            return Outcome(trajectory.trajectory_id, attempt, None)
        return Outcome(trajectory.trajectory_id, attempt, comparison.to_repair((*earlier, attempt)))


class Comparison:
    """A candidate beside the trajectory it repairs; each side is computed once, when asked for."""

    def __init__(
        self, trajectory: Trajectory, text: str, key: AnswerKey, repairer: Repairer
    ) -> None:
        self.trajectory = trajectory
        self.text = text
        self.key = key
        self.repairer = repairer

    @cached_property
    def diff(self) -> PairDiff:
        """What the repair changed, in the policy's tokens."""
        from dfgen.diff.pair import diff_pair

        return diff_pair(
            self.trajectory.completion,
            self.text,
            self.repairer.tokenizer,
            self.repairer.mask,
            completion_ids=self.trajectory.completion_ids,
        )

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the repaired answer is right."""
        return next(iter(grade_texts([(self.text, self.key)], self.repairer.pool)))

    def to_repair(self, attempts: tuple[Attempt, ...]) -> Repair:
        """The record of an accepted repair."""
        quality = self.diff.quality
        return Repair(
            trajectory_id=self.trajectory.trajectory_id,
            prompt_id=self.trajectory.prompt_id,
            sample_index=self.trajectory.sample_index,
            repair=self.text,
            protocol=self.repairer.config.protocol,
            edits=None,
            reward=self.verdict.reward,
            verdict=describe_verdict(self.verdict),
            edit_ratio=quality.edit_ratio,
            step_edit_ratio=quality.step_edit_ratio,
            answer_only=touches_only_answer(self.diff),
            attempts=list(attempts),
            model=self.repairer.engine.info.model,
            cost_usd=sum(attempt.cost_usd for attempt in attempts),
        )


def touches_only_answer(diff: PairDiff) -> bool:
    """Every edit lies where the final answer is stated; the reasoning before it stayed."""
    from dfgen.grade.extract import find_answer_spans

    spans = [
        (len(diff.completion[:start].encode()), len(diff.completion[:end].encode()))
        for start, end in find_answer_spans(diff.completion)
    ]
    return bool(diff.hunks) and all(
        any(start <= hunk.wrong_bytes[0] and hunk.wrong_bytes[1] <= end for start, end in spans)
        for hunk in diff.hunks
    )


def parse_rewrite(text: str, original: str) -> str:
    """Take the corrected answer out of what the repairer wrote.

    Reasoning in `<think>` before it is dropped, `<corrected>` tags are taken off, and the white
    space around the original is put back, so that its absence is never an edit.
    """
    text = _THINKING.sub("", text, count=1)
    tagged = _TAGGED.search(text)
    body = (tagged.group(1) if tagged else text).strip()
    if not body:
        return ""
    start = len(original) - len(original.lstrip())
    end = len(original.rstrip())
    return original[:start] + body + original[max(end, start) :]


def load_template(config: RepairConfig) -> Template:
    """The user message's template: the user's own, or the protocol's that comes with dfgen."""
    if config.prompt is None:
        return Template(
            read_packaged_template(config.protocol), TEMPLATE_FIELDS, f"{config.protocol}.txt"
        )
    if not config.prompt.startswith("file:"):
        return Template(config.prompt, TEMPLATE_FIELDS, "repair.prompt")
    path = Path(config.prompt.removeprefix("file:"))
    try:
        return Template(path.read_text(encoding="utf-8"), TEMPLATE_FIELDS, str(path))
    except OSError as error:
        raise ConfigError(
            f"the template cannot be read: {error.strerror}.", where=f"repair.prompt: {path}"
        ) from None


def hash_template(config: RepairConfig) -> str:
    """sha256 of the user message's template: repairs made from another one are not comparable."""
    return hashlib.sha256(load_template(config).text.encode()).hexdigest()


@cache
def read_packaged_template(protocol: str) -> str:
    """Text of the template that comes with dfgen for a protocol."""
    return resources.files("dfgen.stages").joinpath(f"prompts/{protocol}.txt").read_text("utf-8")


def _state_feedback(attempts: tuple[Attempt, ...]) -> str:
    if not attempts:
        return ""
    return f"\nYour previous attempt was refused: {attempts[-1].detail} Try again.\n"


def explain_refusal(attempts: tuple[Attempt, ...]) -> RowError:
    """Why a trajectory has no repair: the last attempt's reason, all attempts as evidence."""
    return RowError(
        attempts[-1].reason,
        attempts[-1].detail,
        {"attempts": [attempt.model_dump() for attempt in attempts]},
    )
