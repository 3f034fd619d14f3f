"""The repair stage: wrong trajectories in, verified small edits of them out.

Work is done in rounds: round 1 asks for repairs of every wrong trajectory, round 2 asks again where
round 1 was refused, and so on. Within a round requests stream without a pause, and what a round
asks for depends only on what the rounds before it left on disk.

- ``repair_selection``: what is sent, and when a trajectory is decided.
- ``repair_prompt``, ``repair_parse``: what the repairer is told, and what it says.
- ``repair_compare``, ``checks``: what changed, and whether that is accepted.
- ``repair_weights``: what several repairs, and hunks taken back, say about single tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dfgen.config.engine import Price
from dfgen.config.repair import RepairConfig
from dfgen.engines.base import Engine, Request, Result, derive_seed
from dfgen.errors import RowError
from dfgen.records import Attempt, Control, Prompt, Trajectory
from dfgen.stages.checks import Candidate, judge_candidate
from dfgen.stages.prompting import build_messages
from dfgen.stages.repair_compare import Accepted, Comparison
from dfgen.stages.repair_parse import EDIT_SCHEMA, Proposal, parse_output
from dfgen.stages.repair_prompt import fill_fields, load_template
from dfgen.stages.sample import AnswerKey, make_answer_key, to_sampling

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig
    from dfgen.grade.pool import GradePool
    from dfgen.tokens.tokenizer import TextTokenizer


#: Characters of an answer that are kept on record; no repair that is accepted is longer.
_KEPT = 1_000_000


@dataclass(frozen=True, slots=True)
class Task:
    """One request to make.

    Attributes:
        trajectory: wrong; or right, for a control.
        index: of the attempt it will be.
        earlier: the attempts of the rounds before.
        control: whether it is one.
    """

    trajectory: Trajectory
    prompt: Prompt
    index: int = 0
    earlier: tuple[Attempt, ...] = ()
    control: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """One finished attempt; `accepted` is set when it was, `control` when it was one."""

    trajectory_id: str
    attempt: Attempt
    accepted: Accepted | None = None
    control: Control | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What judging needs of a task; its pictures are let go of while the request is out."""

    trajectory: Trajectory
    key: AnswerKey
    index: int
    seed: int
    control: bool


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

    Attributes:
        by_schema: answers so far that were, and were not, as the JSON schema asked.
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
        self.by_schema = {True: 0, False: 0}

    def run_round(self, tasks: Iterable[Task]) -> Iterator[list[Outcome]]:
        """Do each task; what finished together comes in one list."""
        waiting: dict[str, _Waiting] = {}

        def ask() -> Iterator[Request]:
            for task in tasks:
                request = self.make_request(task)
                waiting[request.key] = _Waiting(
                    task.trajectory,
                    make_answer_key(task.prompt),
                    task.index,
                    request.seed,
                    task.control,
                )
                yield request

        for results in self.engine.generate(ask()):
            yield [self._judge(result, waiting.pop(result.key)) for result in results]

    def make_request(self, task: Task) -> Request:
        """The request of a task."""
        trajectory, config = task.trajectory, self.config
        candidate = task.index % config.candidates
        last_round = task.index // config.candidates - 1
        refusals = [a for a in task.earlier if a.index // config.candidates == last_round]
        fields = fill_fields(trajectory, task.prompt, refusals, config)
        decoding = config.decoding
        if task.index > 0:
            decoding = decoding.model_copy(update={"temperature": config.retry_temperature})
        structured = config.protocol == "hunks" and config.structured_output == "auto"
        name = trajectory.trajectory_id
        return Request(
            key=name if candidate == 0 else f"{name}#{candidate}",
            messages=build_messages(task.prompt, self.template, config.system, fields),
            sampling=to_sampling(decoding),
            seed=derive_seed(self.seed, "repair", name, task.index),
            chat_template_args=config.chat_template_args,
            with_logprobs=False,
            response_schema=EDIT_SCHEMA if structured else None,
        )

    def _judge(self, result: Result, waiting: _Waiting) -> Outcome:
        trajectory = waiting.trajectory
        name = trajectory.trajectory_id
        proposal = parse_output(result.text, trajectory.completion, self.config)
        comparison = Comparison(
            trajectory, proposal, waiting.key, self.tokenizer, self.pool, self.mask
        )
        if result.failure is None and result.finish_reason == "stop":
            self.by_schema[proposal.by_schema] += 1
        if waiting.control:
            control = self._judge_control(result, proposal, comparison, waiting)
            return Outcome(name, control.attempt, control=control)
        accepted = None
        try:
            reason, detail = self._check(result, proposal, comparison)
            if reason == "accepted":
                tested = self.config.necessity == "grade"
                accepted = comparison.accept(
                    comparison.test_necessity(self.config.unneeded_weight) if tested else None
                )
        except RowError as error:
            reason, detail = error.reason, error.detail
        return Outcome(name, self._record(result, waiting, reason, detail), accepted)

    def _check(self, result: Result, proposal: Proposal, comparison: Comparison) -> tuple[str, str]:
        if result.failure is not None:
            return result.failure.reason, result.failure.detail
        candidate = Candidate(
            proposal=proposal,
            original=comparison.trajectory.completion,
            finish_reason=result.finish_reason,
            reference=comparison.key.answer,
            choices=tuple(comparison.key.choices),
            measure=lambda: comparison.diff,
            judge=lambda: comparison.verdict,
        )
        return judge_candidate(candidate, self.config)

    def _judge_control(
        self, result: Result, proposal: Proposal, comparison: Comparison, waiting: _Waiting
    ) -> Control:
        """Say what the repairer did to a right answer."""
        changed, text, reward, ratio = False, None, None, None
        if result.failure is not None:
            reason, detail = result.failure.reason, result.failure.detail
        elif result.finish_reason != "stop":
            reason, detail = "not_finished", f"stopped because of {result.finish_reason}."
        elif proposal.unreadable or proposal.inapplicable or not proposal.text:
            reason, detail = "unreadable", proposal.unreadable or proposal.inapplicable or "empty."
        else:
            try:
                changed = comparison.is_changed()
                ratio = comparison.diff.quality.edit_ratio
                text, reward = proposal.text, comparison.verdict.reward
                reason, detail = ("changed" if changed else "unchanged"), ""
            except RowError as error:
                reason, detail = error.reason, error.detail
        trajectory = waiting.trajectory
        return Control(
            trajectory_id=trajectory.trajectory_id,
            prompt_id=trajectory.prompt_id,
            sample_index=trajectory.sample_index,
            changed=changed,
            text=text,
            reward=reward,
            edit_ratio=ratio,
            attempt=self._record(result, waiting, reason, detail),
            model=self.engine.info.model,
        )

    def _record(self, result: Result, waiting: _Waiting, reason: str, detail: str) -> Attempt:
        usage, price = result.usage, self.price
        cost = usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion
        return Attempt(
            index=waiting.index,
            accepted=reason == "accepted",
            reason=reason,
            detail=detail.encode("utf-8", "replace").decode(),
            # Files hold UTF-8; a lone surrogate, which JSON can spell, is none.
            text=result.text[:_KEPT].encode("utf-8", "replace").decode(),
            finish_reason=result.finish_reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=cost / 1e6,
            seed=waiting.seed,
        )


def explain_refusal(attempts: tuple[Attempt, ...]) -> RowError:
    """Why a trajectory has no repair: the last attempt's reason, all attempts as evidence."""
    return RowError(
        attempts[-1].reason,
        attempts[-1].detail,
        {"attempts": [attempt.model_dump() for attempt in attempts]},
    )
