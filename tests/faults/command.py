"""`dfgen repair` as a process of its own, in an environment that a test controls."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.faults.server import make_pipeline

#: What decides where requests go and who is trusted.
NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


def write_pipeline(path: Path, url: str | list[str], **repair: Any) -> Path:
    """Write the pipeline of `make_pipeline` to a file; the address as it is, login included."""
    tree = make_pipeline(url, **repair).model_dump(mode="json")
    tree["repair"]["engine"]["base_url"] = url
    path.write_text(yaml.safe_dump(tree), "utf-8")
    return path


def start_dfgen(*arguments: str | Path, **env: str) -> subprocess.Popen[str]:
    """Start the command; of the network's settings it has only those in `env`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() not in NETWORK and not name.startswith(("OPENAI_", "DFGEN_"))
    }
    return subprocess.Popen(
        [sys.executable, "-m", "dfgen", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**kept, "OMP_NUM_THREADS": "1", **env},
    )


def call_dfgen(*arguments: str | Path, code: int = 0, **env: str) -> str:
    """Run the command to its end; returns all that it said."""
    process = start_dfgen(*arguments, **env)
    try:
        said, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == code, f"exit {process.returncode}\n{said[-4000:]}"
    return said


def repair(pipeline: Path, root: Path, *options: str, code: int = 0, **env: str) -> str:
    """`dfgen repair`, with options of `dfgen` itself such as --debug."""
    return call_dfgen(*options, "repair", pipeline, "--out", root, code=code, **env)


def find_in_files(root: Path, text: str) -> list[Path]:
    """Files below a folder that hold a text."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]
