"""Marks text for terminals: colours where there are any, else the brackets of a word diff.

What a model wrote is shown, never obeyed: control characters come out as their pictures, so that no
completion can move the cursor, retitle the window or hide a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text

from dfgen.report.view import Piece, Step, Token
from dfgen.terminal_text import show_text

# Operation of a token -> style. Each differs by more than its hue.
STYLES = {
    0: "",
    1: "red underline",
    2: "red strike",
    3: "magenta italic",
    4: "yellow dim",
}
NEW_STYLE = "bold green"
GAP = "‸"

# As `git diff --word-diff` marks what went and what came.
_BRACKETS = {1: "[-{}-]", 2: "[-{}-]", 3: "[~{}~]", 4: "[={}=]"}
_NEW_BRACKETS = "{{+{}+}}"


@dataclass(frozen=True)
class Marker:
    """Writes both sides of a step; `plain` uses brackets instead of colours."""

    plain: bool

    def mark_wrong(self, step: Step) -> Text:
        """Return the completion's side, gaps included."""
        text = Text()
        for key, group in groupby(_with_gaps(step), key=_run_of):
            word = "".join(token.text for token in group if token is not None)
            if key is None:
                text.append("{+}" if self.plain else GAP, NEW_STYLE)
            else:
                self._append(text, word, key[0], STYLES[key[0]])
        return _strip_end(text)

    def mark_right(self, pieces: Iterable[Piece]) -> Text:
        """Return the repair's side."""
        text = Text()
        for piece in pieces:
            if piece.hunk is None:
                text.append(show_text(piece.text))
            else:
                self._append(text, piece.text, None, NEW_STYLE)
        return _strip_end(text)

    def _append(self, text: Text, word: str, op: int | None, style: str) -> None:
        # The space that a token begins with is not what was edited.
        start = len(word) - len(word.lstrip(" ")) if word.strip() else 0
        text.append(word[:start])
        word = show_text(word[start:])
        if op != 0 and word and not word.strip():
            word = word.replace(" ", "␣").replace("\n", "⏎\n")
        if self.plain and word and op != 0:
            word = (_NEW_BRACKETS if op is None else _BRACKETS[op]).format(word)
        text.append(word, style)


def _with_gaps(step: Step) -> Iterator[Token | None]:
    """The tokens of a step; None stands for a gap before the next one."""
    for place, token in enumerate(step.tokens):
        if place in step.gaps:
            yield None
        yield token
    if len(step.tokens) in step.gaps:
        yield None


def _run_of(token: Token | None) -> tuple[int, int | None] | None:
    return None if token is None else (token.op, token.hunk)


def _strip_end(text: Text) -> Text:
    text.rstrip()
    return text
