"""Chooses the settings of continuations of a run, and estimates what drawing them means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from dfgen.config.engine import Price, find_price
from dfgen.config.pipeline import Pipeline
from dfgen.records import Reject
from dfgen.stages.section import choose_section, require_answers
from dfgen.stages.session import Session
from dfgen.stages.value.shard import choose_trajectories, read_given, take_stock
from dfgen.store.run import Run


def choose_settings(run: Run, file: Path | None, overrides: Sequence[str] = ()) -> Pipeline:
    """Choose the run's own pipeline, drawing continuations, with another value section.

    Args:
        run: has answers of its own.
        file: a pipeline file, of which the value section is taken; None: the run's own.
        overrides: `value.field=value` strings.

    Raises:
        InputError: the run holds no answers.
        ConfigError: an override names another section, or a value is not allowed.
        RunMismatchError: names every other setting in which the file differs from the run.
    """
    require_answers(run, "to draw on from")
    return choose_section(run, "value", file, [*overrides, "value.enabled=true"])


def estimate_values(session: Session) -> dict[str, Any]:
    """Count what is left to draw in a run; no model is loaded and nothing is written.

    In dollars, too, where the policy is behind a server that has a `price`.

    Raises:
        InputError: there are no answers yet.
    """
    counts = dict.fromkeys(
        (
            *("wrong_answers", "rejects", "prefixes", "continuations"),
            *("continuation_tokens", "prompt_and_prefix_tokens"),
        ),
        0,
    )
    draws = session.pipeline.value.draws
    with closing(session):
        chosen = choose_trajectories(session)
        masks = read_given(session, chosen)
        for shard in session.list_unfinished("value"):
            state = take_stock(session, shard, chosen, masks)
            refused = sum(isinstance(row, Reject) for row in state.plan.rows)
            counts["wrong_answers"] += len(state.plan.rows) - refused
            counts["rejects"] += refused
            prompts, answers = _read_lengths(session.run, shard)
            for prompt_id, keys in state.plan.keys.items():
                for key in keys:
                    left = draws - len(state.tallies[key].right)
                    if state.tallies[key].is_complete(draws):
                        continue
                    given = len(state.plan.prefixes[key])
                    counts["prefixes"] += 1
                    counts["continuations"] += left
                    rest = max(1, round(answers[prompt_id]) - given)
                    counts["continuation_tokens"] += left * rest
                    read = prompts[prompt_id] + given
                    counts["prompt_and_prefix_tokens"] += left * read
    return counts | _price(session, counts)


def _price(session: Session, counts: Mapping[str, int]) -> dict[str, float]:
    price = find_price(session.pipeline.continuer)
    if price == Price():
        return {}
    written = counts["continuation_tokens"] * price.completion
    read = counts["prompt_and_prefix_tokens"] * price.prompt
    return {"usd": round((written + read) / 1e6, 4)}


def _read_lengths(run: Run, shard: int) -> tuple[dict[str, int], dict[str, float]]:
    """Tokens of each prompt, and of its answers on average."""
    prompts: dict[str, int] = {}
    answers: dict[str, list[int]] = {}
    columns = ["prompt_id", "prompt_tokens", "completion_ids"]
    for row in run.table("trajectories").iter_rows(shard, columns):
        prompts[row["prompt_id"]] = row["prompt_tokens"] or 0
        answers.setdefault(row["prompt_id"], []).append(len(row["completion_ids"]))
    return prompts, {key: sum(lengths) / len(lengths) for key, lengths in answers.items()}
