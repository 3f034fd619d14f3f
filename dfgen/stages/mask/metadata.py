"""Carries columns of the user's source into masks, where the pipeline asks for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dfgen.errors import ConfigError, guess_name

if TYPE_CHECKING:
    from dfgen.stages.mask.rows import Sides
    from dfgen.store.run import Run


def read_metadata(run: Run, shard: int, names: Sequence[str]) -> Sides:
    """Read the columns of `mask.metadata` for the trajectories of a shard, as one JSON object each.

    A name that both an imported answer and its question have is the answer's.

    Raises:
        ConfigError: a column was not read with the questions or answers.
    """
    if not names:
        return {}
    columns = ["prompt_id", "metadata"]
    asked = {
        row["prompt_id"]: json.loads(row["metadata"])
        for row in run.table("prompts").iter_rows(shard, columns)
    }
    carried: Sides = {}
    for row in run.table("trajectories").iter_rows(shard, ["trajectory_id", *columns]):
        known = {**asked.get(row["prompt_id"], {}), **json.loads(row["metadata"])}
        text = json.dumps(_select(known, names), ensure_ascii=False)
        carried[row["trajectory_id"]] = {"metadata": text}
    return carried


def _select(known: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    for name in names:
        if name not in known:
            raise explain_absent(name, sorted(known))
    return {name: known[name] for name in names}


def explain_absent(name: str, known: Sequence[str]) -> ConfigError:
    """Return the error for a column that masks shall hold and no row was read with."""
    meant = guess_name(name, known)
    guess = f" Did you mean {meant!r}?" if meant else ""
    return ConfigError(
        f"mask.metadata names {name!r}, which the prompts were not read with.",
        where="mask.metadata",
        hint=f"They were read with: {', '.join(known) or 'no such columns'}.{guess}",
    )
