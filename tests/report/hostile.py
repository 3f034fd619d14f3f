"""Trajectories whose every text tries to be markup, script or a terminal command."""

from __future__ import annotations

from functools import cache
from typing import Any

from dfgen.config.mask import MaskConfig
from dfgen.demo import locate_model
from dfgen.diff.hunks import Hunk
from dfgen.diff.pair import diff_pair
from dfgen.records import Mask, Quality
from dfgen.report.samples import Sample
from dfgen.tokens.loading import load_tokenizer
from dfgen.tokens.tokenizer import TextTokenizer
from tests.support.pictures import make_png

ATTACKS = (
    "<script>window.hit = 1</script>",
    "</script><img src=x onerror='window.hit = 1'>",
    "<!--<script>",
    "]]><svg onload=window.hit=1>",
    "{{script}} {{data}} ${window.hit = 1}",
    "&lt;b&gt; \u2028 \u2029 'quoted' \"double\"",
    "javascript:window.hit=1",
)
PICTURE_NAME = "a\"b'c><img src=x onerror=window.hit=1>.png"
ESCAPES = "\x1b[2J\x1b]0;title\x07 \x9b31m \u202egnp.exe"


@cache
def load_demo_tokenizer() -> TextTokenizer:
    return load_tokenizer(str(locate_model("policy")))


def make_mask_row(
    completion: str, repair: str | None, *, name: str = "p0-0", reason: str | None = None
) -> dict[str, Any]:
    """A row of the masks table, made by the real difference."""
    import json

    diff = diff_pair(completion, repair or completion, load_demo_tokenizer(), MaskConfig())
    repaired = repair is not None
    hunks = [{**hunk.to_json(), "reason": reason} for hunk in diff.hunks]
    assert all(Hunk.from_json(hunk) for hunk in hunks)
    quality = {
        field: getattr(diff.quality, field)
        for field in Quality.model_fields
        if hasattr(diff.quality, field)
    }
    row = {
        "trajectory_id": name,
        "prompt_id": name.rpartition("-")[0],
        "sample_index": int(name.rpartition("-")[2]),
        "completion": diff.completion,
        "completion_ids": diff.completion_ids.tolist(),
        "ids_source": "encoded",
        "logprobs": [-0.1] * len(diff.completion_ids),
        "finish_reason": "stop",
        "reward": 0.0,
        "mask_source": "repair" if repaired else "outcome",
        "loss_mask": diff.loss_mask.tolist() if repaired else [True] * len(diff.completion_ids),
        "token_ops": diff.token_ops.tolist() if repaired else None,
        "gap_mask": diff.gap_mask.tolist() if repaired else None,
        "repair": diff.repair if repaired else None,
        "repair_ids": diff.repair_ids.tolist() if repaired else None,
        "repair_mask": diff.repair_mask.tolist() if repaired else None,
        "repair_logprobs": None,
        "token_bytes": diff.token_bytes.tolist(),
        "step_ids": diff.step_ids.tolist(),
        "step_labels": diff.step_labels.tolist() if repaired else None,
        "step_changed": diff.step_changed.tolist() if repaired else None,
        "step_roles": list(diff.step_roles) if repaired else None,
        "first_error_step": diff.first_error_step if repaired else None,
        "weights": None,
        "hunks": json.dumps(hunks) if repaired else None,
        "quality": {**quality, "answer_only": False} if repaired else None,
    }
    return Mask.model_validate(row).model_dump()


def make_verdict(text: str, *, correct: bool) -> dict[str, Any]:
    return {
        "correct": correct,
        "grader": text,
        "extracted": text,
        "expected": text,
        "method": text,
        "detail": text,
    }


def make_sample(text: str, number: int) -> Sample:
    """A trajectory in which every field that a model or a data set can fill holds `text`."""
    attempt = {
        "index": 0,
        "accepted": True,
        "reason": "accepted",
        "detail": text,
        "text": text,
        "finish_reason": "stop",
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "cost_usd": 0.0,
        "seed": 0,
    }
    mask = make_mask_row(
        f"First {text}\nthen 3.", f"First {text}\nthen {text}.", name=f"p{number}-0", reason=text
    )
    prompt = {
        "prompt_id": f"p{number}",
        "question": f"What is {text}?",
        "choices": [text, "other"],
        "answer": text,
        "answer_type": "text",
        "source": text,
        "images": [{"bytes": make_png(number), "path": PICTURE_NAME}],
    }
    repair = {
        "attempts": [attempt],
        "verdict": make_verdict(text, correct=True),
        "reward": 1.0,
        "protocol": "rewrite",
        "model": text,
        "cost_usd": 0.0,
    }
    return Sample(
        mask=mask,
        prompt=prompt,
        verdict={**make_verdict(text, correct=False), "model": text},
        repair=repair,
        reject=None,
        group={0: 0.0, 1: 1.0},
    )


def make_samples() -> list[Sample]:
    return [make_sample(text, number) for number, text in enumerate(ATTACKS)]


def describe_hostile_run() -> dict[str, Any]:
    """The head of a page, hostile too."""
    text = ATTACKS[1]
    return {
        "name": text,
        "pipeline": text,
        "created": "2026-01-01",
        "version": "0",
        "policy": text,
        "repairer": text,
        "shown": len(ATTACKS),
        "total": len(ATTACKS),
    }


NUMBERS: dict[str, Any] = {
    "run": "run",
    "counts": {},
    "rejects": {"repair": {ATTACKS[1]: 3}},
}
