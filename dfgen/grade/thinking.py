"""Where the visible answer of a reasoning model begins."""

from __future__ import annotations

import re

_CLOSE = re.compile(
    r"</ {0,2}(?:think|thinking|thought|thoughts|reasoning) {0,2}>"
    r"|◁/think▷|\[/THINK\]|<\|end_of_thought\|>",
    re.IGNORECASE,
)


def find_visible_start(completion: str) -> int:
    """Return the offset, in characters, at which the text after the thinking begins.

    Chat templates often open the thinking in the prompt, so a closing tag without an opening one
    counts too. A completion that ends with its thinking has nothing else to grade: 0.
    """
    end = 0
    for match in _CLOSE.finditer(completion):
        end = match.end()
    return end if completion[end:].strip() else 0
