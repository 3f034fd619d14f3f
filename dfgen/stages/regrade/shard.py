"""Finds what grading one shard anew changes: verdicts, and which repairs are still wanted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dfgen.config.grade import UndecidedPolicy
from dfgen.grade.pool import GradePool
from dfgen.grade.verdict import Verdict
from dfgen.records import VerdictInfo, is_right
from dfgen.stages.sample.draws import AnswerKey, grade_texts, settle_verdict
from dfgen.store.run import Run

_LOOKED_AT = ("trajectory_id", "prompt_id", "completion", "finish_reason", "reward", "verdict")

Key = tuple[str, str]
"""A prompt_id and a text."""


@dataclass
class Regraded:
    """A shard with its new verdicts.

    Attributes:
        verdicts: trajectory_id -> the new `reward` and `verdict`, of those that are not as before.
        take_back: trajectories of which nothing that the repair stage wrote is wanted.
        remask: trajectories whose mask has to be made anew although their verdict is as before.
        changes: counts, for people.
    """

    verdicts: dict[str, dict[str, Any]] = field(default_factory=dict)
    take_back: list[str] = field(default_factory=list)
    remask: list[str] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)


class ShardGrader:
    """Grades shards of a run anew; reads only.

    Args:
        run: its trajectories are there.
        pool: grades with the new settings.
        before: `grade.undecided` of the run as it is; None: of some shards one, of some another.
        after: the new one.
    """

    def __init__(
        self, run: Run, pool: GradePool, before: UndecidedPolicy | None, after: UndecidedPolicy
    ) -> None:
        self.run = run
        self.pool = pool
        self.before = before
        self.after = after
        self._sampled = run.manifest.kind == "sampled"

    def grade(self, shard: int) -> Regraded:
        """Grade every answer of a shard and every repair that is accepted.

        Raises:
            DfgenError: the graders cannot be started, or a file cannot be read.
        """
        found = Regraded()
        rows = list(self.run.table("trajectories").iter_rows(shard, _LOOKED_AT))
        repairs = self._read_repairs(shard)
        texts = [(row["prompt_id"], row["completion"]) for row in rows]
        texts += [(row["prompt_id"], row["repair"]) for row in repairs.values()]
        verdicts = self._grade_texts(shard, texts)
        refusals = self._read_refusals(shard)
        controls = self._read_controls(shard)
        counts, by_grader = Counter[str](), dict[str, Counter[str]]()
        unpaid: list[str] = []
        kept: Counter[str] = Counter(dict.fromkeys(_REPAIR_COUNTS, 0))
        for row in rows:
            key = row["trajectory_id"]
            old = VerdictInfo.model_validate(row["verdict"])
            # Only what was drawn here is known to be cut off by our own limit.
            truncated = self._sampled and row["finish_reason"] == "length"
            verdict = verdicts[row["prompt_id"], row["completion"]]
            new, reward = settle_verdict(verdict, truncated=truncated)
            reward = float(np.float32(reward))  # as the column has it
            if not _is_same(old, row["reward"], new, reward):
                found.verdicts[key] = {"reward": reward, "verdict": new.model_dump()}
            kinds = _name_changes(old, row["reward"], new, reward)
            counts.update(kinds)
            by_grader.setdefault(new.grader, Counter(dict.fromkeys(_COUNTS, 0))).update(kinds)
            wanted = not is_right(reward) and not self._is_left_out(new)
            if key in repairs:
                repaired = verdicts[row["prompt_id"], repairs[key]["repair"]]
                fate = _decide_repair(reward, repaired, wanted=wanted)
                kept[fate] += 1
                if fate != "kept":
                    found.take_back.append(key)
            elif key in refusals and is_right(reward):
                found.take_back.append(key)
            elif key in refusals and not refusals[key]:
                unpaid.append(key)
            elif key in controls and not is_right(reward):
                found.take_back.append(key)
            if self.before != self.after and (old.undecided or new.undecided):
                found.remask.append(key)
        if found.verdicts or found.remask:
            # Refused without a request, for what it is beside the others (no answer, a copy, over
            # the cap): whether that still holds is found out anew, for free.
            found.take_back += unpaid
        found.changes = {
            **dict.fromkeys(_COUNTS, 0),
            **counts,
            "by_grader": {name: dict(each) for name, each in sorted(by_grader.items())},
            "repairs": dict(kept),
        }
        return found

    def _is_left_out(self, verdict: VerdictInfo) -> bool:
        return bool(verdict.undecided) and self.after != "wrong"

    def _grade_texts(self, shard: int, texts: Iterable[Key]) -> dict[Key, Verdict]:
        """The verdict on each text, once: equal answers to a prompt must not differ in theirs."""
        keys = dict(self._iter_keys(shard))
        unique = list(dict.fromkeys(texts))
        verdicts = grade_texts([(text, keys[prompt_id]) for prompt_id, text in unique], self.pool)
        return dict(zip(unique, verdicts, strict=True))

    def _iter_keys(self, shard: int) -> Iterator[tuple[str, AnswerKey]]:
        columns = ("prompt_id", "answer", "answer_type", "choices", "precision")
        for row in self.run.table("prompts").iter_rows(shard, columns):
            yield row.pop("prompt_id"), AnswerKey.model_validate(row)

    def _read_repairs(self, shard: int) -> dict[str, dict[str, Any]]:
        table = self.run.table("repairs")
        columns = ("trajectory_id", "prompt_id", "repair")
        rows = table.iter_rows(shard, columns) if table.exists(shard) else ()
        return {row["trajectory_id"]: row for row in rows}

    def _read_refusals(self, shard: int) -> dict[str, bool]:
        """Trajectories that the repair stage refused, and whether that was paid for."""
        ledger = self.run.rejects("repair")
        rows = ledger.iter_rows(shard, ("row_id", "evidence")) if ledger.exists(shard) else ()
        return {row["row_id"]: bool(json.loads(row["evidence"]).get("attempts")) for row in rows}

    def _read_controls(self, shard: int) -> set[str]:
        table = self.run.table("controls")
        rows = table.iter_rows(shard, ("trajectory_id",)) if table.exists(shard) else ()
        return {row["trajectory_id"] for row in rows}


_COUNTS = (
    "trajectories",
    "right_before",
    "right_after",
    "right_to_wrong",
    "wrong_to_right",
    "undecided_before",
    "undecided_after",
    "other_reward",
    "other_verdict",
)
"""What is counted of trajectories. `other_reward`: still wrong, worth another partial reward;
`other_verdict`: the same reward for another reason."""

_REPAIR_COUNTS = ("kept", "answer_is_right", "answer_is_undecided", "repair_is_wrong")
"""What becomes of accepted repairs: all but the first are taken back."""


def _name_changes(
    old: VerdictInfo, old_reward: float, new: VerdictInfo, reward: float
) -> list[str]:
    before, after = is_right(old_reward), is_right(reward)
    names = {
        "trajectories": True,
        "right_before": before,
        "right_after": after,
        "right_to_wrong": before and not after,
        "wrong_to_right": after and not before,
        "undecided_before": bool(old.undecided),
        "undecided_after": bool(new.undecided),
        "other_reward": before == after and old_reward != reward,
        "other_verdict": old_reward == reward and not _is_same(old, old_reward, new, reward),
    }
    return [name for name, holds in names.items() if holds]


def _is_same(old: VerdictInfo, old_reward: float, new: VerdictInfo, reward: float) -> bool:
    """Whether nothing has changed. Files from before there were undecided answers hold null."""
    undecided = bool(old.undecided) == bool(new.undecided)
    rest = old.model_dump(exclude={"undecided"}) == new.model_dump(exclude={"undecided"})
    return old_reward == reward and undecided and rest


def _decide_repair(reward: float, repaired: Verdict, *, wanted: bool) -> str:
    if is_right(reward):
        return "answer_is_right"
    if not wanted:
        return "answer_is_undecided"
    return "kept" if is_right(repaired.reward) else "repair_is_wrong"


def add_up(changes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the counts of several shards together."""
    total: dict[str, Any] = {}
    for each in changes:
        for name, value in each.items():
            if isinstance(value, Mapping):
                total[name] = add_up([total.get(name, {}), value])
            else:
                total[name] = total.get(name, 0) + value
    return total
