"""Judges what the repairer answered: is it a repair that can be accepted, and if not, why not?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from dfgen.config.engine import Price
from dfgen.config.repair import RepairConfig
from dfgen.diff.spans import Span
from dfgen.engines.base import Result, Usage, as_utf8
from dfgen.errors import RowError
from dfgen.records import Attempt, Control, Trajectory
from dfgen.stages.repair.checks import find_flaw, judge_candidate
from dfgen.stages.repair.compare import Accepted, Comparison
from dfgen.stages.repair.necessity import NEEDED, UNNEEDED, is_changed_at
from dfgen.stages.repair.parse import parse_output
from dfgen.stages.repair.plan import Purpose
from dfgen.stages.sample.draws import AnswerKey

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig
    from dfgen.grade.pool import GradePool
    from dfgen.tokens.tokenizer import TextTokenizer

#: Characters of an answer that are kept on record; no repair that is accepted is longer.
KEPT = 1_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """One finished request; `accepted` is set when a repair was, `control` when it was one.

    `by_schema` says whether the answer was as the JSON schema asked; None for none at all. `about`
    names the text of a test of necessity (`Pending.about`).
    """

    trajectory_id: str
    purpose: Purpose
    attempt: Attempt
    accepted: Accepted | None = None
    control: Control | None = None
    by_schema: bool | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who answers a request, and what that costs.

    Attributes:
        lane: how the request travels; None: an earlier dfgen did not say.
        price: in that lane.
    """

    model: str | None
    lane: str | None
    price: Price


@dataclass(frozen=True, slots=True)
class Pending:
    """What judging needs of a task; its pictures are let go of while the request is out.

    Attributes are those of the task; `key` says what is right, `seed` is the request's. `by` says
    who answers; None: the judge's repairer. Of an answer on record `cost_usd` is what it has cost,
    None if nobody knows: prices may have changed since.
    """

    trajectory: Trajectory
    key: AnswerKey
    purpose: Purpose
    index: int
    place: Span
    seed: int
    cost_usd: float | None = None
    is_recorded: bool = False
    by: Answerer | None = None

    @property
    def about(self) -> str | None:
        """Name of the text that a test sent, 16 hex digits; None if it was the trajectory's own."""
        return name_text(self.trajectory.completion) if self.purpose == "necessity" else None


Answers = Sequence[tuple[Result, Pending]]
"""Results that finished together."""


class Judges(Protocol):
    """Who judges, in this process or in others."""

    def judge_all(self, answers: Iterable[Answers]) -> Iterator[list[Outcome]]:
        """Judge lists of answers as they come; outcomes come as they are ready, in any order.

        An empty list says that no answer is ready now, and gives a chance to hand outcomes back.
        """


