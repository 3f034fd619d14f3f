"""How a request frames the text to correct; for servers that need not know what dfgen is."""

from __future__ import annotations

from tests.support.loopback import Received

OPEN = "<student_answer "


def is_probe(received: Received) -> bool:
    """Tell whether a request holds no text to correct: it asks whether the server is well."""
    return OPEN not in received.text


def read_student(received: Received) -> str:
    """The text to correct, as the request frames it."""
    return find_student(received.text)


def find_student(prompt: str) -> str:
    """The text to correct, as a prompt frames it."""
    frame = prompt.split(OPEN)[1]
    fence, _, rest = frame.partition(">\n")
    return rest.split(f"\n</student_answer {fence}>")[0]
