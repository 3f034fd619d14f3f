"""Every kind of secret is found in whatever it stands; what only looks like one is left alone."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from dfgen.publish.patterns import SECRETS
from dfgen.publish.safety import Findings, Scanner
from tests.support.secret_texts import (
    CONTEXTS,
    MAKERS,
    NEAR_MISSES,
    Draw,
    make_secrets,
    make_texts,
)

SEEDS = range(2)


class Noted(Findings):
    """Findings of which every one is kept, by the row that it is in."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.kinds: list[set[str]] = [set() for _ in range(rows)]

    def add(self, check: str, place: str, row: str, what: str) -> None:
        super().add(check, place, row, what)
        self.kinds[int(row.removeprefix("prompt "))].add(check)


def find(texts: list[str]) -> list[set[str]]:
    """Say which kinds the scanner finds in each of some texts."""
    ids = [str(number) for number in range(len(texts))]
    found = Noted(len(texts))
    batch = pa.RecordBatch.from_pydict({"prompt_id": ids, "text": texts})
    Scanner(found).scan_batch(batch, "rows")
    return found.kinds


def test_every_kind_has_forms_and_near_misses() -> None:
    assert set(MAKERS) == set(NEAR_MISSES) == set(SECRETS)


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_in_every_context(kind: str) -> None:
    cases = [
        (name, text)
        for seed in SEEDS
        for secret in make_secrets(seed)[kind]
        for name, text in make_texts(kind, secret).items()
    ]
    found = find([text for _, text in cases])
    assert [case for case, kinds in zip(cases, found, strict=True) if kind not in kinds] == []


@pytest.mark.parametrize("kind", NEAR_MISSES)
def test_what_looks_like_a_secret_is_left_alone(kind: str) -> None:
    """By every kind, not by its own alone."""
    draw = Draw(random.Random(1))
    texts = [
        put(make(draw)) for _ in SEEDS for make in NEAR_MISSES[kind] for put in CONTEXTS.values()
    ]
    hits = [(kinds, text) for text, kinds in zip(texts, find(texts), strict=True)]
    assert [(kinds & set(SECRETS), text) for kinds, text in hits if kinds & set(SECRETS)] == []
