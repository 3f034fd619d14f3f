"""Finds out which edits of a repair are needed, by taking each back alone and asking again.

The grader is asked first. It sees final answers only, so it calls most hunks of a chain of
reasoning unneeded: with the count of step 1 wrong again, the answer below stays right. The repairer
(`necessity: model`) reads the whole text: it gets the repair with that one hunk taken back, as if
it were any wrong trajectory. If it changes that place again the hunk is needed, if it leaves it
alone the hunk is not, whatever it does elsewhere. The prompt says that the answer is wrong, so a
repairer that changes right words when it is told so calls too many hunks needed: the false-edit
rate of controls says how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dfgen.config.repair import RepairConfig
from dfgen.diff.spans import Span
from dfgen.records import Attempt, Necessity

if TYPE_CHECKING:
    from dfgen.diff.hunks import Hunk

NEEDED, UNNEEDED = "needed", "unneeded"
"""Reasons of a test's attempt; any other says why it decided nothing."""


def take_back(completion: str, repair: str, wrong: Span, right: Span) -> tuple[str, Span]:
    """Put the words of the trajectory back into one place of its repair.

    Args:
        wrong, right: byte spans of a hunk in `completion` and in `repair`.

    Returns:
        The text, and the byte span of the words in it; empty for words that the repair inserted.
    """
    raw, words = repair.encode(), completion.encode()[wrong.start : wrong.end]
    text = raw[: right.start] + words + raw[right.end :]
    return text.decode(), Span(right.start, right.start + len(words))


def take_back_entry(completion: str, repair: str, entry: Necessity) -> tuple[str, Span]:
    """`take_back` for a hunk whose necessity is on record."""
    return take_back(
        completion,
        repair,
        Span(entry.start, entry.end),
        Span(entry.repair_start, entry.repair_end),
    )


def record_verdicts(
    hunks: Sequence[Hunk], right_without: Iterable[bool], unneeded_weight: float
) -> list[Necessity]:
    """Write down what the grader says of each hunk.

    Args:
        right_without: whether the answer is right when the hunk is taken back.
    """
    return [
        Necessity(
            start=hunk.wrong_bytes[0],
            end=hunk.wrong_bytes[1],
            repair_start=hunk.right_bytes[0],
            repair_end=hunk.right_bytes[1],
            needed=not right,
            weight=unneeded_weight if right else 1.0,
        )
        for hunk, right in zip(hunks, right_without, strict=True)
    ]


def is_changed_at(hunks: Iterable[Hunk], place: Span) -> bool:
    """Say whether edits of a text change what stands at a place; only the form does not count.

    An insertion next to the place counts, and so does an edit next to a place without words: what
    was inserted there may come back as a change of the word beside it.
    """
    return any(hunk.in_mask and _meet(hunk.wrong_bytes, place) for hunk in hunks)


def _meet(edit: tuple[int, int], place: Span) -> bool:
    (start, end), (first, last) = edit, place
    if start == end or first == last:
        return start <= last and first <= end
    return start < last and first < end


def settle(
    found: Sequence[Necessity] | None, tests: Mapping[int, Attempt], config: RepairConfig
) -> list[Necessity] | None:
    """Join the grader's verdicts and, where they are wanted, the repairer's; an undecided test
    leaves the grader's.

    Args:
        tests: index of a hunk -> the test.
    """
    if found is None or config.necessity != "model":
        return None if found is None else list(found)
    return [
        _join(entry, tests[index], config) if index in tests else entry
        for index, entry in enumerate(found)
    ]


def _join(entry: Necessity, test: Attempt, config: RepairConfig) -> Necessity:
    changes: dict[str, Any] = {"attempt": test}
    if test.reason in (NEEDED, UNNEEDED):
        needed = test.reason == NEEDED
        weight = 1.0 if needed else config.unneeded_weight
        changes |= {"decided_by": "model", "needed": needed, "weight": weight}
    return entry.model_copy(update=changes)


@dataclass(slots=True)
class NecessityCount:
    """What became of the hunks of a run's repairs; copies of a repair are not counted again.

    Every hunk is in exactly one of the five that follow `hunks`.

    Attributes:
        needed_by_grader: the answer is wrong without them.
        not_asked: the answer is right without them and the repairer was not asked about them.
        undecided: the same, and the repairer's answer decided nothing.
        needed_by_model, unneeded_by_model: the repairer changed them again, or left them.
        undecided_by_reason: of the undecided ones.
        requests: to the repairer, with the tokens and dollars they took as far as known.
    """

    hunks: int = 0
    needed_by_grader: int = 0
    not_asked: int = 0
    undecided: int = 0
    needed_by_model: int = 0
    unneeded_by_model: int = 0
    undecided_by_reason: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Count the hunks of a row of `repairs`; its `copy_of` and `necessity` are looked at."""
        if row["copy_of"] is None:
            for entry in row["necessity"] or ():
                self._add(entry)

    def _add(self, entry: Mapping[str, Any]) -> None:
        self.hunks += 1
        attempt = entry["attempt"]
        if attempt is None:
            self.needed_by_grader += entry["needed"]
            self.not_asked += not entry["needed"]
            return
        self.requests += 1
        self.prompt_tokens += attempt["prompt_tokens"] or 0
        self.completion_tokens += attempt["completion_tokens"] or 0
        self.cost_usd += attempt["cost_usd"] or 0.0
        if entry["decided_by"] == "model":
            self.needed_by_model += entry["needed"]
            self.unneeded_by_model += not entry["needed"]
            return
        self.undecided += 1
        reason = attempt["reason"]
        self.undecided_by_reason[reason] = self.undecided_by_reason.get(reason, 0) + 1


def count_necessity(rows: Iterable[Mapping[str, Any]]) -> NecessityCount:
    """Count the hunks of `repairs` rows."""
    count = NecessityCount()
    for row in rows:
        count.add_row(row)
    return count
