"""Counts what a gradient is made of, and says it in words.

A mask on one side breaks the zero sum of a group's advantages; whoever trains should see by how
much before the first step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dfgen.trainers.advantages import MASKED, NOTHING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dfgen.trainers.advantages import Answers, Plan
    from dfgen.trainers.recipe import Recipe

_MODES = {
    "advantage": "Mask mode advantage: tokens outside of a mask have advantage 0 and still count "
    "in the trainer's divisor.",
    "loss": "Mask mode loss: tokens outside of a mask are outside of the loss and its divisor.",
}

KINDS = ("right", "failed", "repair")


@dataclass
class Summary:
    """What all examples of a data set amount to; before `balance`.

    Attributes:
        groups: prompts; `used` of them have an example.
        all_right: groups without a signal because all answers are right.
        all_wrong: groups in which no answer is right.
        answers: sampled answers; of them `undecided`, `truncated`, and `blocked` by a picture's
            placeholder.
        rows: examples by kind.
        tokens: tokens that carry a gradient, by kind.
        up: advantage mass (sum of |advantage| over tokens) that pushes up, by kind.
        down: the same of what pushes down.
        left_out: answers and repairs that give no example, by reason.
        unknown_answers: examples by ratio without old log-probs.
        unknown_repairs: the same of repairs.
    """

    groups: int = 0
    used: int = 0
    all_right: int = 0
    all_wrong: int = 0
    answers: int = 0
    undecided: int = 0
    truncated: int = 0
    blocked: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    up: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    down: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    left_out: dict[str, int] = field(default_factory=dict)
    unknown_answers: int = 0
    unknown_repairs: int = 0

    def add(
        self,
        answers: Answers,
        plan: Plan,
        truncated: NDArray[np.bool_],
        unknown: NDArray[np.bool_],
        unknown_repairs: NDArray[np.bool_],
    ) -> None:
        """Count the answers of a batch.

        Args:
            answers: N of them.
            plan: what a recipe makes of them.
            truncated: bool[N]: cut off at the token limit.
            unknown: bool[N]: by ratio, without old log-probs.
            unknown_repairs: bool[N]: the same of their repairs.
        """
        numbers, count = answers.number_groups(), len(answers.edges) - 1
        used = np.where(plan.use == MASKED, answers.masked, answers.tokens)
        repair_used = np.where(plan.repair_use == MASKED, answers.new, answers.repair_tokens)
        mass, repair_mass = plan.factors * used, plan.repair_factors * repair_used
        sampled, repairs = mass != 0, repair_mass != 0
        self.groups += count
        self.answers += len(plan.right)
        self.undecided += int(answers.undecided.sum())
        self.blocked += int(answers.blocked.sum())
        self.truncated += int((truncated & ~answers.undecided).sum())
        for kind, chosen in (("right", plan.right & sampled), ("failed", plan.failed & sampled)):
            self.rows[kind] += int(chosen.sum())
            self.tokens[kind] += int(np.ceil(used[chosen]).sum())
            self.up[kind] += float(mass[chosen & (mass > 0)].sum())
            self.down[kind] -= float(mass[chosen & (mass < 0)].sum())
        self.unknown_answers += int((unknown & sampled).sum())
        self.unknown_repairs += int((unknown_repairs & repairs).sum())
        self.rows["repair"] += int(repairs.sum())
        self.tokens["repair"] += int(repair_used[repairs].sum())
        self.up["repair"] += float(repair_mass.sum())

        some = np.bincount(numbers[sampled | repairs], minlength=count) > 0
        self.used += int(some.sum())
        known = np.bincount(numbers[~answers.undecided], minlength=count)
        rights = np.bincount(numbers[plan.right], minlength=count)
        moving = np.bincount(numbers[plan.advantages != 0], minlength=count) > 0
        self.all_right += int(((known > 0) & (rights == known) & ~moving).sum())
        self.all_wrong += int(((known > 0) & (rights == 0)).sum())
        self._count_left_out(answers, plan, sampled, repairs)

    def _count_left_out(
        self,
        answers: Answers,
        plan: Plan,
        sampled: NDArray[np.bool_],
        repairs: NDArray[np.bool_],
    ) -> None:
        idle = ~sampled & ~answers.undecided & ~answers.blocked
        unchanged = idle & (plan.use == MASKED) & (answers.masked == 0)
        flat = idle & (plan.use != NOTHING) & ~unchanged
        silent = (plan.repair_use != NOTHING) & ~repairs
        reasons = {
            "their answer could not be read": answers.undecided,
            "they hold a picture's placeholder, which a model cannot be asked about": (
                answers.blocked & ~answers.undecided
            ),
            "their advantage is 0, as in a group without spread": flat,
            "the recipe leaves them out": idle & (plan.use == NOTHING) & ~plan.above,
            "they are better than their group's mean, and a mask only pushes down": idle
            & (plan.use == NOTHING)
            & plan.above,
            "their mask is empty": unchanged,
        }
        for why, rows in reasons.items():
            self._leave_out(f"answers: {why}", int(rows.sum()))
        none_new = silent & (plan.repair_use == MASKED) & (answers.new == 0)
        self._leave_out("repairs: nothing in them is new", int(none_new.sum()))
        self._leave_out("repairs: their factor is 0", int((silent & ~none_new).sum()))
        held = plan.wanted_repairs & answers.repair_blocked
        self._leave_out("repairs: they hold a picture's placeholder", int(held.sum()))
        self._leave_out("repairs: copies of another in their group", int(plan.copies.sum()))

    def _leave_out(self, why: str, count: int) -> None:
        if count:
            self.left_out[why] = self.left_out.get(why, 0) + count

    @property
    def total_up(self) -> float:
        """Advantage mass that pushes up."""
        return sum(self.up.values())

    @property
    def total_down(self) -> float:
        """Advantage mass that pushes down."""
        return sum(self.down.values())

    def find_scale(self, recipe: Recipe) -> float:
        """Find what `balance` multiplies what pushes down by, 1 where it does nothing."""
        if not recipe.balance or self.total_up <= 0 or self.total_down <= 0:
            return 1.0
        return self.total_up / self.total_down

    def describe(self, recipe: Recipe) -> str:
        """Return it in words, some lines."""
        rows, tokens = sum(self.rows.values()), sum(self.tokens.values())
        lines = [
            f"{recipe.name}: {rows:,} examples of {self.answers:,} answers to {self.groups:,} "
            f"prompts: {self.rows['right']:,} right, {self.rows['failed']:,} failed, "
            f"{self.rows['repair']:,} repairs; {tokens:,} tokens carry a gradient "
            f"({self.tokens['right']:,}, {self.tokens['failed']:,}, {self.tokens['repair']:,}).",
            f"Advantage mass: {_round(self.total_up)} pushes up (right answers "
            f"{_round(self.up['right'])}, failed {_round(self.up['failed'])}, repairs "
            f"{_round(self.up['repair'])}), {_round(self.total_down)} pushes down.",
        ]
        scale = self.find_scale(recipe)
        if recipe.balance:
            lines.append(f"Balanced: what pushes down is multiplied by {scale:.3g}.")
        lines.append(
            f"Groups: {self.used:,} of {self.groups:,} are used; all answers are right in "
            f"{self.all_right:,}, all are wrong in {self.all_wrong:,}."
        )
        if self.left_out:
            lines.append("Left out:")
            lines += [f"  {count:,} {why}" for why, count in self.left_out.items()]
        if self.truncated:
            lines.append(
                f"{self.truncated:,} answers were cut off at the token limit; they count as graded."
            )
        lines.append(_MODES[recipe.mask_mode])
        for count, kind in ((self.unknown_answers, "answers"), (self.unknown_repairs, "repairs")):
            if count:
                lines.append(
                    f"{count:,} {kind} that are trained by ratio have no old log-probs: it begins "
                    "at 1, as if the model that is trained had sampled them. `dfgen score RUN`, "
                    "then export again, stores them."
                )
        return "\n".join(lines)


def _round(mass: float) -> str:
    return f"{mass:,.0f}" if mass >= 100 else f"{mass:.3g}"
