"""Finds what is compared with what: the arms of the claims with their rivals, over all tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.benchmarks.study.compare import Difference, compare, correct_holm
from tests.benchmarks.study.plan import WITHOUT_REPAIRS, is_current
from tests.benchmarks.study.settings import REGIMES

Row = dict[str, Any]
Cell = tuple[str, str, str, bool]

#: The default recipe, and what it was when the study began.
CLAIMS = ("df+whole", "df+new")
#: What they are compared with, and by which measures.
RIVALS = ("grpo", "right-only", "sft", "df", "df+new, no all-wrong", "df+new", "grpo+whole")
PRIMARY = "greedy_accuracy"
MEASURES = ((PRIMARY, "greedy"), ("sampled_accuracy", "T = 1"), ("sampled_true", "T = 1, all true"))


@dataclass(frozen=True)
class Comparison:
    """The arm of a claim minus a rival in one cell at one start.

    Attributes:
        claim: the arm.
        rival: its name, and how many questions it had if not as many as all have.
        gaps: by each of `MEASURES`.
        p: of the first, corrected for the number of all comparisons; None with one seed.
    """

    claim: str
    cell: Cell
    start: str
    rival: str
    gaps: list[Difference]
    p: float | None = None


def choose_rows(rows: list[Row], rates: dict[str, float]) -> tuple[list[Row], dict[Any, Row]]:
    """Return the study's rows at the learning rates of today, and by task and start the start's."""
    rows = [row for row in rows if row["purpose"] == "study" and is_current(row, rates)]
    starts = {(row["task"], row["start"]): row for row in rows if row["arm"] == "start"}
    return [row for row in rows if row["arm"] != "start"], starts


def name_cell(row: Row) -> Cell:
    """Say to which table a row belongs."""
    return row["task"], row["regime"], row["repairer"], row["verified"]


def is_plain(row: Row) -> bool:
    """Say whether a row has the questions a round that all arms have by default."""
    return bool(row["questions"] == REGIMES[row["regime"]]["questions"])


def name_questions(row: Row) -> str:
    """Say how many questions a round a row has, where that is not what all have by default."""
    return "" if is_plain(row) else f", {row['questions']} questions"


def list_cells(rows: list[Row]) -> list[Cell]:
    """List the tables in their order: rounds before offline, perfect and verified first.

    What these leave open is ordered by name: a set would answer differently in every process.
    """
    cells = {name_cell(row) for row in rows}
    by_name = sorted(cells)
    return sorted(by_name, key=lambda c: (c[0], c[1] == "offline", c[2] != "perfect", not c[3]))


def name_table(cell: Cell) -> str:
    """Name a table."""
    task, regime, repairer, verified = cell
    return f"{task}, {regime}, {repairer}{'' if verified else ', unverified'} repairer"


def compare_all(rows: list[Row]) -> list[Comparison]:
    """Compare the arms of the claims with their rivals; p is corrected for all of it."""
    found = [each for claim in CLAIMS for each in find_comparisons(rows, claim)]
    # One seed has no p-value, and is no comparison that could be wrong.
    tested = [place for place, each in enumerate(found) if each.gaps[0].seeds > 1]
    for place, p in zip(tested, correct_holm([found[i].gaps[0].p for i in tested]), strict=True):
        found[place] = replace(found[place], p=p)
    return found


def find_comparisons(rows: list[Row], arm: str) -> list[Comparison]:
    """Compare an arm with its rivals in every cell.

    Arms without repairs are the same whoever repairs, so every repairer's cell has them as rivals.
    They are also there with more questions a round, which is what repairs would have cost.
    """
    found = []
    for cell in list_cells(rows):
        own = [row for row in rows if name_cell(row) == cell]
        shared = [row for row in rows if shares_cell(row, cell)]
        for start in sorted({row["start"] for row in own}, key=int):
            claim = [r for r in own if r["start"] == start and r["arm"] == arm and is_plain(r)]
            for name in (name for name in RIVALS if name != arm):
                pool = shared if name in WITHOUT_REPAIRS else own
                rival = [row for row in pool if row["start"] == start and row["arm"] == name]
                for questions in sorted({row["questions"] for row in rival}):
                    same = [row for row in rival if row["questions"] == questions]
                    gaps = [compare(by_seed(claim, key), by_seed(same, key)) for key, _ in MEASURES]
                    if gaps[0] is not None:
                        other = name + name_questions(same[0])
                        found.append(Comparison(arm, cell, start, other, [g for g in gaps if g]))
    return found


def shares_cell(row: Row, cell: Cell) -> bool:
    """Say whether a row belongs to a cell, or would whoever repaired."""
    other = row["arm"] in WITHOUT_REPAIRS and name_cell(row)[:2] == cell[:2]
    return name_cell(row) == cell or other


def show_gap(gap: Difference) -> str:
    """Format a difference in points."""
    if gap.seeds < 2:
        return f"{100 * gap.mean:+.1f}"
    return f"{100 * gap.mean:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"


def by_seed(rows: list[Row], key: str) -> dict[int, float]:
    """Return a figure by seed."""
    return {row["seed"]: row[key] for row in rows}
