"""Makes a CUDA build of torchvision importable beside a CPU build of torch.

PyPI's torchvision is built for CUDA: its compiled library does not load on CPU torch, so the
schemas of its own operators are never declared, and the Python code that registers shapes for two
of them fails on import. vLLM's image processors need only `torchvision.transforms`, which is plain
torch; declaring the two schemas is enough. Run it with the environment's own Python; running it
twice changes nothing.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

MARK = "# Declared by dfgen's tests: the compiled library does not load on CPU torch."
ADDITION = f"""

{MARK}
if not _has_ops():
    _cpu_schemas = torch.library.Library("torchvision", "FRAGMENT")
    for _schema in ("nms", "qnms"):
        _cpu_schemas.define(
            _schema + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
"""


def patch_extension(path: Path) -> bool:
    """Append the schemas to torchvision's extension.py; False if they are there."""
    text = path.read_text(encoding="utf-8")
    if MARK in text:
        return False
    path.write_text(text + ADDITION, encoding="utf-8")
    return True


def main() -> None:
    """Patch the torchvision of this environment, if it has one."""
    # Found, not imported: importing it is what fails.
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        print("no torchvision here, nothing to patch")
        return
    path = Path(spec.origin).with_name("extension.py")
    print(f"{path}: {'patched' if patch_extension(path) else 'was patched before'}")


if __name__ == "__main__":
    main()
