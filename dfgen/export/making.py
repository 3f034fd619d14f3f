"""Makes the tables of a run, one Arrow table per shard."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dfgen.errors import InputError, InvalidDataError
from dfgen.export.choices import Choices, settle_choices
from dfgen.export.columns import fit_column
from dfgen.export.shard import Shard, read_shards
from dfgen.export.tables import GROUPS, TABLES
from dfgen.export.tables.table import ExportTable
from dfgen.validate.files import Damage, advise_repair, find_missing

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.finished import FinishedRun


def iter_tables(
    finished: FinishedRun,
    table: ExportTable,
    tokenizer_sha256: str,
    choices: Choices | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[pa.Table]:
    """Yield the rows of one table, in the order of the run.

    Args:
        tokenizer_sha256: of the tokenizer of all ids; written into every table's schema.
        choices: settled for this table (`settle_choices`); None: its defaults.
        say: told what the gradient of a recipe is made of.
    """
    import pyarrow as pa

    schema = table.make_schema(tokenizer_sha256)
    settled = settle_choices(table, Choices()) if choices is None else choices
    chosen = {name: getattr(settled, name) for name in table.takes if name != "recipe"}

    def make_table(part: Any) -> pa.Table:
        columns = table.make_columns(part, **chosen)
        arrays = [fit_column(columns[field.name], field.type) for field in schema]
        return pa.Table.from_arrays(arrays, schema=schema)

    # No loop: its names would keep a part and its table in memory while the next are made.
    yield from map(make_table, _iter_parts(finished, table, tokenizer_sha256, settled, say))


def _iter_parts(
    finished: FinishedRun,
    table: ExportTable,
    tokenizer_sha256: str,
    choices: Choices,
    say: Callable[[str], None],
) -> Iterator[Any]:
    """What columns are made of: shards of masks, or examples."""
    if table.made_of == "masks":
        pictured = any(name.endswith(("image", "images")) for name, _ in table.list_fields())
        shards = read_shards(finished, pictured=pictured)
        if table.needs_prompts:
            shards = filter(lambda shard: shard.masks.num_rows, map(Shard.gather, shards))
        yield from shards
        return
    from dfgen.export.examples import RunGroups, iter_parts
    from dfgen.export.origin import describe_origin

    source = RunGroups(
        finished,
        str(finished.run.root),
        tokenizer_sha256,
        describe_origin(finished),
        lambda: iter_tables(finished, GROUPS, tokenizer_sha256),
    )
    yield from iter_parts(source, choices, say)


def can_make(finished: FinishedRun, table: ExportTable) -> bool:
    """Say whether the run has what the table is made of."""
    return finished.prompts is not None or not table.needs_prompts


def check_sources(finished: FinishedRun, table: ExportTable) -> None:
    """Make sure that the run has what the table is made of.

    Raises:
        InputError: it does not, or its masks are out of date.
        InvalidDataError: files of the run are gone.
    """
    refuse_damage(finished, find_missing(finished.run))
    if not finished.run.table("masks").shards():
        raise InputError(
            "the mask stage has not finished any shard, so there are no masks to export.",
            where=str(finished.run.root),
            hint="`dfgen run` does all stages in order.",
        )
    stale = finished.list_stale()
    if stale:
        raise InputError(
            f"the masks of {len(stale)} shards are older than the answers or repairs they were "
            "made of, which have been graded, drawn or repaired anew since.",
            where=str(finished.run.root),
            hint=f"`dfgen run {shlex.quote(str(finished.run.root))}` makes them anew.",
        )
    if not can_make(finished, table):
        possible = [name for name, each in TABLES.items() if can_make(finished, each)]
        raise InputError(
            f"the table {table.name} needs the questions, and this run holds none.",
            where=str(finished.run.root),
            hint=f"Without questions there can be: {', '.join(possible)}.",
        )


def refuse_damage(finished: FinishedRun, damage: Sequence[Damage]) -> None:
    """Raise `InvalidDataError` if files of the run are damaged; it names them all."""
    if damage:
        shown = "\n".join(f"  {each}" for each in damage)
        raise InvalidDataError(
            f"{len(damage)} files of the run are damaged, so nothing is made of it:\n{shown}",
            where=str(finished.run.root),
            hint=advise_repair(finished.run, damage),
        )
