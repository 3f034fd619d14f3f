"""Sets environment variables that vLLM reads when it is imported or started."""

from __future__ import annotations

import os

DEFAULTS = {
    # Its log goes to stdout by default, where `--json` belongs.
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    # VLLM_LOGGING_LEVEL=INFO in the environment shows how it starts.
    "VLLM_LOGGING_LEVEL": "WARNING",
    # It reports its users' hardware and models to a server otherwise.
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


def prepare_environment() -> None:
    """Set what is unset; call before the first import of vllm. The user's own values win."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
