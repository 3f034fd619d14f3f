"""Describes how a run was made, for a data set's manifest: nothing private is in it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from dfgen.config.sampling import find_sampling
from dfgen.export.manifest import hide_folder

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline
    from dfgen.config.sampling import Sampling
    from dfgen.store.finished import FinishedRun
    from dfgen.store.run import Run

_DECODING = ("temperature", "top_p", "top_k", "max_tokens")


def describe_origin(finished: FinishedRun) -> dict[str, Any]:
    """Models, revisions, hashes of prompts and templates, sampling, and the run's fingerprints.

    Paths of this machine are cut to their last part; no address of a server is given. Of a run
    without answers of its own neither models nor sampling nor repairing are known.
    """
    run, pipeline = finished.run, finished.pipeline
    if not finished.has_answers_of_its_own:
        return {"mask": pipeline.mask.model_dump(mode="json"), "stages": _describe_stages(run)}
    sample, repair = pipeline.sample, pipeline.repair
    sampling = find_sampling(pipeline.policy, sample)
    origin: dict[str, Any] = {
        "seed": pipeline.seed,
        "prompts": _describe_source(pipeline),
        "policy": _describe_engine(pipeline.policy),
        "sampling": {
            "num_samples": sample.num_samples,
            **_describe_decoding(pipeline, sampling),
            "truncated": sampling.truncated,
            "prompt_sha256": _hash_text(sample.prompt),
            "system_sha256": _hash_text(sample.system),
        },
        "grader": {"name": pipeline.grade.grader},
        "repairer": _describe_engine(repair.engine),
        "repair": {
            "protocol": repair.protocol,
            "answer": repair.answer,
            "show_solution": repair.show_solution,
            "max_attempts": repair.max_attempts,
            "max_edit_ratio": repair.max_edit_ratio,
            **{name: getattr(repair.decoding, name) for name in _DECODING},
        },
        "mask": pipeline.mask.model_dump(mode="json"),
        "stages": _describe_stages(run),
    }
    template = run.manifest.get_stage("repair").fingerprint.get("facts.repair.template")
    origin["repair"]["prompt_sha256"] = template or _hash_text(repair.prompt)
    if run.manifest.get_stage("score").state != "pending":
        origin["scores"] = _describe_scores(run, pipeline, sampling)
    if pipeline.imports is not None:
        origin["imported_from"] = pipeline.imports.model
    return origin


def _describe_decoding(pipeline: Pipeline, sampling: Sampling) -> dict[str, Any]:
    """Say how answers were drawn, null where nobody knows: they were imported."""
    if pipeline.policy is None:
        return dict.fromkeys(_DECODING)
    drawn = {name: getattr(pipeline.sample, name) for name in _DECODING}
    return {**drawn, "temperature": sampling.temperature}


def _describe_scores(run: Run, pipeline: Pipeline, sampling: Sampling) -> dict[str, Any]:
    """Say which logprobs the columns of the score stage hold, and how well they fit the stored.

    `temperature` is that of `tempered_logprobs`, null where these columns are not filled: they
    equal the raw ones at 1. No column takes a truncation (`truncated`) into account.
    """
    facts = run.manifest.get_stage("score").facts
    gap = facts.get("gap") or {}
    tempered = sampling.trainers_temperature if pipeline.score.tempered else None
    visual = None
    if pipeline.score.visual:
        compares = "score_contrast" in facts.get("engine", {}).get("features", ())
        visual = "kl" if compares else "log_ratio"
    return {
        "engine": _describe_engine(pipeline.scorer),
        "dtype": facts.get("engine", {}).get("dtype"),
        "sampling_temperature": sampling.temperature,
        "temperature": tempered,
        "truncated": sampling.truncated,
        "visual": visual,
        "largest_gap": gap.get("largest"),
        "compared": gap.get("compared"),
    }


def _describe_stages(run: Run) -> dict[str, Any]:
    return {
        stage: {"dfgen": record.dfgen, "fingerprint": record.digest}
        for stage, record in run.manifest.stages.items()
    }


def _describe_source(pipeline: Pipeline) -> dict[str, Any]:
    source = pipeline.imports or pipeline.prompts
    if source is None:
        return {}
    paths = source.path if isinstance(source.path, list) else [source.path]
    return {
        "source": source.source,
        "path": [hide_folder(path) for path in paths if path],
        "name": source.name,
        "split": source.split,
        "revision": source.revision,
    }


def _describe_engine(engine: Any) -> dict[str, Any] | None:
    if engine is None:
        return None
    return {
        "engine": engine.engine,
        "model": hide_folder(engine.model),
        "revision": getattr(engine, "revision", None),
    }


def _hash_text(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()
