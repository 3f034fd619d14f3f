"""Runs in .venv-swift: ms-swift's loader on `privileged`, `chord` and `sft`.

python check_swift_tables.py PRIVILEGED CHORD SFT: prints what it makes of their rows as JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from swift.dataset import load_dataset
from swift.rl_core.data import GRPOSample
from swift.template.vision_utils import load_image


def main(privileged: str, *imitated: str) -> None:
    teacher = []
    for row in read(privileged, remove_unused_columns=False):
        sample = GRPOSample.from_row(dict(row))
        assert sample.build_teacher_view()
        view = sample.to_teacher_template_dict()
        teacher.append(
            {
                "messages": view["messages"],
                "student": sample.messages,
                "pictures": [hash_pixels(image) for image in view["images"]],
                "trajectory_id": sample.extra["trajectory_id"],
            }
        )
    # As `swift sft` and `--chord_sft_dataset` read it: further columns are left out.
    answers = [
        [
            {
                "columns": sorted(row),
                "messages": row["messages"],
                "pictures": [hash_pixels(image) for image in row["images"]],
            }
            for row in read(folder)
        ]
        for folder in imitated
    ]
    print(json.dumps({"teacher": teacher, "answers": answers}))


def read(folder: str, **options: Any) -> Any:
    (file,) = Path(folder).glob("*.parquet")
    return load_dataset([str(file)], split_dataset_ratio=0, **options)[0]


def hash_pixels(image: dict[str, Any]) -> str:
    return hashlib.sha256(load_image(image["bytes"]).convert("RGB").tobytes()).hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
