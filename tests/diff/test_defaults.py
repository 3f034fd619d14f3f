"""A pair without settings is compared as a pipeline file without settings says."""

from __future__ import annotations

import subprocess
import sys

from dfgen.config.mask import MaskConfig
from dfgen.diff.defaults import fill_in_defaults


def test_defaults_are_those_of_the_pipeline_file() -> None:
    assert vars(fill_in_defaults(None)) == MaskConfig().model_dump()


def test_given_settings_are_kept() -> None:
    config = MaskConfig(crumbs=False)
    assert fill_in_defaults(config) is config


def test_a_difference_needs_no_pydantic() -> None:
    script = (
        "import sys, dfgen\n"
        "dfgen.diff_pair('I see 3.', 'I see 4.', dfgen.load_tokenizer('demo:policy'))\n"
        "print(sorted({'pydantic', 'pyarrow', 'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
