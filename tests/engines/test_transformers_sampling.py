"""How single tokens are drawn: distribution, truncation, independence."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")

from dfgen.engines.base import Decoding  # noqa: E402
from dfgen.engines.transformers.sampling import SeededSampler  # noqa: E402

CPU = torch.device("cpu")
LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0])


def draw(logits: Any, samplings: list[Decoding], seeds: list[int], steps: int = 1) -> list[Any]:
    """Draw `steps` tokens per row from the same logits; return [rows][steps] of ids."""
    sampler = SeededSampler(samplings, seeds, CPU)
    for _ in range(steps):
        scores = sampler(torch.zeros(len(seeds), 1), logits.expand(len(seeds), -1))
        assert torch.isfinite(scores).sum() == len(seeds)
    return sampler.collect()[0]


def expect(sampling: Decoding, counts: Counter[int], total: int) -> float:
    """Return chi-square per degree of freedom against softmax(logits / temperature)."""
    probabilities = (LOGITS / sampling.temperature).softmax(dim=-1).tolist()
    terms = [
        (counts[token] - total * probability) ** 2 / (total * probability)
        for token, probability in enumerate(probabilities)
    ]
    return sum(terms) / (len(terms) - 1)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("many", ["seeds", "steps"])
def test_draws_follow_the_softmax(temperature: float, many: str) -> None:
    sampling = Decoding(temperature=temperature)
    total = 8000
    if many == "seeds":
        drawn = [row[0] for row in draw(LOGITS, [sampling] * total, list(range(total)))]
    else:
        drawn = draw(LOGITS, [sampling], [7], steps=total)[0]
    # 5 degrees of freedom: chi-square / 5 exceeds 4.1 once in a thousand draws; seeds are fixed.
    assert expect(sampling, Counter(drawn), total) < 4.1


def test_draws_of_neighbouring_seeds_and_steps_are_uncorrelated() -> None:
    rows = draw(LOGITS, [Decoding()] * 2000, list(range(2000)), steps=2)
    hits = [(first == 0, second == 0) for first, second in rows]
    expected = float(LOGITS.softmax(-1)[0]) ** 2
    assert abs(sum(a and b for a, b in hits) / 2000 - expected) < 0.04
    neighbours = pairwise(hits)
    assert abs(sum(a[0] and b[0] for a, b in neighbours) / 1999 - expected) < 0.04


def test_a_row_does_not_depend_on_its_batch_mates() -> None:
    warm = Decoding(temperature=1.3, top_p=0.95)
    alone = draw(LOGITS, [warm], [11], steps=20)[0]
    mates = [Decoding(), Decoding(temperature=0), warm, Decoding(top_k=2)]
    assert draw(LOGITS, mates, [1, 2, 11, 4], steps=20)[2] == alone
    assert draw(LOGITS, mates, [8, 9, 11, 7], steps=20)[2] == alone


def test_temperature_zero_is_argmax_whatever_the_seed() -> None:
    rows = draw(LOGITS, [Decoding(temperature=0)] * 50, list(range(50)), steps=3)
    assert rows == [[0, 0, 0]] * 50


def test_top_k_keeps_the_k_most_likely() -> None:
    drawn = Counter(draw(LOGITS, [Decoding(top_k=2)], [3], steps=2000)[0])
    assert set(drawn) == {0, 1}
    assert drawn[0] / 2000 == pytest.approx(math.e / (1 + math.e), abs=0.04)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    # Probabilities .579 .213 .129 .078 ...: two tokens reach .7.
    drawn = Counter(draw(LOGITS, [Decoding(top_p=0.7)], [3], steps=2000)[0])
    assert set(drawn) == {0, 1}


def test_truncation_never_draws_what_it_removed() -> None:
    logits = torch.zeros(50_000)
    logits[17] = 5.0
    drawn = draw(logits, [Decoding(top_k=1)] * 4, [1, 2, 3, 4], steps=25)
    assert {token for row in drawn for token in row} == {17}


def test_logprobs_are_of_the_model_itself() -> None:
    sampler = SeededSampler([Decoding(temperature=0.3, top_k=3)], [5], CPU)
    for _ in range(10):
        sampler(torch.zeros(1, 1), LOGITS[None])
    [ids], [logprobs] = sampler.collect()
    expected = LOGITS.log_softmax(-1)
    assert logprobs == pytest.approx([float(expected[token]) for token in ids], abs=1e-6)


def test_seeds_of_63_bits_are_taken() -> None:
    assert draw(LOGITS, [Decoding()], [2**63 - 1], steps=5)


def test_half_precision_logits_are_read_in_float32() -> None:
    sampler = SeededSampler([Decoding()], [5], CPU)
    scores = sampler(torch.zeros(1, 1), LOGITS[None].to(torch.bfloat16))
    assert scores.dtype == torch.bfloat16
    assert sampler.collect()[1][0][0] < 0
