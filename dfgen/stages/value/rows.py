"""Makes value rows of graded continuations, and recalls from old rows what was drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from dfgen.arrow_types import Int32
from dfgen.errors import RowError
from dfgen.records import HunkValue, MaskBlame, Reject, Value, ValuePoint
from dfgen.stages.sifting import sift_rows
from dfgen.stages.value.blame import capture
from dfgen.stages.value.planning import STAGE, Place, Plan, Planned, PlannedHunk, name_prefix

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Tally:
    """What came of the continuations of one prefix.

    Attributes:
        right: by number of the draw, whether it ended right.
        reason, detail: why the prefix cannot be drawn on from.
    """

    right: dict[int, bool] = field(default_factory=dict)
    reason: str | None = None
    detail: str | None = None

    def is_complete(self, draws: int) -> bool:
        """Say whether nothing is left to draw."""
        return self.reason is not None or len(self.right) >= draws

    @property
    def value(self) -> float:
        """The share that ended right."""
        return sum(self.right.values()) / len(self.right)


class DrawRecord(BaseModel):
    """A continuation as the journal keeps it: graded, or why none can be drawn."""

    key: str
    draw: Int32 = 0
    right: bool | None = None
    reason: str | None = None
    detail: str | None = None


def note_record(tallies: dict[str, Tally], record: Mapping[str, Any]) -> None:
    """Take in a journal record: `key`, and `draw` with `right`, or `reason` with `detail`."""
    tally = tallies.setdefault(record["key"], Tally())
    if "reason" in record:
        tally.reason, tally.detail = record["reason"], record["detail"]
    else:
        tally.right[record["draw"]] = record["right"]


def split_rows(plan: Plan, tallies: Mapping[str, Tally]) -> tuple[list[Planned], list[Reject]]:
    """Part the answers whose prefixes could all be drawn on from those that are rejects."""
    return sift_rows(STAGE, plan.rows, lambda row: _require_all(row, tallies))


def make_values(
    rows: Sequence[Planned],
    tallies: Mapping[str, Tally],
    temperature: float,
    prefix: Literal["ids", "text"],
) -> Iterator[Value]:
    """Make the rows of answers all of whose prefixes are drawn on from, in order."""
    counted: set[str] = set()
    for row in rows:
        new = {key for key in row.keys.values() if key not in counted}
        counted |= new
        points = {place: _make_point(place, row, tallies) for place in (*row.keys, *row.known)}
        values = {index: point.value for (side, index), point in points.items() if side == "wrong"}
        # Not validated: every value was made here, and Arrow checks the types.
        yield Value.model_construct(
            trajectory_id=row.trajectory_id,
            prompt_id=row.prompt_id,
            sample_index=row.sample_index,
            ids_sha256=row.ids_sha256,
            repair_ids_sha256=row.repair_ids_sha256,
            tokens=row.tokens,
            temperature=temperature,
            prefix=prefix,
            drawn=sum(len(tallies[key].right) for key in new),
            value_start=values[0],
            value_points=[points[place] for place in sorted(points)],
            hunk_values=[value_hunk(hunk, points) for hunk in row.hunks],
            blame=[
                MaskBlame(mask=name, tokens=int(mask.sum()), captured=capture(mask, values))
                for name, mask in row.masks.items()
            ],
        )


def value_hunk(hunk: PlannedHunk | None, points: Mapping[Place, ValuePoint]) -> HunkValue:
    """Put together the values of a hunk; all None where it marks no token."""
    if hunk is None:
        return HunkValue(**dict.fromkeys(HunkValue.model_fields))
    before, wrong = points["wrong", hunk.start], points["wrong", hunk.end]
    repaired = None if hunk.repaired is None else points["repair", hunk.repaired]
    return HunkValue(
        start=hunk.start,
        end=hunk.end,
        value_before=before.value,
        value_wrong=wrong.value,
        value_repaired=None if repaired is None else repaired.value,
        value_drop=before.value - wrong.value,
        value_gain=None if repaired is None else repaired.value - wrong.value,
        draws_before=before.draws,
        draws_wrong=wrong.draws,
        draws_repaired=None if repaired is None else repaired.draws,
    )


def recall_tallies(
    row: Mapping[str, Any], sides: Mapping[str, NDArray[Any]], draws: int
) -> Iterator[tuple[str, Tally]]:
    """Read back from a value row what need not be drawn again.

    Args:
        row: of an older file.
        sides: the ids that `wrong` and `repair` have, of those that are still the same.
        draws: that are wanted; of more, nobody knows any longer which were the first.
    """
    for point in row["value_points"]:
        if point["side"] in sides and 0 < point["draws"] <= draws:
            ids = sides[point["side"]][: point["index"]]
            right = {draw: draw < point["right"] for draw in range(point["draws"])}
            yield name_prefix(row["prompt_id"], ids), Tally(right)


def _make_point(place: Place, row: Planned, tallies: Mapping[str, Tally]) -> ValuePoint:
    side, index = place
    if place in row.known:
        return ValuePoint(side=side, index=index, draws=0, right=0, value=row.known[place])  # type: ignore[arg-type]
    tally = tallies[row.keys[place]]
    return ValuePoint(
        side=side,  # type: ignore[arg-type]
        index=index,
        draws=len(tally.right),
        right=sum(tally.right.values()),
        value=tally.value,
    )


def _require_all(row: Planned, tallies: Mapping[str, Tally]) -> None:
    for (side, index), key in row.keys.items():
        tally = tallies[key]
        if tally.reason is not None:
            raise RowError(
                tally.reason,
                f"after {index} tokens of the {side} text: {tally.detail}",
                {"side": side, "tokens": index},
            )
