"""Prints parts of a run in a terminal: counts, single answers in colours, rejected rows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from dfgen.reasons import find_reason
from dfgen.report.console import open_console
from dfgen.report.marking import GAP
from dfgen.report.samples import gather_samples
from dfgen.report.selecting import iter_rejects, select_first, select_own, select_row
from dfgen.report.stats_table import tabulate_counts
from dfgen.report.trajectory import LONGEST_TEXT, SampleView
from dfgen.store.mounts import name_place
from dfgen.terminal_text import show_text

if TYPE_CHECKING:
    from rich.console import Console

    from dfgen.store.finished import FinishedRun
    from dfgen.store.layout import Stage
    from dfgen.store.run import Run


def print_summary(run: Run, counts: Mapping[Stage, dict[str, int]]) -> None:
    """Print the table of counts after a command."""
    open_console().print(tabulate_counts(name_place(run.root), counts))


def print_examples(
    finished: FinishedRun,
    count: int,
    sources: Collection[str] = ("repair",),
    *,
    details: bool = False,
    one_per_prompt: bool = False,
) -> None:
    """Print the first trajectories whose masks come from one of these sources."""
    console = open_console()
    ids = select_first(finished.run, count, sources, one_per_prompt=one_per_prompt)
    if not ids:
        console.print(
            f"no mask has the source {' or '.join(sources)}; --wrong shows wrong answers, "
            "--rejects what went no further"
        )
    _print_samples(console, finished, ids, details=details)


def print_row(finished: FinishedRun, row_id: str) -> None:
    """Print every trajectory whose id, or whose prompt's, begins with `row_id`.

    Where there is none, the rejected rows of such an id.

    Raises:
        InputError: there is none.
    """
    _print_found(finished, *select_row(finished.run, row_id))


def print_own(finished: FinishedRun, source_id: str) -> None:
    """Print every trajectory and every rejected row that has the user's own id.

    Raises:
        InputError: there is none.
    """
    _print_found(finished, *select_own(finished, source_id))


def print_rejects(run: Run, first: int) -> None:
    """Rejected rows: how many for which reason, then the first few of every reason."""
    console = open_console()
    reasons: Counter[tuple[str, str]] = Counter()
    shown = []
    for row in iter_rejects(run):
        key = (row["stage"], row["reason"])
        reasons[key] += 1
        if reasons[key] <= first:
            shown.append(row)
    if not shown:
        console.print("nothing was rejected")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("stage", "reason"):
        table.add_column(name)
    table.add_column("rows", justify="right")
    for (stage, reason), rows in reasons.most_common():
        table.add_row(stage, reason, f"{rows:,}")
    with _open_pager(console):
        console.print(table)
        console.print()
        for sentence in _explain_reasons(reason for (_, reason), _ in reasons.most_common()):
            console.print(sentence)
        console.print()
        console.print(_tabulate_rejects(shown))


def render_side(label: str, content: str, spans: Iterable[tuple[int, int, str]]) -> Text:
    """Render one text with styled byte spans; a span of no width draws a gap mark."""
    data = content.encode()
    text = Text(label)
    position = 0
    for start, end, style in spans:
        text.append(show_text(data[position:start].decode(errors="replace")))
        text.append(show_text(data[start:end].decode(errors="replace")) or GAP, style=style)
        position = end
    text.append(show_text(data[position:].decode(errors="replace")))
    text.append("\n")
    return text


def _print_found(
    finished: FinishedRun, ids: Collection[str], rejects: Sequence[Mapping[str, Any]]
) -> None:
    console = open_console()
    if ids:
        _print_samples(console, finished, ids, details=True)
    if rejects:
        console.print(_tabulate_rejects(rejects))


def _print_samples(
    console: Console, finished: FinishedRun, ids: Collection[str], *, details: bool
) -> None:
    wanted = set(ids)
    with _open_pager(console) if details else nullcontext():
        for sample in gather_samples(finished, wanted):
            console.print(SampleView(sample, details=details))


def _open_pager(console: Console) -> AbstractContextManager[Any]:
    """The user's pager if a person is looking; it passes colours on and ends after one screen."""
    if not console.is_terminal:
        return nullcontext()
    os.environ.setdefault("LESS", "-RFX")
    return console.pager(styles=True)


def _explain_reasons(codes: Iterable[str]) -> Iterator[Text]:
    """What each code means and what to do, once each, in the order given."""
    for code in dict.fromkeys(codes):
        reason = find_reason(code)
        if reason is None:
            said = " this version of dfgen does not give it; the detail of each row says more."
            yield Text.assemble((f"{code}:", "bold"), said)
        else:
            said = f" {reason.meaning} {reason.remedy}"
            yield Text.assemble((f"{code}:", "bold"), said)


def _tabulate_rejects(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    named = any(row["source_id"] is not None for row in rows)
    for name in ("stage", "reason", "row", *(["your id"] if named else []), "detail"):
        table.add_column(name, overflow="fold")
    for row in rows:
        own = [row["source_id"] or ""] if named else []
        cells = (row["row_id"], *own, row["detail"])
        table.add_row(
            row["stage"], row["reason"], *(Text(show_text(cell, LONGEST_TEXT)) for cell in cells)
        )
    return table
