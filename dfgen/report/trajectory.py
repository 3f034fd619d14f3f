"""Draws one answer and its repair in a terminal, in lines and colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from dfgen.report.halfblocks import render_picture
from dfgen.report.marking import Marker
from dfgen.report.perception import name_errors
from dfgen.report.view import View, build_view
from dfgen.terminal_text import show_text

if TYPE_CHECKING:
    from dfgen.report.samples import Sample

# Below this both sides stand under each other.
WIDE = 100
PICTURE_COLUMNS = 28
LONGEST = 1500
"""Tokens of an answer that are drawn at most: some hundred lines."""
LONGEST_TEXT = 4000
"""Characters shown of a question, a choice, an answer or a detail."""
MOST_ROWS = 200
"""Edits and choices that are listed."""

SOURCES = {
    "repair": ("wrong, repaired", "red"),
    "outcome": ("wrong, no accepted repair", "red"),
    "correct": ("right", "green"),
}
_ROLES = {"first": "first error", "independent": "further error"}


class SampleView:
    """A trajectory for `Console.print`.

    Args:
        sample: what to show.
        details: also the table of edits and how they were checked.
    """

    def __init__(self, sample: Sample, *, details: bool = True) -> None:
        self.sample = sample
        self.details = details

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the trajectory out for the console's width and colours."""
        sample = self.sample
        view = build_view(sample.mask, LONGEST)
        marker = Marker(plain=console.color_system is None)
        yield Rule(self._write_title(), align="left", style="dim")
        question = self._write_question()
        if question:
            yield question
        picture = self._draw_picture(console)
        wide = options.max_width >= WIDE
        sides = self._lay_side_by_side(view, marker) if wide else self._lay_below(view, marker)
        if picture is not None and wide:
            grid = Table.grid(padding=(0, 2))
            grid.add_column(width=PICTURE_COLUMNS)
            grid.add_column(ratio=1)
            grid.add_row(picture, sides)
            sides = grid
        elif picture is not None:
            yield picture
        yield Padding(sides, (1, 0, 0, 0))
        yield Text("\n".join(self._list_facts(view)), style="dim")
        if self.details and view.hunks:
            yield self._tabulate_hunks(view)
        if self.details:
            yield from self._list_attempts()
        yield Text()

    def _write_title(self) -> Text:
        # Not at the top: `dfgen diff` draws with this file and needs no records.
        from dfgen.records import is_right

        mask = self.sample.mask
        words, colour = SOURCES[mask["mask_source"]]
        title = Text(show_text(mask["trajectory_id"]), style="bold")
        own = mask.get("source_id")
        if own is not None and own != mask["trajectory_id"]:
            title.append(f"  your id {show_text(own)}")
        title.append(f"  {words}  ", style=colour)
        for index, reward in sorted(self.sample.group.items()):
            sign, colour = ("✓", "green") if is_right(reward) else ("✗", "red")
            current = index == mask["sample_index"]
            title.append(f"[{sign}]" if current else sign, style=colour)
        return title

    def _write_question(self) -> Text:
        prompt = self.sample.prompt
        text = Text(show_text(prompt["question"], LONGEST_TEXT), style="bold")
        for number, choice in enumerate((prompt.get("choices") or ())[:MOST_ROWS]):
            text.append(
                f"\n  {chr(65 + number)}  {show_text(choice, LONGEST_TEXT)}", style="not bold"
            )
        if prompt["answer"]:
            text.append("\n" if text else "", style="not bold dim")
            text.append("reference answer: ", style="not bold dim")
            text.append(show_text(prompt["answer"], LONGEST_TEXT))
        return text

    def _draw_picture(self, console: Console) -> Text | None:
        images = self.sample.prompt.get("images")
        if not images or not console.is_terminal or console.color_system != "truecolor":
            return None
        return render_picture(images[0]["bytes"], PICTURE_COLUMNS)

    def _lay_side_by_side(self, view: View, marker: Marker) -> Table:
        paired = self.sample.mask["repair"] is not None
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
        table.add_column("", style="dim", no_wrap=True)
        table.add_column(self._head_of_policy(), ratio=1)
        if paired:
            table.add_column(self._head_of_repair(), ratio=1)
        for number, step in enumerate(view.steps):
            cells = [self._number(number, step.role), marker.mark_wrong(step)]
            table.add_row(*cells, *([marker.mark_right(step.pieces)] if paired else []))
        return table

    def _lay_below(self, view: View, marker: Marker) -> Table:
        paired = self.sample.mask["repair"] is not None
        table = Table.grid(padding=(0, 1))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(ratio=1)
        table.add_row("", "", self._head_of_policy())
        if paired:
            table.add_row("", "", self._head_of_repair())
        for number, step in enumerate(view.steps):
            wrong, right = marker.mark_wrong(step), marker.mark_right(step.pieces)
            changed = paired and (right.plain != wrong.plain or step.gaps)
            label = self._number(number, step.role)
            table.add_row(label, Text("-", "red") if changed else "", wrong)
            if changed:
                table.add_row("", Text("+", "green"), right)
        return table

    def _head_of_policy(self) -> Text:
        from dfgen.records import is_right

        verdict = self.sample.verdict
        said = None if verdict is None else verdict["extracted"]
        return _write_head("policy", is_right(self.sample.mask["reward"]), said)

    def _head_of_repair(self) -> Text:
        from dfgen.records import is_right

        repair = self.sample.repair
        if repair is None:
            return Text("repair", style="bold")
        return _write_head("repair", is_right(repair["reward"]), repair["verdict"]["extracted"])

    def _number(self, number: int, role: str | None) -> Text:
        text = Text(str(number + 1))
        if role is not None and role != "unchanged":
            text.append(f" {_ROLES.get(role, role)}", style="red" if role in _ROLES else "")
        return text

    def _list_facts(self, view: View) -> Iterator[str]:
        sample = self.sample
        facts = [f"{view.masked} of {view.length} tokens in the mask"]
        quality = sample.mask["quality"]
        if quality is not None:
            facts.append(f"edit ratio {quality['edit_ratio']:.0%}")
            flags = ("answer_only", "ambiguous", "approximate")
            facts += [name.replace("_", " ") for name in flags if quality[name]]
        if sample.mask["finish_reason"] == "length":
            facts.append("cut off at the length limit")
        yield " · ".join(facts)
        if sample.verdict is not None:
            verdict = sample.verdict
            said = f"grader {verdict['grader']}, {verdict['method']}: {verdict['detail']}"
            yield show_text(said, LONGEST_TEXT)
        if sample.reject is not None:
            said = f"no repair: {sample.reject['reason']}, {sample.reject['detail']}"
            yield show_text(said, LONGEST_TEXT)

    def _tabulate_hunks(self, view: View) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        names = ["step", "was", "is", "kind", "cause", "in mask"]
        reasons = any(hunk.get("reason") for hunk in view.hunks)
        errors = name_errors(self.sample.mask)
        told = any(errors)
        for name in [*names, *(["error of"] if told else []), *(["reason"] if reasons else [])]:
            table.add_column(name)
        for hunk, error in islice(zip(view.hunks, errors, strict=True), MOST_ROWS):
            table.add_row(
                str(hunk["wrong_step"] + 1),
                _quote(hunk["wrong_text"], "red"),
                _quote(hunk["right_text"], "green"),
                hunk["kind"],
                hunk.get("role") or "",
                "yes" if hunk["in_mask"] else "no",
                *([error or ""] if told else []),
                *([Text(show_text(hunk.get("reason") or "", LONGEST_TEXT))] if reasons else []),
            )
        return table

    def _list_attempts(self) -> Iterator[Text]:
        for attempt in self.sample.attempts:
            text = Text(f"attempt {attempt['index'] + 1} ", style="dim")
            if attempt["accepted"]:
                text.append("✓ accepted", style="green")
            else:
                text.append(f"✗ {attempt['reason']}", style="red")
                text.append(f" {show_text(attempt['detail'], LONGEST_TEXT)}")
            text.append(_write_price(attempt), style="dim")
            yield text


def _write_head(side: str, right: bool, said: str | None) -> Text:
    text = Text(side, style="bold")
    text.append(" ✓ right" if right else " ✗ wrong", style="green" if right else "red")
    if said is not None:
        text.append(f" · {show_text(said, LONGEST_TEXT)}", style="not bold dim")
    return text


def _write_price(attempt: Mapping[str, Any]) -> str:
    counts = (attempt["prompt_tokens"], attempt["completion_tokens"])
    read, written = ("?" if count is None else f"{count}" for count in counts)
    words = f"  {read} + {written} tokens"
    return words + (f", ${attempt['cost_usd']:.2g}" if attempt["cost_usd"] else "")


def _quote(text: str, style: str) -> Text:
    if not text:
        return Text("nothing", style="dim italic")
    shown = show_text(text, LONGEST_TEXT).replace("\n", "⏎")
    return Text(shown if shown.strip() else shown.replace(" ", "␣"), style=style)
