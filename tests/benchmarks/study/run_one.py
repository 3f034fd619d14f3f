"""Does one run of the study from its start model to its row of results."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch

from tests.benchmarks.study.loop import Run, open_run, train
from tests.benchmarks.study.measure import measure
from tests.benchmarks.study.settings import Settings


def do_run(settings: Settings, seed: int) -> dict[str, Any]:
    """Train and measure; return every figure of the row."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    started = time.process_time()
    run: Run = open_run(settings, seed)
    if settings.arm != "start":
        train(run)
    trained = time.process_time()
    figures: dict[str, Any] = dict(measure(run))
    bill = asdict(run.bill)
    for name in ("rewards", "repaired", "masked"):
        bill[name] = [round(value, 4) for value in bill[name]]
    return {
        **figures,
        **bill,
        "gradient_share": run.bill.gradient / max(1, run.bill.sampled),
        "train_seconds": round(trained - started, 1),
        "test_seconds": round(time.process_time() - trained, 1),
    }
