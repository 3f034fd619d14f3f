"""Writes what a repairer is told: template, the text to correct, why the last try failed.

A trajectory is text of a model that may have learned anything. It stands in the prompt between two
lines with a mark that is a hash of itself, so that it cannot hold them, and what chat templates
read as control tokens is broken up in it by a character without width.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from dfgen.config.repair import RepairConfig
from dfgen.errors import ConfigError
from dfgen.records import Attempt, Prompt, Trajectory
from dfgen.stages.prompting import Template

TEMPLATE_FIELDS = ("question", "choices", "completion", "reference", "feedback", "fence")

#: Words of a refusal that are passed on to the repairer, in characters.
_TOLD = 400
_BREAK = "\u200b"
_CONTROL_TOKEN = (
    r"\|[^<>|\n]{1,40}\||/?s>|(?:start|end)_of_(?:turn|image)>|/?(?:image|img|bos|eos|pad|video)>"
)
_CONTROL = re.compile(rf"([<\[])(?={_CONTROL_TOKEN}|/?INST\])")
_BROKEN_UP = re.compile(rf"([<\[]){_BREAK}(?={_CONTROL_TOKEN}|/?INST\])")


def load_template(config: RepairConfig) -> Template:
    """Load the user message's template: the user's own, or the one that comes with dfgen.

    Raises:
        ConfigError: the file cannot be read, or the template names a field that does not exist.
    """
    if config.prompt is None:
        name = name_packaged_template(config)
        return Template(read_packaged_template(name), TEMPLATE_FIELDS, f"{name}.txt")
    if not config.prompt.startswith("file:"):
        return Template(config.prompt, TEMPLATE_FIELDS, "repair.prompt")
    path = Path(config.prompt.removeprefix("file:"))
    try:
        return Template(path.read_text(encoding="utf-8"), TEMPLATE_FIELDS, str(path))
    except OSError as error:
        raise ConfigError(
            f"the template cannot be read: {error.strerror}.", where=f"repair.prompt: {path}"
        ) from None


def name_packaged_template(config: RepairConfig) -> str:
    """Name the template for a protocol."""
    locked = config.protocol == "rewrite" and config.prefix_lock
    return "rewrite_locked" if locked else config.protocol


def hash_template(config: RepairConfig) -> str:
    """Hash the user message's template: repairs made from another one are not comparable."""
    return hashlib.sha256(load_template(config).text.encode()).hexdigest()


@cache
def read_packaged_template(name: str) -> str:
    """Text of a template that comes with dfgen."""
    return resources.files("dfgen.stages").joinpath(f"prompts/{name}.txt").read_text("utf-8")


def fill_fields(
    trajectory: Trajectory, prompt: Prompt, refusals: Sequence[Attempt], config: RepairConfig
) -> dict[str, str]:
    """Write the fields of the template that are about this trajectory.

    Args:
        refusals: the attempts of the round before this one.
    """
    return {
        "completion": shield(trajectory.completion),
        "fence": make_fence(trajectory.completion),
        "reference": _state_reference(prompt, config),
        "feedback": _state_feedback(refusals),
    }


def make_fence(completion: str) -> str:
    """Return a mark that stands for a text and does not stand in it: 12 hex digits."""
    digest = hashlib.sha256(completion.encode("utf-8", "replace")).hexdigest()
    return next(digest[i : i + 12] for i in range(52) if digest[i : i + 12] not in completion)


def shield(text: str) -> str:
    """Break up what a chat template or tokenizer would read as control tokens (`<|im_end|>`)."""
    return _CONTROL.sub(rf"\1{_BREAK}", text)


def unshield(text: str, original: str) -> str:
    """Undo `shield` in what a repairer copied; a text that was so by itself stays as it is."""
    return text if _BROKEN_UP.search(original) else _BROKEN_UP.sub(r"\1", text)


def _state_reference(prompt: Prompt, config: RepairConfig) -> str:
    if config.answer == "blind":
        return ""
    lines = f"\nReference answer: {prompt.answer}\n"
    if config.show_solution and prompt.solution:
        lines += f"Reference solution:\n{prompt.solution}\n"
    return lines


def _state_feedback(refusals: Sequence[Attempt]) -> str:
    # Failures of the server are not the repairer's fault and would only confuse it.
    told = dict.fromkeys(
        shield(attempt.detail[:_TOLD])
        for attempt in sorted(refusals, key=lambda attempt: attempt.index)
        if not attempt.accepted and attempt.finish_reason != "error"
    )
    if not told:
        return ""
    return f"\nYour previous attempt was refused: {' '.join(told)} Try again.\n"
