"""kill -9 in the middle of drawing on, type the same command again: nothing is lost, all there."""

from __future__ import annotations

import shutil
from pathlib import Path

from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.stages.score.running import call, read
from tests.support.side_stage_kills import interrupt, kill_at_random

OPTIONS = ("--set", "value.draws=2", "--limit", "6", "-q")


def test_killed_drawing_goes_on(root: Path, tmp_path: Path) -> None:
    whole = Path(shutil.copytree(root, tmp_path / "whole"))
    kill_at_random(root, "value", *OPTIONS)
    call("value", root, *OPTIONS)
    call("value", whole, *OPTIONS)
    assert read(root, "values") == read(whole, "values")
    assert audit(Run.open_or_create(root, None)) == []
    assert not list((root / "journal").glob("value-*.jsonl"))


def test_an_interrupt_finishes_what_is_in_flight_and_says_how_to_go_on(root: Path) -> None:
    interrupt(root, "value", *OPTIONS)
    call("value", root, *OPTIONS)
    assert all(row["value_points"] for row in read(root, "values").values())
