r"""Makes text of unknown origin safe to print: it is shown in a terminal, never obeyed.

A model, a server or a data set can write anything, and a terminal obeys control characters: they
move the cursor, hide lines, retitle the window, open links (ECMA-48), and marks that turn the
direction of writing make a line read as another one (Unicode Technical Report 36). Here they come
out as signs that everybody can see: the pictures of Unicode for the oldest ones (`␛`), and for the
others the escapes of JSON (`\u202e`), so that a JSON text stays JSON and means the same.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls (C0, DEL, C1); tabs and line breaks stay
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks of direction
    "\u2028\u2029"  # separators that some terminals take for line breaks
    "\ufff9-\ufffb"  # annotations
    "\U000e0001-\U000e007f"  # tags: letters that nobody sees
    "\ud800-\udfff"  # halves of pairs, which no output can encode
    "]"
)
_LAST_PICTURE = 0x1F
_PICTURES = 0x2400


def show_text(text: object, limit: int | None = None) -> str:
    """Return a text as it may be printed: no control character but tab and line break is left.

    Args:
        text: anything; `str()` is taken of what is no text.
        limit: characters that are kept where more than a few are over; what is cut off is counted
            in words. None: all.
    """
    shown, note = _split(str(text), limit)
    return _UNSAFE.sub(_name_character, shown) + note


def cut_text(text: str, limit: int) -> str:
    """Cut a long text short, and say how much is left out, as `show_text` does."""
    return "".join(_split(text, limit))


def _split(text: str, limit: int | None) -> tuple[str, str]:
    """Return what is kept of a text, and a note on what is cut off; empty where all is kept.

    Nothing is cut off that is no longer than the note.
    """
    if limit is None or len(text) <= limit:
        return text, ""
    more = len(text) - limit
    note = f"… ({more:,} more characters)"
    return (text[:limit], note) if more > len(note) else (text, "")


def show_line(text: object, limit: int | None = None) -> str:
    """As `show_text`, with every line break as a sign, too: the text stays on one line."""
    return show_text(text, limit).replace("\n", "⏎").replace("\t", "␉")


def _name_character(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= _LAST_PICTURE:
        return chr(_PICTURES + code)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    # JSON names such a character by the two halves that UTF-16 writes it with.
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
