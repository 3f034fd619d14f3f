"""Writes a request's chat as the text of its prompt, with the model's own template or another."""

from __future__ import annotations

from dfgen.engines.base import Chat
from dfgen.engines.chat import to_template_messages
from dfgen.engines.processor.loading import ModelProcessor
from dfgen.errors import EngineError


def render_chat(model: ModelProcessor, chat: Chat) -> str:
    """Return the prompt's text, with the beginning of the assistant's turn.

    Raises:
        EngineError: there is no template, or it fails.
    """
    from jinja2 import TemplateError

    template = chat.chat_template or find_template(model)
    if template is None:
        raise EngineError(
            f"{model.name!r} comes without a chat template.",
            hint="Give one in the pipeline file (`sample.chat_template`: Jinja text or a "
            "file), or put chat_template.jinja into the model directory.",
        )
    messages = to_template_messages(chat.messages, as_parts=model.reads_images)
    try:
        text = model.processor.apply_chat_template(
            messages,
            chat_template=template,
            add_generation_prompt=True,
            tokenize=False,
            **chat.chat_template_args,
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise EngineError(
            f"the chat template cannot write this chat: {error}",
            where=f"request {chat.key}",
            hint="Check `sample.chat_template`, its arguments, and whether the model knows a "
            "system message.",
        ) from error
    return str(text)


def find_template(model: ModelProcessor) -> str | None:
    """Return the model's own chat template: the processor's, else the tokenizer's."""
    for owner in (model.processor, model.tokenizer):
        template = getattr(owner, "chat_template", None)
        if isinstance(template, dict):
            template = template.get("default")
        if template:
            return str(template)
    return None


def wants_bos(model: ModelProcessor, text: str) -> bool:
    """Tell whether the tokenizer has to put a beginning of sequence before a rendered prompt.

    It does where the template has written none, as `apply_chat_template(tokenize=True)` of
    transformers does.
    """
    bos = model.tokenizer.bos_token
    return not (bos and text.startswith(bos))
