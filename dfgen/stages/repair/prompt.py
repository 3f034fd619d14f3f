"""Writes what a repairer is told: template, the text to correct, why the last try failed.

A trajectory is text of a model that may have learned anything. It stands in the prompt between two
lines with a mark that is a hash of itself, so that it cannot hold them. What chat templates read as
control tokens is broken up by a character without width, in the trajectory and in what the source
says (question, choices, reference): the repairer's vocabulary is another one than the policy's, and
often unknown, so nothing here depends on it.
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
from dfgen.stages.prompting import Template, format_choices

TEMPLATE_FIELDS = ("question", "choices", "completion", "reference", "feedback", "fence")

#: Words of a refusal that are passed on to the repairer, in characters.
_TOLD = 400
_BREAK = "\u200b"
# What stands behind `<` or `[` in the control tokens of the models there are: `<|x|>`, `<|x>`,
# `<x|>` (Gemma 4) and the same with a full-width bar (DeepSeek); words of Llama, Gemma, InternVL,
# Cohere, GLM; Mistral's words in brackets.
_BAR = r"[|\uff5c]"
_CONTROL_TOKEN = "|".join(
    (
        rf"{_BAR}[^<>|\uff5c\n]{{1,40}}{_BAR}?>",
        rf"[^<>|\uff5c\s{_BREAK}]{{1,40}}{_BAR}>",
        r"/?s>",
        r"/?(?:image|img|video|audio|bos|eos|pad|unk|mask|cls|sep|sop|eop)>",
        r"(?:start|end|begin)_of_[a-z_]{1,20}>",
        r"[a-z]{1,10}_soft_token>",
        r"/?(?:IMG|VIDEO|AUDIO)_CONTEXT>|im_(?:start|end|patch)>|image_(?:pad|placeholder)>",
        r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT"
        r"|MODEL_SETTINGS|THINK|ARGS|CALL_ID|IMG|IMG_BREAK|IMG_END|AUDIO|BEGIN_AUDIO"
        r"|gMASK|sMASK|CLS|SEP|MASK|PAD|UNK)\]",
    )
)
_CONTROL = re.compile(rf"([<\[])(?={_CONTROL_TOKEN})")
_BROKEN_UP = re.compile(rf"([<\[]){_BREAK}(?={_CONTROL_TOKEN})")


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
    """Write the fields of the template that are about this trajectory and its question.

    Args:
        refusals: the attempts of the round before this one.
    """
    return {
        "question": shield(prompt.question),
        "choices": shield(format_choices(prompt.choices)),
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
    lines = f"\nReference answer: {shield(prompt.answer)}\n"
    if config.show_solution and prompt.solution:
        lines += f"Reference solution:\n{shield(prompt.solution)}\n"
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
