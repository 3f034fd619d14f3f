"""Verdicts of `repair.necessity` on the demo, against the known truth of its pictures.

    dfgen run pipelines/demo.yaml --out RUN --set repair.necessity=model
    python tests/benchmarks/repair_necessity.py RUN

A hunk is truly needed if the words that come back when it is taken back are false for the picture:
the ideal repair of that text changes their place. A good repairer makes hardly any other hunks, so
the second part asks about some that are certainly not needed: a phrase of a repair ("there are")
is replaced by another that says the same, and that change is taken back.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from dfgen.config.engine import Price
from dfgen.demo.questions import COUNT_PHRASES
from dfgen.demo.truth import true_repair
from dfgen.diff.pair import diff_pair
from dfgen.diff.spans import Span
from dfgen.records import Necessity, Prompt, Repair, Trajectory
from dfgen.report.stats import measure_repairs
from dfgen.stages.repair.compare import Accepted
from dfgen.stages.repair.necessity import is_changed_at, take_back
from dfgen.stages.repair.requests import Repairer, Task, make_test
from dfgen.stages.stopping import StopSignal
from dfgen.stages.work import open_engine, open_graders
from dfgen.store.finished import FinishedRun, open_finished


def find_truth(finished: FinishedRun, text: str, place: Span, truth: dict[str, Any]) -> bool | None:
    """Whether a place of a text is false; None if the text is not in the demo's grammar."""
    ideal = true_repair(text, truth)
    if ideal is None:
        return None
    hunks = diff_pair(text, ideal, finished.tokenizer, finished.pipeline.mask).hunks
    return is_changed_at(hunks, place)


def measure(root: Path) -> None:
    """Print how often each judge agrees with the truth, by the role of the hunk."""
    finished = open_finished(root)
    run = finished.run
    truths = {
        row["prompt_id"]: json.loads(row["metadata"])["demo_truth"]
        for row in run.table("prompts").iter_rows(columns=["prompt_id", "metadata"])
    }
    completions = {
        row["trajectory_id"]: row["completion"]
        for row in run.table("trajectories").iter_rows(columns=["trajectory_id", "completion"])
    }
    seen: Counter[tuple[str, str, str, str]] = Counter()
    for row in run.table("repairs").iter_rows():
        if row["copy_of"] is not None:
            continue
        completion = completions[row["trajectory_id"]]
        diff = diff_pair(completion, row["repair"], finished.tokenizer, finished.pipeline.mask)
        roles = {tuple(hunk.wrong_bytes): hunk.role or "none" for hunk in diff.hunks}
        for entry in row["necessity"] or ():
            wrong = Span(entry["start"], entry["end"])
            right = Span(entry["repair_start"], entry["repair_end"])
            text, place = take_back(completion, row["repair"], wrong, right)
            truth = find_truth(finished, text, place, truths[row["prompt_id"]])
            said = "undecided" if is_undecided(entry) else name(entry["needed"])
            seen[roles.get(tuple(wrong), "none"), entry["decided_by"], said, name(truth)] += 1
    print(f"{'role':<12} {'decided by':<10} {'verdict':<10} {'truth':<10} hunks")
    for (role, judge, said, truth_said), count in sorted(seen.items()):
        print(f"{role:<12} {judge:<10} {said:<10} {truth_said:<10} {count:,}")
    for judges in ({"grader"}, {"model"}, {"grader", "model"}):
        known = {
            key: count
            for key, count in seen.items()
            if key[1] in judges and "unknown" not in key and "undecided" not in key
        }
        agreed = sum(count for key, count in known.items() if key[2] == key[3])
        total = sum(known.values())
        if total:
            print(f"{' and '.join(sorted(judges))}: {agreed:,} of {total:,} as the truth says")
    print(json.dumps(measure_repairs(run)["necessity"]))


def is_undecided(entry: dict[str, Any]) -> bool:
    """Whether the repairer was asked in vain."""
    return entry["attempt"] is not None and entry["decided_by"] == "grader"


def name(needed: bool | None) -> str:
    """A verdict in a word."""
    return {None: "unknown", True: "needed", False: "unneeded"}[needed]


def measure_rewordings(root: Path, count: int) -> None:
    """Ask the run's own repairer about changes of wording alone; all of them are unneeded."""
    finished = open_finished(root)
    config = finished.pipeline.repair
    assert config.engine is not None
    with (
        open_engine(config.engine, StopSignal()) as engine,
        open_graders(finished.pipeline.grade) as pool,
    ):
        repairer = Repairer(
            config, engine, finished.tokenizer, pool, finished.pipeline.mask, 0, Price()
        )
        tasks = islice(list_rewordings(finished), count)
        said = Counter(
            outcome.attempt.reason for group in repairer.run_round(tasks) for outcome in group
        )
    print(f"rewordings taken back: {dict(said)}")


def list_rewordings(finished: FinishedRun) -> Iterator[Task]:
    """For every repair one that words a step in another way too, with that hunk taken back."""
    run = finished.run
    prompts = {
        row["prompt_id"]: Prompt.model_validate(row) for row in run.table("prompts").iter_rows()
    }
    trajectories = {
        row["trajectory_id"]: Trajectory.model_validate(row)
        for row in run.table("trajectories").iter_rows()
    }
    rng = random.Random(0)
    for row in map(Repair.model_validate, run.table("repairs").iter_rows()):
        found = next((phrase for phrase in COUNT_PHRASES if phrase in row.repair), None)
        trajectory = trajectories[row.trajectory_id]
        if row.copy_of is not None or found is None or found not in trajectory.completion:
            continue
        other = rng.choice([phrase for phrase in COUNT_PHRASES if phrase != found])
        at, into = (
            len(text[: text.index(found)].encode()) for text in (trajectory.completion, row.repair)
        )
        entry = Necessity(
            start=at,
            end=at + len(found),
            repair_start=into,
            repair_end=into + len(other),
            needed=False,
            weight=0.5,
        )
        accepted = Accepted(
            text=row.repair.replace(found, other, 1),
            edits=None,
            reward=1.0,
            verdict=row.verdict,
            edit_ratio=row.edit_ratio,
            step_edit_ratio=row.step_edit_ratio,
            answer_only=False,
            necessity=[entry],
        )
        yield make_test(trajectory, prompts[row.prompt_id], accepted, 0, finished.tokenizer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--rewordings", type=int, default=600)
    arguments = parser.parse_args()
    measure(arguments.run)
    measure_rewordings(arguments.run, arguments.rewordings)
