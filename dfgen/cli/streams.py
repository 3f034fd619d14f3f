"""Lets nothing that a command prints reach the terminal but text that is shown, not obeyed.

All output of a command passes here: its own lines, click's usage errors, warnings and the bars of
other packages. Only `dfgen.report.console` writes beneath it, because its colours are control
characters too; it cleans what it lays out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from dfgen.store.mounts import show_addresses
from dfgen.terminal_text import show_text

_TO_ANOTHER_BAR = re.compile(r"(?:\x1b\[A)+")


class SafeStream:
    """A text stream on which every control character but tab and line break becomes a sign.

    On a terminal the two moves that bars of other packages (tqdm) need pass: to the start of the
    line before a text, and, as a write of its own, to the line of another bar.

    Args:
        stream: where the text goes, such as `sys.stdout`.
    """

    buffer = None
    """Bytes would pass by unseen, so there is no way to write any."""

    def __init__(self, stream: Any) -> None:
        # rich writes to the stream that it finds under this name.
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Write a text, shown; return its length as it was given."""
        if not isinstance(text, str):
            raise TypeError(f"this stream takes text, not {type(text).__name__}")
        stream = self.rich_proxied_file
        moves = ""
        if stream.isatty():
            moves = text if _TO_ANOTHER_BAR.fullmatch(text) else "\r" if text[:1] == "\r" else ""
        shown = show_addresses(show_text(text[len(moves) :]))
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(moves + shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


@contextmanager
def make_output_safe() -> Iterator[None]:
    """Put a `SafeStream` over stdout and stderr while the block runs."""
    kept = sys.stdout, sys.stderr
    if any(isinstance(stream, SafeStream) for stream in kept):
        yield
        return
    sys.stdout, sys.stderr = (stream and SafeStream(stream) for stream in kept)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept
