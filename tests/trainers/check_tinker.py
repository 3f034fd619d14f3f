"""Runs in .venv-tinker: datums of all examples of a folder, as the real `tinker` types hold them.

python check_tinker.py FOLDER RECIPE PROMPTS IMAGE_TOKEN: PROMPTS is a JSON file with the ids of
each prompt; prints every datum as JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import tinker
from tinker.types.forward_backward_input import ForwardBackwardInput

from dfgen.errors import DfgenError
from dfgen.trainers.examples import make_examples
from dfgen.trainers.recipe import find_recipe
from dfgen.trainers.tinker import chunk_prompt, make_batch, make_datum


def main(folder: str, recipe: str, prompts: str, image_token: str) -> None:
    changes = json.loads(recipe)
    chosen = find_recipe(changes.pop("recipe")).change(**changes)
    encoded = json.loads(Path(prompts).read_text())

    def build(example: Any) -> Any:
        return chunk_prompt(encoded[example.prompt_id], example.images, int(image_token))

    examples = list(make_examples(folder, chosen, say=None))
    batch = make_batch(examples, build)
    # What the client sends is checked by its own types.
    ForwardBackwardInput(data=batch.ratio, loss_fn="importance_sampling")
    ForwardBackwardInput(data=batch.likelihood, loss_fn="cross_entropy")
    alone, refused = [], []
    for example in examples:
        try:
            alone.append(describe(make_datum(example, build(example))))
        except DfgenError as error:
            refused.append(str(error))
    wrong = dict(encoded)
    wrong[examples[0].prompt_id] = [
        t for t in wrong[examples[0].prompt_id] if t != int(image_token)
    ]
    try:
        chunk_prompt(wrong[examples[0].prompt_id], examples[0].images, int(image_token))
    except DfgenError as error:
        refused.append(str(error))
    print(
        json.dumps(
            {
                "version": tinker.__version__,
                "tokens": batch.tokens,
                "ratio": list(map(describe, batch.ratio)),
                "likelihood": list(map(describe, batch.likelihood)),
                "alone": alone,
                "refused": refused,
            }
        )
    )


def describe(datum: tinker.Datum) -> dict[str, Any]:
    chunks = []
    for chunk in datum.model_input.chunks:
        if chunk.type == "image":
            sha256 = hashlib.sha256(chunk.data).hexdigest()
            chunks.append({"sha256": sha256, "format": chunk.format, "length": chunk.length})
        else:
            chunks.append({"tokens": list(chunk.tokens), "length": chunk.length})
    inputs = {
        name: {"dtype": each.dtype, "shape": each.shape, "data": each.data}
        for name, each in datum.loss_fn_inputs.items()
    }
    return {"chunks": chunks, "length": datum.model_input.length, "inputs": inputs}


if __name__ == "__main__":
    main(*sys.argv[1:5])
