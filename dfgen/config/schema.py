"""Makes what `schemas/` holds, the public contract, from the code; a test compares them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dfgen.config.pipeline import Pipeline
from dfgen.reasons import write_reasons
from dfgen.records import RECORDS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def make_pipeline_schema() -> dict[str, Any]:
    """Make the schema of a pipeline file."""
    return {"$schema": DIALECT, **Pipeline.model_json_schema()}


def list_schemas() -> dict[str, dict[str, Any]]:
    """Make every schema, by file name."""
    schemas = {
        f"{record.__name__.lower()}.schema.json": {
            "$schema": DIALECT,
            "$comment": record.SCHEMA,
            **record.model_json_schema(),
        }
        for record in RECORDS
    }
    return {"pipeline.schema.json": make_pipeline_schema(), **schemas}


def write_schemas(folder: Path) -> list[Path]:
    """Write all schemas and the table of reason codes; returns the files that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in list_schemas().items()
    }
    changed = []
    for name, text in {**texts, "reasons.md": write_reasons()}.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    for changed_file in write_schemas(Path("schemas")):
        print(changed_file)
