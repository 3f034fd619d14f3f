"""Defines what an export needs to know about a table; each file beside this one describes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dfgen.dataset_names import TABLE_KEY, TOKENIZER_KEY

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.trainers.recipe import Recipe

Fields = list[tuple[str, Any]]
"""Column name and Arrow type, in the order of the file."""


@dataclass(frozen=True)
class ExportTable:
    """One table that `dfgen export` and `dfgen publish` can write.

    Attributes:
        name: as users and the Hub call it (`--to`, `config_name`).
        description: what a row is, in words for help texts and cards.
        list_fields: gives the columns.
        make_columns: makes them, by name, from a part of what it is made of: a
            `dfgen.export.shard.Shard`, or a `dfgen.export.groups.ExamplePart`. What `takes` names
            comes by keyword, the recipe left out. Values are Arrow arrays or Python lists.
        mask_column: the list of booleans that a reader's digest covers; None: there is none.
        nested_in: the column that holds the trajectories as a list; None: a row is one.
        needs_prompts: whether a mask is left out where the run does not know its question.
        version: raised when columns change their meaning.
        made_of: masks, or the training examples that a recipe makes of them.
        recipe: name of the recipe, or of the default where `takes` lets users choose.
        changes: choices of that recipe which the trainer needs otherwise.
        check_recipe: raises `ConfigError` for a recipe that the trainer has no loss for.
        takes: what users may choose (`dfgen.export.choices.Choices`).
        usage: how a trainer is told to read it, shown when it is written; choices by name in it.
        on_hub: whether `dfgen publish` writes it; what a recipe makes of `groups` is made where it
            is trained on.
    """

    name: str
    description: str
    list_fields: Callable[[], Fields]
    make_columns: Callable[..., dict[str, Any]]
    mask_column: str | None
    nested_in: str | None = None
    needs_prompts: bool = True
    version: int = 1
    made_of: Literal["masks", "examples"] = "masks"
    recipe: str = ""
    changes: tuple[tuple[str, Any], ...] = ()
    check_recipe: Callable[[Recipe], None] | None = None
    takes: tuple[str, ...] = ()
    usage: str = ""
    on_hub: bool = True

    @property
    def label(self) -> str:
        """Name and version, as they stand in a file's schema under `dfgen.table`."""
        return f"{self.name}/{self.version}"

    def make_schema(self, tokenizer_sha256: str) -> pa.Schema:
        """Make the Arrow schema of the table, with the metadata that its readers need."""
        import pyarrow as pa

        from dfgen.store.parquet import PICTURE_FEATURE

        fields = self.list_fields()
        metadata = {TABLE_KEY: self.label, TOKENIZER_KEY: tokenizer_sha256}
        if any(name == "images" for name, _ in fields):
            metadata[b"huggingface"] = PICTURE_FEATURE
        return pa.schema(fields, metadata=metadata)
