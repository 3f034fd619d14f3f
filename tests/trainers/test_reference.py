"""Reference losses: by hand on tiny cases, and no gradient where none is promised."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dfgen.errors import ConfigError
from dfgen.trainers.denominators import LOSSES, check_mask_mode, explain_divisor
from dfgen.trainers.reference import (
    BY_ROW,
    BY_TOKEN,
    compute_bnpo,
    compute_cispo,
    compute_dapo,
    compute_dr_grpo,
    compute_grpo,
    compute_gspo,
    compute_gspo_token,
    compute_likelihood,
    compute_sapo,
)

LN = math.log
NAMES = [*BY_ROW, *BY_TOKEN, "likelihood"]


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def compute(name: str, logps: Tensor, old: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    if name == "likelihood":
        return compute_likelihood(logps, advantages, mask, int(mask.sum()))
    if name in BY_ROW:
        return BY_ROW[name](logps, old, advantages, mask, mask.sum(-1))
    return BY_TOKEN[name](logps, old, advantages, mask, int(mask.sum()))


@st.composite
def draw_case(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two rows of up to 4 tokens: log-probs, difference mask, padding at the end."""
    torch.manual_seed(draw(st.integers(0, 10_000)))
    shape = (2, draw(st.integers(1, 4)))
    logps = -torch.rand(shape, dtype=torch.float64)
    old = logps + 0.3 * torch.randn(shape, dtype=torch.float64)
    present = torch.arange(shape[1]) < torch.randint(0, shape[1] + 1, (2, 1))
    return logps, old, present & (torch.rand(shape) < 0.5), present


@pytest.mark.parametrize("mode", ["advantage", "loss"])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(case=draw_case())
def test_no_gradient_outside_of_the_mask(name: str, mode: str, case: Any) -> None:
    logps, old, changed, present = case
    logps = logps.clone().requires_grad_()
    # What stands outside of an answer is anything at all.
    old = torch.where(present, old, torch.nan)
    advantages = torch.tensor([[1.5], [-0.5]], dtype=torch.float64) * changed
    mask = present if mode == "advantage" else changed
    if name == "gspo" and bool(((advantages != advantages[:, :1]) & mask).any()):
        if mode == "loss":
            advantages = torch.tensor([[1.5], [-0.5]], dtype=torch.float64).expand(changed.shape)
        else:
            with pytest.raises(ConfigError):
                compute(name, logps, old, advantages, mask)
            return
    elif name == "gspo" and mode == "advantage":
        return
    loss = compute(name, logps, old, advantages, mask)
    loss.backward()
    assert logps.grad is not None
    assert bool(torch.isfinite(loss))
    assert bool((logps.grad[~changed] == 0).all())


@pytest.mark.parametrize("name", NAMES)
def test_there_is_a_gradient_inside_of_the_mask(name: str) -> None:
    logps = row(LN(0.5), LN(0.25)).requires_grad_()
    mask = torch.tensor([[True, True]])
    compute(name, logps, logps.detach(), row(-1.0, -1.0), mask).backward()
    assert logps.grad is not None
    assert bool((logps.grad > 0).all())


def test_one_ratio_for_a_row_reaches_every_token() -> None:
    """Why GSPO with an advantage mask is refused: written out, its gradient is not 0."""
    logps = row(LN(0.5), LN(0.25)).requires_grad_()
    old, advantages = logps.detach(), row(1.0, 0.0)
    mask = torch.tensor([[True, True]])
    ratio = torch.exp((logps - old).mean(-1, keepdim=True))
    (-(ratio * advantages).sum() / 2).backward()
    assert logps.grad is not None
    assert float(logps.grad[0, 1]) == pytest.approx(-0.25)
    with pytest.raises(ConfigError, match=r'mask_mode="loss"'):
        compute_gspo(logps, old, advantages, mask, torch.tensor([2]))
    free = row(LN(0.5), LN(0.25)).requires_grad_()
    compute_gspo_token(free, old, advantages, mask, torch.tensor([2])).backward()
    assert free.grad is not None
    assert free.grad[0].tolist() == pytest.approx([-0.5, 0])


# Ratios 1.5, 0.5, 1.0 of one row.
NEW, OLD = row(LN(0.75), LN(0.25), LN(0.5)), row(LN(0.5), LN(0.5), LN(0.5))
ALL = torch.tensor([[True, True, True]])
TWO = torch.tensor([[True, True, False]])


