"""What a run looks like in a terminal: tables on stdout, trajectories in colours."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfgen.errors import InputError

if TYPE_CHECKING:
    from dfgen.store.layout import Stage
    from dfgen.store.run import Run

# Operation of a token -> (style, legend). Every style differs by more than hue.
STYLES = {
    0: "",
    1: "bold red",
    2: "strike red",
    3: "italic magenta",
    4: "dim yellow",
}
NEW_STYLE = "bold green"
GAP = "‸"


def print_summary(run: Run, counts: Mapping[Stage, dict[str, int]]) -> None:
    """The table of counts after a command."""
    table = Table(title=str(run.root), title_justify="left")
    table.add_column("stage")
    for name in ("input", "output", "rejects", "pending"):
        table.add_column(name, justify="right")
    for stage, numbers in counts.items():
        row = (numbers.get(name) for name in ("input", "output", "rejects", "pending"))
        table.add_row(stage, *("" if value is None else f"{value:,}" for value in row))
    Console().print(table)


def print_numbers(numbers: dict[str, Any]) -> None:
    """`dfgen stats`: one table per subject."""
    console = Console()
    for subject, values in numbers.items():
        if not isinstance(values, dict) or not values:
            continue
        table = Table(title=subject, title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, value in _flatten(values):
            table.add_row(name, _format(value))
        console.print(table)


def print_examples(run: Run, count: int, source: str = "repair") -> None:
    """The first masks of one source."""
    shown = 0
    console = Console()
    for row in run.table("masks").iter_rows():
        if row["mask_source"] == source:
            console.print(render_row(row, find_prompt(run, row["prompt_id"])))
            shown += 1
            if shown == count:
                return
    if not shown:
        console.print(f"no mask with source {source!r} yet")


def print_row(run: Run, row_id: str) -> None:
    """Every mask whose trajectory id begins with `row_id`.

    Raises:
        InputError: there is none.
    """
    found = [
        row for row in run.table("masks").iter_rows() if row["trajectory_id"].startswith(row_id)
    ]
    if not found:
        raise InputError(
            f"no mask has a trajectory id that begins with {row_id!r}.",
            where=str(run.root),
            hint=f"`dfgen inspect {run.root}` shows some ids; `--rejects` what was refused.",
        )
    for row in found:
        Console().print(render_row(row, find_prompt(run, row["prompt_id"])))


def print_rejects(run: Run, first: int) -> None:
    """Rejected rows, the first few of every stage."""
    console = Console()
    for stage in ("prompts", "sample", "repair", "mask"):
        rows = list(_take(run.rejects(stage).iter_rows(), first))
        for row in rows:
            console.print(Text(f"{stage}  {row['row_id']}  "), end="")
            console.print(Text(row["reason"], style="bold"), Text(row["detail"]))


def find_prompt(run: Run, prompt_id: str) -> dict[str, Any]:
    """Question and answer of a prompt."""
    columns = ["prompt_id", "question", "answer"]
    for row in run.table("prompts").iter_rows(columns=columns):
        if row["prompt_id"] == prompt_id:
            return row
    return {"question": "?", "answer": "?"}


def render_row(row: dict[str, Any], prompt: dict[str, Any]) -> Text:
    """A mask row: the question, the wrong answer with its mask, the repair with what is new."""
    text = Text()
    text.append(f"\n{row['trajectory_id']}", style="bold")
    text.append(f"   reward {row['reward']:g}   {row['mask_source']}\n", style="dim")
    text.append(f"question  {prompt['question']}   (answer: {prompt['answer']})\n")
    text.append_text(render_side("policy    ", row["completion"], _color_wrong(row)))
    if row["repair"] is not None:
        text.append_text(render_side("repair    ", row["repair"], _color_repair(row)))
        quality = row["quality"]
        text.append(
            f"          edit ratio {quality['edit_ratio']:.0%}, {quality['n_hunks']} hunks, "
            f"{sum(row['loss_mask'])} of {len(row['loss_mask'])} tokens in the mask\n",
            style="dim",
        )
    return text


def render_side(label: str, content: str, spans: Iterable[tuple[int, int, str]]) -> Text:
    """One text with styled byte spans; a span of no width draws a gap mark."""
    data = content.encode()
    text = Text(label)
    position = 0
    for start, end, style in spans:
        text.append(data[position:start].decode(errors="replace"))
        text.append(data[start:end].decode(errors="replace") or GAP, style=style)
        position = end
    text.append(data[position:].decode(errors="replace"))
    text.append("\n")
    return text


def _color_wrong(row: dict[str, Any]) -> Iterator[tuple[int, int, str]]:
    if row["token_ops"] is None:
        return
    offsets = row["token_bytes"]
    for index, operation in enumerate(row["token_ops"]):
        if row["gap_mask"][index]:
            yield offsets[index], offsets[index], NEW_STYLE
        if STYLES[operation] and offsets[index] < offsets[index + 1]:
            yield offsets[index], offsets[index + 1], STYLES[operation]
    if row["gap_mask"][-1]:
        yield offsets[-1], offsets[-1], NEW_STYLE


def _color_repair(row: dict[str, Any]) -> Iterator[tuple[int, int, str]]:
    for hunk in json.loads(row["hunks"]):
        start, end = hunk["right_bytes"]
        if start < end:
            yield start, end, NEW_STYLE


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _format(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _take(rows: Iterable[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    for index, row in enumerate(rows):
        if index == count:
            return
        yield row
