"""Writes what a teacher knows more than its student: what was wrong in an answer, and the repair.

Trainers that distil a model into itself (SDFT, SDPO 2601.20802, OPSD 2601.18734, RLSD 2604.03128)
score the student's tokens under the same model with a privileged context. Feedback aligned to the
model's own steps beats a reference solution there (2606.11173). Shown up to an edit, the context
never holds the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dfgen.export.chats import PLACEHOLDER
from dfgen.export.choices import WHOLE
from dfgen.stages.repair.leak import count_safe_edits, states_answer


@dataclass(frozen=True)
class Context:
    """What the teacher is shown.

    Attributes:
        text: the wrong answer, what was wrong in it, and the corrected text as far as it is shown.
        shown: that corrected text alone.
        revealed: how many edits are shown.
        mistakes: how many there are.
    """

    text: str
    shown: str
    revealed: int
    mistakes: int


def write_context(
    completion: str,
    repair: str,
    hunks: Sequence[Mapping[str, Any]],
    steps: Mapping[int, str],
    answers: Sequence[str],
    reveal: int,
) -> Context | None:
    """Write the context of one repaired answer.

    Args:
        completion: the wrong answer.
        repair: the accepted repair of it.
        hunks: the edits as the mask row has them, in order.
        steps: text of the steps of `completion` by number, to say where an edit is.
        answers: the reference answer in the forms it may have.
        reveal: how many edits to show, fewer where one of them shows the answer; `WHOLE`: all.

    Returns:
        None where no edit is a mistake (all of them are form or order).
    """
    mistakes = [hunk for hunk in hunks if hunk["in_mask"]]
    if not mistakes:
        return None
    if reveal == WHOLE:
        revealed, shown = len(mistakes), repair
    else:
        spans = [(hunk["right_bytes"][0], hunk["right_bytes"][1]) for hunk in mistakes[:reveal]]
        revealed = count_safe_edits(repair, spans, answers)
        end = spans[revealed - 1][1] if revealed else 0
        shown = repair.encode()[:end].decode(errors="replace")
    hidden = () if reveal == WHOLE else answers
    lines = [_describe(mistakes[i], steps, hidden) for i in range(revealed)]
    if not lines:
        lines = [f"{_locate(mistakes[0], steps)}: something is wrong here."]
    heading = (
        "What was wrong in it:" if revealed == len(mistakes) else "What first went wrong in it:"
    )
    parts = [
        "An earlier answer to this question was wrong:",
        completion.strip(),
        "\n".join([heading, *(f"{i}. {line}" for i, line in enumerate(lines, 1))]),
    ]
    if shown:
        until = "" if reveal == WHOLE else ", up to there"
        parts.append(f"The same answer, corrected{until}:\n{shown.strip()}")
    return Context(clean("\n\n".join(parts)), clean(shown), revealed, len(mistakes))


def list_forms(answer: str, choices: Sequence[str]) -> list[str]:
    """List the forms of a reference answer: itself, and the choice or letter that it stands for."""
    forms = [answer]
    letter = answer.strip(" ().*").upper()
    if len(letter) == 1 and 0 <= ord(letter) - ord("A") < len(choices):
        forms.append(choices[ord(letter) - ord("A")])
    elif answer in choices:
        forms.append(chr(ord("A") + list(choices).index(answer)))
    return [form for form in forms if form.strip()]


def clean(text: str) -> str:
    """Return a text in which a literal `<image>`, which trainers count, is written `[image]`."""
    return text.replace(PLACEHOLDER, "[image]")


def _describe(hunk: Mapping[str, Any], steps: Mapping[int, str], hidden: Sequence[str]) -> str:
    wrong, right = hunk["wrong_text"].strip(), hunk["right_text"].strip()
    if wrong and right:
        what = f'"{wrong}" should be "{right}".'
    elif wrong:
        what = f'"{wrong}" should not be there.'
    else:
        what = f'"{right}" is missing.'
    reason = (hunk["reason"] or "").strip()
    if reason and not states_answer(reason, hidden):
        what = f"{what} {reason}"
    return f"{_locate(hunk, steps)}: {what}"


def _locate(hunk: Mapping[str, Any], steps: Mapping[int, str]) -> str:
    step = steps.get(hunk["wrong_step"], "").strip()
    return f'In "{step}"' if step else "At the end"
