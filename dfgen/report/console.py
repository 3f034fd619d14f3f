"""Opens the rich consoles that everything in columns and colours is printed on.

The colours of a console are control characters, so it writes beneath the guard that the command
line keeps on its output; in exchange, what it has laid out is cleaned here, whatever it came from.
"""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from dfgen.store.mounts import show_addresses
from dfgen.terminal_text import show_text


def open_console(*, stderr: bool = False) -> Console:
    """Open a console on stdout or stderr that shows every text as it is and obeys none.

    Square brackets are no markup and `:name:` is no picture: what is printed is data.
    """
    stream: Any = sys.stderr if stderr else sys.stdout
    while hasattr(stream, "rich_proxied_file"):
        stream = stream.rich_proxied_file
    console = Console(file=stream, stderr=stderr, markup=False, emoji=False, highlight=False)
    console.push_render_hook(_Cleaner())
    return console


class _Cleaner(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Shown(renderable) for renderable in renderables]


class _Shown:
    """Something to print, its text shown as `show_text` does; styles stay."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(show_addresses(show_text(segment.text)), segment.style)
