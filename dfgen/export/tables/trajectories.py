"""`trajectories`: every sampled answer with its masks, small because no picture is repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfgen.export.columns import list_mask_fields
from dfgen.export.tables.table import ExportTable, Fields

if TYPE_CHECKING:
    from dfgen.export.shard import Shard


def list_trajectory_fields() -> Fields:
    """List what was asked, then the columns of a mask."""
    import pyarrow as pa

    text = pa.string()
    asked = [("prompt_id", text), ("problem", text), ("answer", text), ("data_source", text)]
    return asked + list_mask_fields()


def make_trajectories(shard: Shard) -> dict[str, Any]:
    """Make one row per mask; without a known question its text and answer are null."""
    import pyarrow as pa

    problems = pa.array([chat.problem for chat in shard.chats], pa.string())
    return {
        **{name: shard.masks[name] for name in shard.masks.column_names},
        "problem": shard.spread(problems),
        "answer": shard.spread(shard.prompts["answer"]),
        "data_source": [shard.data_source] * shard.masks.num_rows,
    }


TABLE = ExportTable(
    name="trajectories",
    description="one row per trajectory, flat, without pictures",
    list_fields=list_trajectory_fields,
    make_columns=make_trajectories,
    mask_column="loss_mask",
    needs_prompts=False,
)
