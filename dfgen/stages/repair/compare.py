"""Compares a repair with the wrong answer it was made for: what changed, and is it right now?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import BaseModel

from dfgen.config.repair import RepairConfig
from dfgen.records import Attempt, Necessity, Repair, Trajectory, VerdictInfo, is_right
from dfgen.stages.repair.checks import Candidate
from dfgen.stages.repair.leak import touches_only_answer
from dfgen.stages.repair.necessity import record_verdicts, settle, take_back
from dfgen.stages.repair.parse import Proposal
from dfgen.stages.sample.draws import AnswerKey, describe_verdict, grade_texts

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig
    from dfgen.diff.hunks import RepairerEdit
    from dfgen.diff.pair import PairDiff
    from dfgen.grade.pool import GradePool
    from dfgen.grade.verdict import Verdict
    from dfgen.tokens.tokenizer import TextTokenizer


class Accepted(BaseModel):
    """An accepted candidate as the journal keeps it."""

    text: str
    edits: str | None
    reward: float
    verdict: VerdictInfo
    edit_ratio: float
    step_edit_ratio: float
    answer_only: bool
    necessity: list[Necessity] | None = None


class Comparison:
    """Computes each side once, when it is asked for."""

    def __init__(
        self,
        trajectory: Trajectory,
        proposal: Proposal,
        key: AnswerKey,
        tokenizer: TextTokenizer,
        pool: GradePool,
        mask: MaskConfig,
    ) -> None:
        self.trajectory = trajectory
        self.proposal = proposal
        self.key = key
        self._tokenizer = tokenizer
        self._pool = pool
        self._mask = mask

    @cached_property
    def diff(self) -> PairDiff:
        """What the repair changed, in the policy's tokens. Raises `RowError`."""
        from dfgen.diff.pair import diff_pair

        return diff_pair(
            self.trajectory.completion,
            self.proposal.text,
            self._tokenizer,
            self._mask,
            completion_ids=self.trajectory.completion_ids,
            edits=self.proposal.edits,
        )

    @cached_property
    def verdict(self) -> Verdict:
        """Whether the repaired answer is right."""
        return self._grade([self.proposal.text])[0]

    @cached_property
    def answer_only(self) -> bool:
        """Whether every edit lies where the final answer is stated."""
        return touches_only_answer(self.diff)

    def is_changed(self) -> bool:
        """Say whether anything is said differently: changes of format and moves do not count."""
        if self.proposal.text == self.trajectory.completion:
            return False
        return any(hunk.in_mask for hunk in self.diff.hunks)

    def accept(self, necessity: list[Necessity] | None) -> Accepted:
        """Write down the candidate, which has passed every check."""
        quality = self.diff.quality
        return Accepted(
            text=self.proposal.text,
            edits=write_edits(self.proposal.edits),
            reward=self.verdict.reward,
            verdict=describe_verdict(self.verdict),
            edit_ratio=quality.edit_ratio,
            step_edit_ratio=quality.step_edit_ratio,
            answer_only=self.answer_only,
            necessity=necessity,
        )

    def as_candidate(self, finish_reason: str) -> Candidate:
        """Return the repair as the checks look at it."""
        return Candidate(
            proposal=self.proposal,
            original=self.trajectory.completion,
            finish_reason=finish_reason,
            reference=self.key.answer,
            choices=tuple(self.key.choices),
            measure=lambda: self.diff,
            judge=lambda: self.verdict,
            answer_only=lambda: self.answer_only,
        )

    def test_necessity(self, unneeded_weight: float) -> list[Necessity]:
        """Take back each hunk of the mask alone and grade what is left.

        Args:
            unneeded_weight: of hunks without which the answer is right too.
        """
        hunks = [hunk for hunk in self.diff.hunks if hunk.in_mask]
        texts = [
            take_back(self.diff.completion, self.diff.repair, hunk.wrong_bytes, hunk.right_bytes)[0]
            for hunk in hunks
        ]
        right = [is_right(verdict.reward) for verdict in self._grade(texts)]
        return record_verdicts(hunks, right, unneeded_weight)

    def _grade(self, texts: Sequence[str]) -> list[Verdict]:
        return list(grade_texts([(text, self.key) for text in texts], self._pool))


