"""Decides what to ask the repairer next about a wrong answer, from what it was asked before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dfgen.config.repair import RepairConfig
from dfgen.records import Attempt, Prompt, Trajectory
from dfgen.stages.repair.compare import Accepted, choose_smallest

Purpose = Literal["repair", "control", "necessity"]
"""Why the repairer is asked: for a repair of a wrong trajectory, to see what it does to a right
one, or whether it puts a hunk back that was taken out of a repair."""

HOPELESS = frozenset(
    {
        "prompt_too_long",
        "request_too_large",
        "image_corrupt",
        "content_filter",
        "bad_request",
        "bad_response",
    }
)
"""Failures that the same request would meet again; that of `bad_response` would be paid again."""


@dataclass(slots=True)
class History:
    """What is known about a wrong trajectory.

    Attributes:
        attempts: at a repair, in any order.
        accepted: index of the attempt and what it gave.
        tests: index of a hunk of the smallest accepted repair -> what the repairer made of the
            text without it.
    """

    attempts: list[Attempt] = field(default_factory=list)
    accepted: list[tuple[int, Accepted]] = field(default_factory=list)
    tests: dict[int, Attempt] = field(default_factory=dict)

    def add(self, purpose: Purpose, attempt: Attempt, accepted: Accepted | None) -> None:
        """Note a finished request."""
        if purpose == "necessity":
            self.tests[attempt.index] = attempt
            return
        self.attempts.append(attempt)
        if accepted is not None:
            self.accepted.append((attempt.index, accepted))

    def without_texts(self) -> History:
        """Drop what planning does not look at, so that many can be held."""
        return History(
            [_drop_texts(attempt) for attempt in self.attempts],
            [
                (index, accepted.model_copy(update={"text": "", "edits": None}))
                for index, accepted in self.accepted
            ],
            {hunk: _drop_texts(attempt) for hunk, attempt in self.tests.items()},
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Requests to make next, which do not depend on each other.

    Attributes:
        indices: of attempts, or of hunks; empty when the trajectory is decided.
    """

    purpose: Purpose
    indices: tuple[int, ...]

    def fits_round(self, round_number: int, config: RepairConfig) -> bool:
        """Say whether this round makes these requests: attempts have theirs, tests take any."""
        if not self.indices:
            return False
        if self.purpose == "necessity":
            return True
        return self.indices[0] // config.candidates == round_number


@dataclass(frozen=True, slots=True)
class Undecided:
    """A trajectory that has requests left, and the next ones.

    Attributes:
        out: indices of those that are out in files or batches; their answers are to come.
    """

    trajectory: Trajectory
    prompt: Prompt
    plan: Plan
    out: tuple[int, ...] = ()

    @property
    def unasked(self) -> tuple[int, ...]:
        """Indices of the requests that are still to be sent."""
        return tuple(index for index in self.plan.indices if index not in self.out)


CONTROL = Plan("control", (0,))
"""Of a right trajectory: one request in the first round."""


def count_rounds(config: RepairConfig) -> int:
    """Rounds after which every trajectory is decided: one of tests follows the last attempts."""
    return config.all_attempts + (config.necessity == "model")


def count_later(plan: Plan, config: RepairConfig) -> int:
    """Requests that may follow those of a plan: further attempts, and tests of what they give."""
    if plan.purpose != "repair":
        return 0
    done = plan.indices[0] // config.candidates + 1
    tests = config.necessity_tests if config.necessity == "model" else 0
    return (config.all_attempts - done) * config.candidates + tests


def plan_next(history: History, config: RepairConfig) -> Plan:
    """Plan what a wrong trajectory needs next: attempts until one is accepted, then tests."""
    attempts = plan_attempts(history.attempts, config)
    if attempts:
        return Plan("repair", attempts)
    return Plan("necessity", plan_tests(history, config))


def plan_attempts(attempts: list[Attempt], config: RepairConfig) -> tuple[int, ...]:
    """Indices of the attempts that a trajectory needs next; none when there will be no more.

    Attempt i belongs to round i // candidates; a round is made in full before it is decided. Where
    a repairer would only meet the same failure again, the next one is asked.
    """
    made = {attempt.index: attempt for attempt in attempts}
    first_round = 0
    for round_number in range(config.all_attempts):
        if round_number < first_round:
            continue
        first = round_number * config.candidates
        indices = range(first, first + config.candidates)
        missing = tuple(index for index in indices if index not in made)
        if missing:
            return missing
        done = [made[index] for index in indices]
        if any(attempt.accepted for attempt in done):
            return ()
        if all(attempt.reason in HOPELESS for attempt in done):
            first_round = (find_turn(round_number, config) + 1) * config.max_attempts
    return ()


def find_turn(round_number: int, config: RepairConfig) -> int:
    """Return whose turn a round is: index among the repairers."""
    return min(round_number // config.max_attempts, max(0, len(config.engines) - 1))


def plan_tests(history: History, config: RepairConfig) -> tuple[int, ...]:
    """Indices of the hunks that the repairer has still to be asked about, once each.

    These are the hunks of the smallest accepted repair without which the grader, who sees the final
    answer only, still calls the text right; the first `necessity_tests` of them.
    """
    if config.necessity != "model" or not history.accepted:
        return ()
    found = choose_smallest(history.accepted).necessity or []
    open_hunks = [index for index, entry in enumerate(found) if not entry.needed]
    return tuple(
        index for index in open_hunks[: config.necessity_tests] if index not in history.tests
    )


def _drop_texts(attempt: Attempt) -> Attempt:
    return attempt.model_copy(update={"text": "", "detail": ""})
