"""Chooses the settings a run is scored with, and estimates what scoring it means."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from dfgen.config.pipeline import Pipeline
from dfgen.stages.score.planning import Planned
from dfgen.stages.score.shard import take_stock
from dfgen.stages.section import choose_section, require_answers
from dfgen.stages.session import Session
from dfgen.store.run import Run


def choose_settings(run: Run, file: Path | None, overrides: Sequence[str] = ()) -> Pipeline:
    """Choose the run's own pipeline, scoring, with another score section.

    Args:
        run: has answers of its own.
        file: a pipeline file, of which the score section is taken; None: the run's own.
        overrides: `score.field=value` strings.

    Raises:
        InputError: the run holds no answers.
        ConfigError: an override names another section, a value is not allowed, or the policy
            cannot score.
        RunMismatchError: names every other setting in which the file differs from the run.
    """
    require_answers(run, "to score")
    return choose_section(run, "score", file, [*overrides, "score.enabled=true"])


def estimate_scores(session: Session) -> dict[str, Any]:
    """Count what is left to score in a run; no model is loaded and nothing is written.

    Texts that several answers of a prompt share are read once.

    Raises:
        InputError: there are no answers yet.
    """
    counts = dict.fromkeys(
        ("answers", "repairs", "rejects", "texts_to_read", "texts_read_again_without_pictures"),
        0,
    )
    tokens = dict.fromkeys(("text_tokens", "prompt_tokens"), 0)
    with closing(session):
        for shard in session.list_unfinished("score"):
            state = take_stock(session, shard)
            rows = [row for row in state.plan.rows if isinstance(row, Planned)]
            lengths = _read_prompt_lengths(session.run, shard)
            counts["answers"] += len(rows)
            counts["repairs"] += sum(row.repair_key is not None for row in rows)
            counts["rejects"] += len(state.plan.rows) - len(rows)
            for prompt_id, keys in state.plan.keys.items():
                left = [key for key in keys if key not in state.readings]
                again = [
                    key
                    for key in left
                    if session.pipeline.score.visual and key in state.plan.answers
                ]
                counts["texts_to_read"] += len(left)
                counts["texts_read_again_without_pictures"] += len(again)
                tokens["text_tokens"] += sum(len(state.plan.ids[key]) for key in left + again)
                tokens["prompt_tokens"] += lengths.get(prompt_id, 0) * len(left + again)
    return {**counts, **tokens}


def _read_prompt_lengths(run: Run, shard: int) -> dict[str, int]:
    rows = run.table("trajectories").iter_rows(shard, ["prompt_id", "prompt_tokens"])
    return {row["prompt_id"]: row["prompt_tokens"] or 0 for row in rows}
