"""kill -9 in the middle of scoring, type the same command again: nothing read twice, all there."""

from __future__ import annotations

from pathlib import Path

from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.stages.score.running import call, read
from tests.support.side_stage_kills import interrupt, kill_at_random


def test_killed_scoring_goes_on(root: Path) -> None:
    kill_at_random(root, "score", "-q")
    call("score", root, "-q")
    scores, rows = read(root, "scores"), read(root, "trajectories")
    assert scores.keys() == rows.keys()
    assert max(score["logprob_gap"] for score in scores.values()) < 1e-4
    assert all(row["scored_logprobs"] for row in read(root, "masks").values())
    assert audit(Run.open_or_create(root, None)) == []
    assert not list((root / "journal").glob("score-*.jsonl"))


def test_an_interrupt_finishes_what_is_in_flight_and_says_how_to_go_on(root: Path) -> None:
    interrupt(root, "score", "-q")
    call("score", root, "-q")
    assert read(root, "scores").keys() == read(root, "trajectories").keys()