class Judge:
    """Reads results and compares them with the texts they were asked about.

    Args:
        config: the repair section.
        tokenizer: of the policy: budgets are counted in its tokens.
        pool: grades repaired answers.
        mask: how texts are compared.
        price: what the repairer charges.
        model: the repairer's name.
    """

    def __init__(
        self,
        config: RepairConfig,
        tokenizer: TextTokenizer,
        pool: GradePool,
        mask: MaskConfig,
        price: Price,
        model: str,
    ) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.pool = pool
        self.mask = mask
        self.price = price
        self.model = model

    def judge_all(self, answers: Iterable[Answers]) -> Iterator[list[Outcome]]:
        """Judge lists of answers as they come."""
        for batch in answers:
            yield [self.judge(result, pending) for result, pending in batch]

    def judge(self, result: Result, pending: Pending) -> Outcome:
        """Say what came of a request; an answer that cannot be used is an outcome like others."""
        trajectory = pending.trajectory
        proposal = parse_output(result.text, trajectory.completion, self.config)
        comparison = Comparison(
            trajectory, proposal, pending.key, self.tokenizer, self.pool, self.mask
        )
        judge = {
            "repair": self._judge_repair,
            "control": self._judge_control,
            "necessity": self._judge_necessity,
        }[pending.purpose]
        outcome = judge(result, comparison, pending)
        if result.failure is None and result.finish_reason == "stop":
            return replace(outcome, by_schema=proposal.by_schema)
        return outcome

    def _judge_repair(self, result: Result, comparison: Comparison, pending: Pending) -> Outcome:
        """Accept a repair of a wrong trajectory, or say what refuses it."""
        accepted = None
        try:
            if result.failure is not None:
                reason, detail = result.failure.reason, result.failure.detail
            else:
                candidate = comparison.as_candidate(result.finish_reason)
                reason, detail = judge_candidate(candidate, self.config)
            if reason == "accepted":
                tested = self.config.necessity != "off"
                accepted = comparison.accept(
                    comparison.test_necessity(self.config.unneeded_weight) if tested else None
                )
        except RowError as error:
            reason, detail = error.reason, error.detail
        return self._finish(pending, self._record(result, pending, reason, detail), accepted)

    def _judge_necessity(self, result: Result, comparison: Comparison, pending: Pending) -> Outcome:
        """Say whether the repairer changed the hunk that was taken back."""
        reason, detail = self._find_flaw(result, comparison) or (UNNEEDED, "")
        try:
            if reason == UNNEEDED and is_changed_at(comparison.diff.hunks, pending.place):
                reason = NEEDED
        except RowError as error:
            reason, detail = error.reason, error.detail
        return self._finish(pending, self._record(result, pending, reason, detail))

    def _judge_control(self, result: Result, comparison: Comparison, pending: Pending) -> Outcome:
        """Say what the repairer did to a right answer."""
        changed, text, reward, ratio = False, None, None, None
        reason, detail = self._find_flaw(result, comparison) or ("unchanged", "")
        try:
            if reason == "unchanged":
                changed = comparison.is_changed()
                ratio = comparison.diff.quality.edit_ratio
                reward = comparison.verdict.reward
                text = comparison.proposal.text
                reason = "changed" if changed else "unchanged"
        except RowError as error:
            reason, detail = error.reason, error.detail
        trajectory, attempt = pending.trajectory, self._record(result, pending, reason, detail)
        control = Control(
            trajectory_id=trajectory.trajectory_id,
            prompt_id=trajectory.prompt_id,
            sample_index=trajectory.sample_index,
            changed=changed,
            text=text,
            reward=reward,
            edit_ratio=ratio,
            attempt=attempt,
            model=attempt.model or self.model,
        )
        return self._finish(pending, attempt, control=control)

    def _find_flaw(self, result: Result, comparison: Comparison) -> tuple[str, str] | None:
        """Why there is nothing to compare, or None."""
        if result.failure is not None:
            return result.failure.reason, result.failure.detail
        return find_flaw(comparison.as_candidate(result.finish_reason), self.config)

    def _finish(
        self,
        pending: Pending,
        attempt: Attempt,
        accepted: Accepted | None = None,
        control: Control | None = None,
    ) -> Outcome:
        name = pending.trajectory.trajectory_id
        return Outcome(name, pending.purpose, attempt, accepted, control, about=pending.about)

    def _record(self, result: Result, pending: Pending, reason: str, detail: str) -> Attempt:
        usage, by = result.usage, pending.by or Answerer(self.model, None, self.price)
        return Attempt(
            index=pending.index,
            accepted=reason == "accepted",
            reason=reason,
            detail=as_utf8(detail),
            text=as_utf8(result.text[:KEPT]),
            finish_reason=result.finish_reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=pending.cost_usd if pending.is_recorded else count_cost(usage, by.price),
            seed=pending.seed,
            cached_tokens=usage.cached_tokens,
            model=by.model,
            lane=by.lane,
        )


def name_text(text: str) -> str:
    """Name a text that a test of necessity sent: 16 hex digits of its sha256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def count_cost(usage: Usage, price: Price) -> float | None:
    """Count dollars for the tokens of one request (`Price.count`)."""
    return price.count(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
