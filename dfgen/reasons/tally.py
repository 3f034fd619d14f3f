"""Counts reasons, and keeps the first example of each, to say in one line why rows were refused."""

from __future__ import annotations

from collections import Counter

_SHOWN = 3
"""Reasons that are named; the rest is counted."""


class ReasonTally:
    """Rows that were refused, by reason.

    Attributes:
        rows: of each reason.
        prompts: of each reason; a prompt whose rows follow one another counts once.
        examples: of each reason the first row that had it: its id and the detail.
    """

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.prompts: Counter[str] = Counter()
        self.examples: dict[str, tuple[str, str]] = {}
        self._last: dict[str, str | None] = {}

    def add(self, code: str, row_id: str, detail: str, prompt_id: str | None = None) -> None:
        """Count one row."""
        self.rows[code] += 1
        self.examples.setdefault(code, (row_id, detail))
        if prompt_id is None or self._last.get(code) != prompt_id:
            self.prompts[code] += 1
            self._last[code] = prompt_id

    @property
    def total(self) -> int:
        """Rows of all reasons."""
        return self.rows.total()

    def describe(self, *, with_prompts: bool = False) -> str:
        """Name the most frequent reasons: `7 image_missing, 1 duplicate`.

        Args:
            with_prompts: say of how many prompts the rows are, where these are fewer: a question
                that no model may be asked is refused once for each of its samples.
        """
        parts = []
        for code, rows in self.rows.most_common(_SHOWN):
            prompts = self.prompts[code]
            of = f" (of {prompts:,} prompt{'s' * (prompts != 1)})"
            parts.append(f"{rows:,} {code}{of if with_prompts and prompts < rows else ''}")
        rest = self.total - sum(rows for _, rows in self.rows.most_common(_SHOWN))
        return ", ".join([*parts, f"{rest:,} for other reasons"] if rest else parts)

    def explain(self) -> str:
        """Say in one sentence which reason is the most frequent, with an example of it."""
        (code, rows), *others = self.rows.most_common(2)
        row_id, detail = self.examples[code]
        which = f"Most often {code} ({rows:,} of {self.total:,})" if others else f"All {code}"
        return f"{which}, such as {row_id}: {detail.rstrip('.')}."
