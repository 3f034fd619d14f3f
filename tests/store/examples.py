"""Pipelines and rows for the tests of the store."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from dfgen.config.pipeline import Pipeline
from dfgen.records import (
    Attempt,
    Image,
    ImageInfo,
    Mask,
    Prompt,
    Quality,
    Reject,
    Repair,
    Trajectory,
    VerdictInfo,
)
from dfgen.store.finishing import finish_shard
from dfgen.store.layout import STAGES, Stage
from dfgen.store.run import Run


def make_pipeline(**sections: Any) -> Pipeline:
    """A small valid pipeline; `sections` are merged into it."""
    tree: dict[str, Any] = {
        "prompts": {"source": "jsonl", "path": "questions.jsonl"},
        "policy": {"engine": "transformers", "model": "demo:policy"},
        "sample": {"num_samples": 2},
        "repair": {"engine": {"engine": "openai", "model": "strong"}},
    }
    for name, value in sections.items():
        tree[name] = {**tree.get(name, {}), **value} if isinstance(value, dict) else value
    return Pipeline.model_validate(tree)


def make_prompt(name: str, picture: bytes = b"\x89PNG not really") -> Prompt:
    return Prompt(
        prompt_id=name,
        question="How many?",
        images=[Image(bytes=picture, path="a.png"), Image(bytes=b"", path=None)],
        image_info=[
            ImageInfo(sha256=hashlib.sha256(picture).hexdigest(), format="PNG", width=8, height=9)
        ],
        choices=["1", "zwei"],
        answer="2",
        answer_type="auto",
        solution=None,
        source="questions.jsonl:1",
        metadata='{"level": 3}',
    )


def make_verdict(correct: bool) -> VerdictInfo:
    return VerdictInfo(
        correct=correct, grader="math", extracted="2", expected="2", method="box", detail=""
    )


def make_trajectory(prompt_id: str, index: int, *, right: bool = False) -> Trajectory:
    return Trajectory(
        trajectory_id=f"{prompt_id}-{index}",
        prompt_id=prompt_id,
        sample_index=index,
        completion="It is 3.",
        completion_ids=[1, 2, 3, index],
        ids_source="sampled",
        logprobs=[-0.5, -0.25, 0.0, float("-inf")],
        finish_reason="stop",
        stop_reason=None,
        prompt_tokens=12,
        image_tokens=None,
        seed=2**62 + index,
        model="demo:policy",
        reward=1.0 if right else 0.0,
        verdict=make_verdict(right),
        metadata="{}",
    )


def make_repair(prompt_id: str, index: int) -> Repair:
    return Repair(
        trajectory_id=f"{prompt_id}-{index}",
        prompt_id=prompt_id,
        sample_index=index,
        repair="It is 2.",
        protocol="rewrite",
        edits=None,
        reward=1.0,
        verdict=make_verdict(True),
        edit_ratio=0.25,
        step_edit_ratio=1.0,
        answer_only=False,
        attempts=[
            Attempt(
                index=0,
                accepted=True,
                reason="accepted",
                detail="",
                text="It is 2.",
                finish_reason="stop",
                prompt_tokens=20,
                completion_tokens=4,
                cost_usd=0.0125,
                seed=7,
            )
        ],
        model="strong",
        cost_usd=0.0125,
    )


def make_mask(prompt_id: str, index: int, source: str = "correct") -> Mask:
    repaired = source == "repair"
    return Mask.model_validate(
        {
            "trajectory_id": f"{prompt_id}-{index}",
            "prompt_id": prompt_id,
            "sample_index": index,
            "completion": "It is 3.",
            "completion_ids": [1, 2, 3, index],
            "ids_source": "sampled",
            "logprobs": None,
            "finish_reason": "stop",
            "reward": 0.0,
            "mask_source": source,
            "loss_mask": [False, False, True, False],
            "token_ops": [0, 0, 1, 0] if repaired else None,
            "gap_mask": [False] * 5 if repaired else None,
            "repair": "It is 2." if repaired else None,
            "repair_ids": [1, 2, 9, index] if repaired else None,
            "repair_mask": [False, False, True, False] if repaired else None,
            "repair_logprobs": None,
            "token_bytes": [0, 2, 5, 7, 8],
            "step_ids": [0, 0, 0, 0],
            "step_labels": [True] if repaired else None,
            "step_changed": [0.25] if repaired else None,
            "step_roles": ["first"] if repaired else None,
            "first_error_step": 0 if repaired else None,
            "weights": None,
            "hunks": "[]" if repaired else None,
            "quality": Quality(
                edit_ratio=0.25,
                step_edit_ratio=1.0,
                n_hunks=1,
                ambiguous=False,
                approximate=False,
                format_only_share=0.0,
                answer_only=False,
            )
            if repaired
            else None,
        }
    )


def make_reject(stage: str, row_id: str, reason: str = "too_long") -> Reject:
    return Reject.model_validate(
        {
            "stage": stage,
            "row_id": row_id,
            "prompt_id": None,
            "reason": reason,
            "detail": "It is too long.",
            "evidence": "{}",
        }
    )


def make_finished_run(root: Path) -> Run:
    """Two shards of two prompts, two samples each, with a reject in every stage.

    Of each prompt, sample 0 is wrong and sample 1 right. p0-0 was not sampled, p1-0 not repaired,
    p2-1 got no mask.
    """
    run = Run.open_or_create(root, make_pipeline())
    pipeline = make_pipeline()
    for stage in STAGES:
        run.check_stage(stage, pipeline, {})
        for shard, names in enumerate((["p0", "p1"], ["p2", "p3"])):
            finish_example_shard(run, stage, shard, names)
        count = {
            "prompts": (5, 4, 1),
            "sample": (8, 7, 1),
            "repair": (3, 2, 1),
            "mask": (7, 6, 1),
        }[stage]
        run.set_stage(
            stage,
            state="done",
            counts=dict(zip(("input", "output", "rejects"), count, strict=True)),
        )
    return run


def finish_example_shard(run: Run, stage: Stage, shard: int, names: list[str]) -> None:
    cells = [(name, index) for name in names for index in range(2)]
    if stage == "prompts":
        rejects = [make_reject("prompts", "questions.jsonl:3", "image_corrupt")] if shard else []
        finish_shard(run, "prompts", shard, [make_prompt(name) for name in names], rejects)
    elif stage == "sample":
        drawn = [cell for cell in cells if cell != ("p0", 0)]
        rows = [make_trajectory(*cell, right=cell[1] == 1) for cell in drawn]
        finish_shard(run, "sample", shard, rows, [make_reject("sample", "p0-0")][: 1 - shard])
    elif stage == "repair":
        wrong = [(name, 0) for name in names if name not in ("p0", "p1")]
        rejects = [make_reject("repair", "p1-0")][: 1 - shard]
        finish_shard(run, "repair", shard, [make_repair(*cell) for cell in wrong], rejects)
    else:
        kept = [cell for cell in cells if cell not in (("p0", 0), ("p2", 1))]
        sources = {"p1-0": "outcome", "p2-0": "repair", "p3-0": "repair"}
        masks = [make_mask(n, i, sources.get(f"{n}-{i}", "correct")) for n, i in kept]
        finish_shard(run, "mask", shard, masks, [make_reject("mask", "p2-1")][:shard])
