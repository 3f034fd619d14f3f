"""Runs in .venv-verifiers: the nodes of a table and of examples through verifiers' own types.

python check_verifiers.py TABLE FOLDER RECIPE: prints what each branch says per token as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import verifiers
from verifiers.v1.graph import MessageNode
from verifiers.v1.trace import Branch

from dfgen.trainers.examples import make_examples
from dfgen.trainers.verifiers import iter_nodes


def main(table: str, folder: str, recipe: str) -> None:
    stored = []
    for path in sorted(Path(table).glob("*.parquet")):
        for row in pq.read_table(path, columns=["nodes"]).to_pylist():
            nodes = [MessageNode.model_validate(node) for node in json.loads(row["nodes"])]
            again = [MessageNode.model_validate(node.model_dump()) for node in nodes]
            assert again == nodes
            stored.append(describe(nodes))
    examples = make_examples(folder, recipe, say=None)
    built = [describe(nodes) for nodes in iter_nodes(examples, lambda _: [5, 6, 7])]
    print(json.dumps({"version": verifiers.__version__, "stored": stored, "built": built}))


def describe(nodes: list[MessageNode]) -> dict[str, Any]:
    branch = Branch(index=0, nodes=nodes)
    return {
        "roles": [node.message.role for node in nodes],
        "parents": [node.parent for node in nodes],
        "sampled": [node.sampled for node in nodes],
        "contents": [node.message.model_dump()["content"] for node in nodes],
        "counts": [(len(node.token_ids), len(node.mask), sum(node.mask)) for node in nodes],
        "compact": [(len(node.logprobs), len(node.advantages or [])) for node in nodes],
        "token_ids": branch.token_ids,
        "mask": branch.sampled_mask,
        "logprobs": branch.logprobs,
        "advantages": branch.advantages,
        "ce": branch.loss_weights("ce"),
    }


if __name__ == "__main__":
    main(*sys.argv[1:4])
