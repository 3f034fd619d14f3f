"""Runs in .venv-swift, without dfgen: ms-swift's own loader on the table `groups`.

python check_swift.py FILE: prints messages, pictures and extra columns of every row as JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from swift.dataset import load_dataset
from swift.rl_core.data import GRPOSample
from swift.template.vision_utils import load_image


def main(path: str) -> None:
    # As `swift rlhf --rlhf_type grpo` does it: further columns go on to the reward functions.
    table, _ = load_dataset([path], split_dataset_ratio=0, remove_unused_columns=False)
    rows = []
    for row in table:
        sample = GRPOSample.from_row(dict(row))
        rows.append(
            {
                "messages": sample.messages,
                "pictures": [hash_pixels(load_image(image["bytes"])) for image in sample.images],
                "extra": sorted(sample.extra),
                "answer": sample.extra["answer"],
                "masks": [sum(t["loss_mask"]) for t in sample.extra["trajectories"]],
            }
        )
    print(json.dumps(rows))


def hash_pixels(image: Any) -> str:
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1])
