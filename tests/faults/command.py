"""`dfgen repair` in an environment that a test controls: in a process of its own, or in this one.

A process is for what only a process shows: that it ends, and what else writes to its terminal. It
is forked from one that waits, unless Python or a library reads one of its variables once, as it
starts; then it is started as users do, which takes seconds. The rest is called here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from dfgen.cli.main import cli
from tests.faults.server import make_pipeline
from tests.support.forking import Forked, start_module

#: What decides where requests go and who is trusted.
NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
#: Read by aiohttp and `openai` as they are imported; Python's own begin with PYTHON.
READ_ONCE = ("SSL_CERT_FILE", "SSL_CERT_DIR", "OPENAI_LOG")


def write_pipeline(path: Path, url: str | list[str], **repair: Any) -> Path:
    """Write the pipeline of `make_pipeline` to a file; the address as it is, login included."""
    tree = make_pipeline(url, **repair).model_dump(mode="json")
    tree["repair"]["engine"]["base_url"] = url
    path.write_text(yaml.safe_dump(tree), "utf-8")
    return path


def decides(name: str) -> bool:
    """Tell whether a variable of the environment says where requests go or who may send them."""
    return name.upper() in NETWORK or name.startswith(("OPENAI_", "DFGEN_"))


def start_dfgen(*arguments: str | Path, **env: str) -> subprocess.Popen[str] | Forked:
    """Start the command; of the network's settings it has only those in `env`."""
    kept = {name: value for name, value in os.environ.items() if not decides(name)}
    env = {**kept, "OMP_NUM_THREADS": "1", **env}
    if not any(name in READ_ONCE or name.startswith("PYTHON") for name in env.keys() - kept.keys()):
        return start_module("dfgen", *arguments, env=env, merge=True)
    return subprocess.Popen(
        [sys.executable, "-m", "dfgen", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
    )


def call_dfgen(*arguments: str | Path, code: int = 0, **env: str) -> str:
    """Run the command to its end; returns all that it said."""
    process = start_dfgen(*arguments, **env)
    try:
        said, _ = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == code, f"exit {process.returncode}\n{said[-4000:]}"
    return said


def call_here(*arguments: str | Path, code: int = 0, **env: str) -> str:
    """As `call_dfgen`, in this process; the traceback of an error is part of what is returned.

    Not for TLS: aiohttp reads SSL_CERT_FILE as it is imported.
    """
    without = {name: None for name in os.environ if decides(name)}
    result = CliRunner().invoke(cli, [*map(str, arguments)], env={**without, **env})
    said = result.output
    if result.exc_info and not isinstance(result.exception, SystemExit | None):
        said += "".join(traceback.format_exception(*result.exc_info))
    assert result.exit_code == code, f"exit {result.exit_code}\n{said[-4000:]}"
    return said


def repair(pipeline: Path, root: Path, *options: str, code: int = 0, **env: str) -> str:
    """`dfgen repair`, with options of `dfgen` itself such as --debug."""
    return call_dfgen(*options, "repair", pipeline, "--out", root, code=code, **env)


def repair_here(pipeline: Path, root: Path, *options: str, code: int = 0, **env: str) -> str:
    """As `repair`, in this process."""
    return call_here(*options, "repair", pipeline, "--out", root, code=code, **env)


def find_in_files(root: Path, text: str) -> list[Path]:
    """Files below a folder that hold a text."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]
