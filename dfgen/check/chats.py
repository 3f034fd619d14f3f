"""Checks the chat: does the template write it, with a picture, and does it fit the context?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dfgen.check.finding import Finding, describe_error
from dfgen.check.models import find_model_files
from dfgen.check.scope import EngineUse, Scope
from dfgen.config.engine import OpenAIConfig, TransformersConfig
from dfgen.config.vllm import VllmConfig
from dfgen.engines.processor.model_files import ModelFiles
from dfgen.engines.processor.plain_rendering import render_plainly
from dfgen.errors import ConfigError, DfgenError, join_errors
from dfgen.records import Prompt
from dfgen.stages.sample.draws import write_chats


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt as the policy would read it.

    Attributes:
        prompt: the question.
        text: as the chat template wrote it; a picture is one token of it, or a few.
        tokens: of the text and of the pictures, estimated.
        image_tokens: those that stand for pictures.
    """

    prompt: Prompt
    text: str
    tokens: int
    image_tokens: int


def check_chats(use: EngineUse, scope: Scope) -> Iterator[Finding]:
    """Find what keeps the first prompts from being read by a policy that is loaded here."""
    if isinstance(use.config, OpenAIConfig) or use.stage != "sample":
        return
    try:
        prompts = scope.rows.prompts
    except DfgenError:
        return  # of the source; said elsewhere
    try:
        files = find_model_files(use.config)
        if files is None or not prompts:
            return
        rendered = render_prompts(use.config, scope, files)
    except ConfigError:
        return  # of a setting; said elsewhere
    except DfgenError as error:
        yield describe_error(error, "policy")
        return
    yield from _check_length(use.config, files, rendered, scope)


def render_prompts(
    config: TransformersConfig | VllmConfig, scope: Scope, files: ModelFiles
) -> list[Rendered]:
    """Write the first prompts as the policy's chat template does.

    Raises:
        DfgenError: there is no template, it fails, or the model cannot read pictures.
    """
    sample = scope.pipeline.sample
    template = sample.chat_template or files.template
    if template is None:
        raise DfgenError(
            f"{config.model!r} comes without a chat template.",
            hint="Give one in the pipeline file (`sample.chat_template`: Jinja text), or put "
            "chat_template.jinja into the model directory.",
        )
    reads_images = bool(files.pictures)
    found, errors = [], list(_list_unreadable(config.model, scope.rows.prompts, reads_images))
    for prompt, messages in write_chats(scope.rows.prompts, sample):
        try:
            text = render_plainly(
                template,
                messages,
                as_parts=reads_images,
                special_tokens=files.special_tokens,
                arguments=sample.chat_template_args,
            )
        except DfgenError as error:
            errors.append(error)
            continue
        images = sum(
            files.estimate_image_tokens(info.width, info.height, config.processor_args)
            for info in prompt.image_info
        )
        found.append(Rendered(prompt, text, len(scope.tokenizer.encode(text)) + images, images))
    if errors:
        raise join_errors(errors, "things are wrong with how prompts are written")
    return found


def _list_unreadable(
    model: str, prompts: Sequence[Prompt], reads_images: bool
) -> Iterator[DfgenError]:
    shown = [prompt.source for prompt in prompts if prompt.images]
    if shown and not reads_images:
        yield DfgenError(
            f"{model!r} has no image processor, but {len(shown):,} of the first {len(prompts):,} "
            f"prompts hold pictures, such as {shown[0]}.",
            hint="Use a vision-language model, or add preprocessor_config.json of the original "
            "model to the directory.",
        )


def _check_length(
    config: TransformersConfig | VllmConfig,
    files: ModelFiles,
    rendered: list[Rendered],
    scope: Scope,
) -> Iterator[Finding]:
    own = config.max_length if isinstance(config, TransformersConfig) else config.max_model_len
    limit = min((n for n in (own, files.context_length) if n is not None), default=None)
    wanted = scope.pipeline.sample.max_tokens
    if limit is None:
        return
    if wanted >= limit:
        yield Finding(
            "error",
            f"{wanted:,} tokens of completion leave no room for a prompt: the model takes "
            f"{limit:,} tokens, prompt and completion together.",
            "sample.max_tokens",
            "Set it lower.",
        )
        return
    long = [one for one in rendered if one.tokens + wanted > limit]
    if long:
        longest = max(long, key=lambda one: one.tokens)
        yield Finding(
            "error" if len(long) == len(rendered) else "warning",
            f"{len(long):,} of the first {len(rendered):,} prompts and a completion of {wanted:,} "
            f"tokens are more than the {limit:,} that the model takes: {longest.prompt.source} has "
            f"about {longest.tokens:,} tokens, {longest.image_tokens:,} of them for pictures.",
            "sample.max_tokens",
            "Set it lower, or make pictures smaller (policy.processor_args: max_pixels).",
        )