def write_edits(edits: Sequence[RepairerEdit]) -> str | None:
    """Return the repairer's edits as the record keeps them; None where there are none."""
    if not edits:
        return None
    return json.dumps(
        [{"find": e.find, "replace": e.replace, "reason": e.reason, "kind": e.kind} for e in edits],
        ensure_ascii=False,
    )


def choose_smallest(accepted: Sequence[tuple[int, Accepted]]) -> Accepted:
    """Choose the candidate that is the repair: the smallest edit, the earliest of equal ones."""
    return _order(accepted)[0]


def build_repair(
    trajectory: Trajectory,
    attempts: Sequence[Attempt],
    accepted: Sequence[tuple[int, Accepted]],
    tests: Mapping[int, Attempt],
    config: RepairConfig,
    model: str,
) -> Repair:
    """Build the row of a repaired trajectory: the smallest accepted candidate, others beside it.

    Args:
        attempts: all there were, in the order of their indices.
        accepted: index of the attempt and candidate; at least one.
        tests: index of a hunk -> what the repairer made of the repair without it.
        model: the repairer.
    """
    best, *others = _order(accepted)
    necessity = settle(best.necessity, tests, config)
    used = [entry.attempt for entry in necessity or () if entry.attempt is not None]
    return Repair(
        trajectory_id=trajectory.trajectory_id,
        prompt_id=trajectory.prompt_id,
        sample_index=trajectory.sample_index,
        repair=best.text,
        protocol=config.protocol,
        edits=best.edits,
        reward=best.reward,
        verdict=best.verdict,
        edit_ratio=best.edit_ratio,
        step_edit_ratio=best.step_edit_ratio,
        answer_only=best.answer_only,
        attempts=list(attempts),
        model=_find_author(attempts, accepted, best) or model,
        cost_usd=_add_costs((*attempts, *used)),
        alternatives=[other.text for other in others],
        necessity=necessity,
    )


def _find_author(
    attempts: Sequence[Attempt], accepted: Sequence[tuple[int, Accepted]], best: Accepted
) -> str | None:
    """Name who made a candidate; None: an earlier dfgen did not say."""
    index = next(number for number, each in accepted if each is best)
    return next((each.model for each in attempts if each.index == index), None)


def _add_costs(attempts: Iterable[Attempt]) -> float | None:
    costs = [attempt.cost_usd for attempt in attempts]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _order(accepted: Sequence[tuple[int, Accepted]]) -> list[Accepted]:
    return [each for _, each in sorted(accepted, key=lambda item: (item[1].edit_ratio, item[0]))]


def copy_repair(
    trajectory: Trajectory, repair: Repair, tokenizer: TextTokenizer, mask: MaskConfig
) -> Repair:
    """Give a trajectory the repair of an identical one of its group, measured on its own ids.

    Raises:
        RowError: the ids of this trajectory do not give its text.
    """
    from dfgen.diff.pair import diff_pair

    # What was paid for stands in one row only.
    necessity = repair.necessity and [
        entry.model_copy(update={"attempt": None}) for entry in repair.necessity
    ]
    quality = diff_pair(
        trajectory.completion,
        repair.repair,
        tokenizer,
        mask,
        completion_ids=trajectory.completion_ids,
    ).quality
    return repair.model_copy(
        update={
            "trajectory_id": trajectory.trajectory_id,
            "sample_index": trajectory.sample_index,
            "edit_ratio": quality.edit_ratio,
            "step_edit_ratio": quality.step_edit_ratio,
            "attempts": [],
            "cost_usd": 0.0,
            "necessity": necessity,
            "copy_of": repair.trajectory_id,
        }
    )
