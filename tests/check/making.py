"""Small pipelines that are ready to run, to be broken in one place each."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dfgen.check.checking import find_problems
from dfgen.check.finding import Finding
from dfgen.check.scope import Scope
from dfgen.config.load import change_pipeline
from dfgen.config.pipeline import Pipeline
from dfgen.demo.scenes import iter_scenes
from dfgen.store.layout import Stage
from tests.support.loopback import LoopbackServer, Reply, write_error

STAGES: tuple[Stage, ...] = ("prompts", "sample", "repair", "score", "value", "mask")


def write_source(folder: Path, count: int = 3) -> Path:
    """Questions about pictures that lie beside the file."""
    rows = []
    for number, scene in enumerate(iter_scenes(count, 0)):
        (folder / f"{number}.png").write_bytes(scene.image_png)
        row = {"question": scene.question, "answer": scene.answer, "image": f"{number}.png"}
        rows.append({**row, "question": f"{row['question']} ({number})"})
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make_tree(folder: Path, **changes: Any) -> dict[str, Any]:
    """A pipeline on this machine alone; `section__field=value` changes a field."""
    tree: dict[str, Any] = {
        "prompts": {"source": "jsonl", "path": str(write_source(folder))},
        "policy": {"engine": "transformers", "model": "demo:policy"},
        "sample": {"num_samples": 2, "max_tokens": 48},
        "repair": {"engine": {"engine": "transformers", "model": "demo:repairer"}},
    }
    tree = copy.deepcopy(tree)
    for name, value in changes.items():
        *parents, last = name.split("__")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def make_pipeline(folder: Path, **changes: Any) -> Pipeline:
    return change_pipeline(make_tree(folder, **changes), (), "the test")


def write_pipeline(folder: Path, **changes: Any) -> Path:
    path = folder / "pipeline.yaml"
    path.write_text(yaml.safe_dump(make_tree(folder, **changes)))
    return path


def find(pipeline: Pipeline, stages: tuple[Stage, ...] = STAGES, **how: Any) -> list[Finding]:
    return find_problems(Scope(pipeline, stages, **how))


def serve_models(*names: str, key: str | None = None, **entry: Any) -> LoopbackServer:
    """A server that lists these models, to whoever has the key."""

    def answer(path: str, headers: Mapping[str, str]) -> Reply:
        sent = {name.lower(): value for name, value in headers.items()}.get("authorization")
        if key is not None and sent != f"Bearer {key}":
            return Reply(write_error("this key is not known here"), 401)
        if path.endswith("/models"):
            return Reply({"object": "list", "data": [{"id": name, **entry} for name in names]})
        return Reply(write_error("no such model"), 404)

    return LoopbackServer(
        lambda _: Reply(write_error("nothing is generated here"), 500), models=answer
    )
