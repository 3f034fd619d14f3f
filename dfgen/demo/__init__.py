"""Holds the demo: pictures drawn by rule and two tiny VLMs, so that a laptop runs every stage.

Because the pictures are drawn by rule, the truth about every sentence of every answer is known,
and a mask can be compared with the mask a perfect repairer would have given.

- ``dfgen.demo.scenes``: seeded questions with pictures and answers.
- ``dfgen.demo.truth``: the ideal smallest repair of an answer, by rule.
- ``models/policy`` and ``models/repairer``: real VLMs trained by ``python -m dfgen.demo.train``.

Nothing here imports torch or transformers until a model is trained or measured.
"""

from pathlib import Path

from dfgen.errors import DfgenError

#: The demo as a pipeline file; `pipelines/demo.yaml` is a copy of it.
PIPELINE = Path(__file__).parent / "demo.yaml"
MODEL_NAMES = ("policy", "repairer")
#: In front of such a name where any model's name may stand: `demo:policy`.
MODEL_PREFIX = "demo:"


def resolve_model(model: str) -> str:
    """Turn `demo:NAME` into the directory of that demo model; other names stay as they are.

    Raises:
        DfgenError: there is no demo model of that name.
    """
    if not model.startswith(MODEL_PREFIX):
        return model
    return str(locate_model(model.removeprefix(MODEL_PREFIX)))


def locate_model(name: str) -> Path:
    """Return the directory of a model that ships with dfgen.

    Args:
        name: "policy" (answers questions about pictures, often wrongly) or "repairer" (edits
            such answers).

    Raises:
        DfgenError: the name is not one of the two, or the installation lacks the weights.
    """
    if name not in MODEL_NAMES:
        raise DfgenError(
            f"there is no demo model {name!r}", hint=f"Choose one of {', '.join(MODEL_NAMES)}."
        )
    folder = Path(__file__).parent / "models" / name
    if not (folder / "model.safetensors").is_file():
        raise DfgenError(
            f"the demo model {name!r} is missing",
            where=str(folder),
            hint="Reinstall dfgen, or train it: python -m dfgen.demo.train --out DIR",
        )
    return folder
