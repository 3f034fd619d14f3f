"""Defines a hunk, one edit of a pair, as it is stored, and applies hunks to a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dfgen.diff.spans import Span
from dfgen.errors import RowError

Kind = Literal["substitution", "deletion", "insertion", "move", "format"]
Role = Literal["root", "consequence"]


@dataclass(frozen=True)
class RepairerEdit:
    """One edit as the repairer gave it (`find` becomes `replace`), with its reason."""

    find: str
    replace: str
    reason: str | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Hunk:
    """One contiguous edit of the completion.

    Attributes:
        kind: substitution, deletion, insertion, move (text that stands elsewhere on the other
            side), or format (nothing is said differently).
        wrong_bytes, right_bytes: UTF-8 byte spans in completion and repair; one may be empty.
        wrong_text, right_text: the text of these spans.
        wrong_tokens, right_tokens: tokens that the spans overlap, together with neighbours that
            the edit caused to be split in another way.
        wrong_step, right_step: index of the step on each side.
        in_mask: whether the hunk's tokens are in `loss_mask`.
        old_value, new_value: the number that changed, if the hunk is about one number.
        role: consequence if the hunk only carries values that an earlier one changed; None for
            hunks outside the mask.
        partner: for a move, the index of the hunk that is its other half.
        reason, reason_kind: what the repairer said about the edit.
    """

    kind: Kind
    wrong_bytes: Span
    right_bytes: Span
    wrong_text: str
    right_text: str
    wrong_tokens: Span
    right_tokens: Span
    wrong_step: int
    right_step: int
    in_mask: bool
    old_value: str | None = None
    new_value: str | None = None
    role: Role | None = None
    partner: int | None = None
    reason: str | None = None
    reason_kind: str | None = None

    @property
    def moved(self) -> bool:
        """Whether the text stands elsewhere on the other side."""
        return self.kind == "move"

    @property
    def format_only(self) -> bool:
        """Whether nothing but the form changed."""
        return self.kind == "format"

    def to_json(self) -> dict[str, Any]:
        """Return the hunk as JSON values; spans become [start, end]."""
        return {
            "kind": self.kind,
            "wrong_bytes": list(self.wrong_bytes),
            "right_bytes": list(self.right_bytes),
            "wrong_text": self.wrong_text,
            "right_text": self.right_text,
            "wrong_tokens": list(self.wrong_tokens),
            "right_tokens": list(self.right_tokens),
            "wrong_step": self.wrong_step,
            "right_step": self.right_step,
            "in_mask": self.in_mask,
            "old_value": self.old_value,
            "new_value": self.new_value,
            "role": self.role,
            "partner": self.partner,
            "reason": self.reason,
            "reason_kind": self.reason_kind,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Hunk:
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError: fields are missing or unknown.
        """
        spans = ("wrong_bytes", "right_bytes", "wrong_tokens", "right_tokens")
        fields: dict[str, Any] = {k: Span(*v) if k in spans else v for k, v in value.items()}
        return cls(**fields)


def apply_hunks(completion: str, hunks: Sequence[Hunk]) -> str:
    """Apply hunks to a completion by byte spans: the repair, if everything is as it must be.

    Raises:
        RowError: `hunk_does_not_apply` if a span is out of order or holds other text than stated.
    """
    raw = completion.encode("utf-8")
    parts: list[bytes] = []
    at = 0
    for index, hunk in enumerate(hunks):
        start, end = hunk.wrong_bytes
        if not at <= start <= end <= len(raw) or raw[start:end] != hunk.wrong_text.encode():
            raise RowError(
                "hunk_does_not_apply",
                f"hunk {index} expects {hunk.wrong_text!r} at bytes {start}:{end} of the "
                "completion, which holds something else.",
                {"hunk": index, "start": start, "end": end},
            )
        parts += [raw[at:start], hunk.right_text.encode()]
        at = end
    parts.append(raw[at:])
    return b"".join(parts).decode("utf-8")
