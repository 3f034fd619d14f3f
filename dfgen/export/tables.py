"""The four tables, shard by shard, as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.config.pipeline import Pipeline
from dfgen.export.chats import Chat, ChatMaker, make_turn
from dfgen.export.names import SPLIT, Config
from dfgen.export.schema import list_mask_fields, make_schema
from dfgen.export.shard import Shard, read_shards
from dfgen.export.steps import cut_steps

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.run import Run


@dataclass(frozen=True)
class TableMaker:
    """Makes the tables of one run.

    Args:
        pipeline: of the run; says how prompts were put.
        tokenizer_sha256: of the policy's tokenizer; written into every table's schema.
    """

    pipeline: Pipeline
    tokenizer_sha256: str

    def iter_tables(self, run: Run, config: Config) -> Iterator[pa.Table]:
        """One table per shard of the run, in the order of its rows."""
        for shard in read_shards(run):
            yield self.make(shard, config)

    def make(self, shard: Shard, config: Config) -> pa.Table:
        """The rows of one shard."""
        import pyarrow as pa

        make = {
            "groups": self._make_groups,
            "trajectories": self._make_trajectories,
            "preference": self._make_preference,
            "stepwise": self._make_stepwise,
        }[config]
        schema = make_schema(config, self.tokenizer_sha256)
        columns = make(shard)
        arrays = [_fit(columns[field.name], field.type) for field in schema]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _make_groups(self, shard: Shard) -> dict[str, Any]:
        import pyarrow as pa

        prompts, chats = shard.prompts, self._put_prompts(shard)
        rows = prompts.select(["prompt_id", "answer", "answer_type", "source"]).to_pylist()
        offsets = pa.array(np.append(0, np.cumsum(shard.counts)), pa.int32())
        masks = shard.masks.combine_chunks()
        members = [_merge(masks[name]) for name, _ in list_mask_fields()]
        nested = pa.StructArray.from_arrays(members, [name for name, _ in list_mask_fields()])
        return {
            **{
                name: prompts[name]
                for name in ("prompt_id", "images", "answer", "solution", "choices", "metadata")
            },
            "prompt": [chat.blocks for chat in chats],
            "messages": [chat.messages for chat in chats],
            "problem": [chat.problem for chat in chats],
            "data_source": [self._data_source] * len(rows),
            "ability": prompts["answer_type"],
            "reward_model": [{"style": "rule", "ground_truth": row["answer"]} for row in rows],
            "extra_info": [
                {
                    "index": shard.first_row + i,
                    "split": SPLIT,
                    "prompt_id": row["prompt_id"],
                    "answer": row["answer"],
                    "source": row["source"],
                }
                for i, row in enumerate(rows)
            ],
            "trajectories": pa.ListArray.from_arrays(offsets, nested),
        }

    def _make_trajectories(self, shard: Shard) -> dict[str, Any]:
        import pyarrow as pa

        problems = pa.array([chat.problem for chat in self._put_prompts(shard)], pa.string())
        return {
            **{name: shard.masks[name] for name in shard.masks.column_names},
            "problem": shard.spread(problems),
            "answer": shard.spread(shard.prompts["answer"]),
            "data_source": [self._data_source] * shard.masks.num_rows,
        }

    def _make_preference(self, shard: Shard) -> dict[str, Any]:
        import pyarrow.compute as pc

        chosen = pc.equal(shard.masks["mask_source"], "repair")
        masks = shard.masks.filter(chosen)
        owners = np.repeat(np.arange(len(shard.counts)), shard.counts)[chosen.to_numpy()]
        chats = self._put_prompts(shard)
        return {
            "prompt_id": masks["prompt_id"],
            "trajectory_id": masks["trajectory_id"],
            "prompt": [chats[owner].blocks for owner in owners],
            "chosen": [_make_answer(text) for text in masks["repair"].to_pylist()],
            "rejected": [_make_answer(text) for text in masks["completion_text"].to_pylist()],
            "images": shard.prompts["images"].take(owners),
            "hunks": masks["hunks"],
            "edit_ratio": pc.struct_field(masks["quality"], "edit_ratio"),
        }

    def _make_stepwise(self, shard: Shard) -> dict[str, Any]:
        import pyarrow.compute as pc

        # Of wrong answers without a repair nobody knows which step was wrong.
        known = pc.not_equal(shard.masks["mask_source"], "outcome")
        masks = shard.masks.filter(known)
        owners = np.repeat(np.arange(len(shard.counts)), shard.counts)[known.to_numpy()]
        chats = self._put_prompts(shard)
        columns = ["completion_text", "token_bytes", "step_ids", "step_labels"]
        cut = [cut_steps(**row) for row in masks.select(columns).to_pylist()]
        return {
            "prompt_id": masks["prompt_id"],
            "trajectory_id": masks["trajectory_id"],
            "prompt": [chats[owner].problem for owner in owners],
            "completions": [steps for steps, _ in cut],
            "labels": [labels for _, labels in cut],
            "mask_source": masks["mask_source"],
            "images": shard.prompts["images"].take(owners),
        }

    def _put_prompts(self, shard: Shard) -> list[Chat]:
        import pyarrow.compute as pc

        maker = ChatMaker(self.pipeline)
        pictures = pc.list_value_length(shard.prompts["images"]).to_pylist()
        rows = shard.prompts.select(["question", "choices"]).to_pylist()
        return [
            maker.make(row["question"], row["choices"], count)
            for row, count in zip(rows, pictures, strict=True)
        ]

    @property
    def _data_source(self) -> str:
        return f"dfgen/{self.pipeline.name}"


def _make_answer(text: str) -> list[dict[str, Any]]:
    return [make_turn("assistant", [text])]


def _fit(values: Any, kind: pa.DataType) -> Any:
    """A column of exactly this type."""
    import pyarrow as pa

    if isinstance(values, list):
        return pa.array(values, kind)
    return values if values.type.equals(kind) else values.cast(kind)


def _merge(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    merged = column.combine_chunks()
    if isinstance(merged, pa.ChunkedArray):
        merged = pa.concat_arrays(merged.chunks) if merged.num_chunks else pa.array([], column.type)
    return merged
