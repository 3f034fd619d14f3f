"""Holds the training loop of all stages: AdamW, a warm-up, a decay, a log line now and then."""

import sys
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def shape_rate(step: int, steps: int, warm_up: int, decay: float) -> float:
    """Return the learning rate's factor: linear warm-up, constant, then linearly down to 2 %.

    Args:
        step: from 0.
        decay: share of all steps that the final decay takes.
    """
    rise = min(1.0, (step + 1) / warm_up)
    fall = min(1.0, (steps - step) / max(1.0, decay * steps))
    return rise * max(0.02, fall)


def train_steps(
    parameters: Iterable[torch.nn.Parameter],
    compute_loss: Callable[[int], Tensor],
    *,
    steps: int,
    rate: float,
    warm_up: int = 20,
    decay: float = 0.4,
    watch: Callable[[], tuple[str, bool]] | None = None,
    watch_every: int = 100,
) -> None:
    """Minimise a loss.

    Args:
        parameters: what to train; those without gradients are left alone.
        compute_loss: from the step number to a scalar with a graph; draws its own fresh batch.
        rate: peak learning rate.
        watch: what to measure now and then; returns words for the log, and whether to stop.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    started, total = time.process_time(), 0.0
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * shape_rate(step, steps, warm_up, decay)
        loss = compute_loss(step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        total += float(loss.detach())
        if (step + 1) % watch_every == 0 or step + 1 == steps:
            cpu = (time.process_time() - started) / 60
            note, stop = watch() if watch else ("", False)
            mean = total / (step % watch_every + 1)
            line = f"step {step + 1}/{steps} loss {mean:.4f} cpu-min {cpu:.1f} {note}"
            print(line, file=sys.stderr, flush=True)
            total = 0.0
            if stop:
                return