def test_grpo_by_hand() -> None:
    up = compute_grpo(NEW, OLD, row(2, 2, 2), ALL, torch.tensor([3]))
    assert float(up) == pytest.approx(-(1.2 * 2 + 0.5 * 2 + 2) / 3)
    down = compute_grpo(NEW, OLD, row(-2, -2, -2), ALL, torch.tensor([3]))
    assert float(down) == pytest.approx((1.5 * 2 + 0.8 * 2 + 2) / 3)


def test_mask_modes_by_hand() -> None:
    """Two of three tokens masked: a third of the weight goes to nobody, or to nobody's share."""
    by_advantage = compute_grpo(NEW, OLD, row(-2, -2, 0), ALL, torch.tensor([3]))
    by_loss = compute_grpo(NEW, OLD, row(-2, -2, 0), TWO, torch.tensor([2]))
    assert float(by_advantage) == pytest.approx((3 + 1.6) / 3)
    assert float(by_loss) == pytest.approx((3 + 1.6) / 2)


def test_rows_are_averaged_and_tokens_are_not() -> None:
    logps = torch.zeros(2, 3, dtype=torch.float64)
    advantages = torch.tensor([[1.0, 1, 1], [-1, 0, 0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    by_row = compute_grpo(logps, None, advantages, mask, mask.sum(-1))
    assert float(by_row) == pytest.approx((-1 + 1) / 2)
    for by_token in (compute_dapo, compute_bnpo, compute_dr_grpo):
        assert float(by_token(logps, None, advantages, mask, 4)) == pytest.approx(-2 / 4)
        assert float(by_token(logps, None, advantages, mask, 10)) == pytest.approx(-2 / 10)


def test_sapo_by_hand() -> None:
    def gate(ratio: float, sharp: float) -> float:
        return 4 / sharp / (1 + math.exp(-sharp * (ratio - 1)))

    loss = compute_sapo(NEW, OLD, row(2, -2, 0), ALL, torch.tensor([3]))
    assert float(loss) == pytest.approx((-2 * gate(1.5, 1.0) + 2 * gate(0.5, 1.05)) / 3)


def test_cispo_by_hand() -> None:
    loss = compute_cispo(NEW, OLD, row(1, 1, 0), ALL, 3, high=1.25)
    assert float(loss) == pytest.approx(-(1.25 * LN(0.75) + 0.5 * LN(0.25)) / 3)


def test_gspo_by_hand() -> None:
    ratio = (1.5 * 0.5 * 1.0) ** (1 / 3)
    loss = compute_gspo(NEW, OLD, row(-1, -1, -1), ALL, torch.tensor([3]), low=0.5, high=0.5)
    assert float(loss) == pytest.approx(ratio)
    kept = compute_gspo(NEW, OLD, row(-1, -1, 0), TWO, torch.tensor([2]), low=0.5, high=0.5)
    assert float(kept) == pytest.approx(0.75**0.5)
    token = compute_gspo_token(NEW, OLD, row(-1, -1, 0), TWO, torch.tensor([2]), low=0.5, high=0.5)
    assert float(token) == pytest.approx(0.75**0.5)


def test_likelihood_by_hand() -> None:
    loss = compute_likelihood(NEW, row(2, 0, 1), ALL, 10)
    assert float(loss) == pytest.approx(-(2 * LN(0.75) + LN(0.5)) / 10)


def test_nothing_to_divide_by_is_no_loss() -> None:
    none = torch.zeros(1, 3, dtype=torch.bool)
    for name in NAMES:
        assert float(compute(name, NEW, OLD, row(0, 0, 0), none)) == 0


def test_reference_and_explanation_know_the_same_losses() -> None:
    assert {*BY_ROW, *BY_TOKEN} <= LOSSES.keys()
    assert all(LOSSES[name].by_row for name in BY_ROW)
    assert not any(LOSSES[name].by_row for name in BY_TOKEN)


@pytest.mark.parametrize("mode", ["advantage", "loss"])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_explained_in_words(name: str, mode: Any) -> None:
    if LOSSES[name].sequence and mode == "advantage":
        with pytest.raises(ConfigError, match="one ratio for the whole answer"):
            explain_divisor(name, mode)
        check_mask_mode(name, mode, token_ratio=True)
        return
    text = explain_divisor(name, mode)
    assert "{" not in text
    assert ("does not carry over" in text) == LOSSES[name].counts_tokens


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'dr_grpo'"):
        explain_divisor("dr-grpo", "loss")
