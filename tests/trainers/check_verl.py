"""Runs in .venv-verl: verl's own RLHFDataset on the table `groups`.

python check_verl.py FILE MODEL: prints text, pictures and reference of every row as JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from omegaconf import OmegaConf
from transformers import AutoProcessor
from verl.utils.dataset.rl_dataset import RLHFDataset


def main(path: str, model: str) -> None:
    processor = AutoProcessor.from_pretrained(model)
    config = OmegaConf.create(
        {
            "prompt_key": "messages",
            "image_key": "images",
            "max_prompt_length": 256,
            "filter_overlong_prompts": False,
            "cache_dir": "cache",
        }
    )
    table = RLHFDataset(path, processor.tokenizer, config, processor)
    rows = []
    for index in range(len(table)):
        row = table[index]
        messages = row["raw_prompt"]
        own = [b["image"] for m in messages for b in m["content"] if b["type"] == "image"]
        rows.append(
            {
                "text": processor.apply_chat_template(messages, tokenize=False),
                "pictures": [hash_pixels(image) for image in own],
                "ground_truth": row["reward_model"]["ground_truth"],
                "data_source": row["data_source"],
                "masks": [sum(t["loss_mask"]) for t in row["trajectories"]],
            }
        )
    print(json.dumps(rows))


def hash_pixels(image: Any) -> str:
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:3])
