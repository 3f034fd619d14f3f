"""Renders a chat template with Jinja alone, as `transformers` does it, to see whether it can be.

`transformers` renders prompts (`chat_template`); its module for that imports torch, which takes
longer than everything else that is looked at before a run begins. The environment is that of
`transformers.utils.chat_template_utils`, and a test compares both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dfgen.engines.base import Message
from dfgen.engines.chat import to_template_messages
from dfgen.errors import EngineError


def render_plainly(
    template: str,
    messages: Sequence[Message],
    *,
    as_parts: bool,
    special_tokens: Mapping[str, str],
    arguments: Mapping[str, Any],
) -> str:
    """Return a chat as its template writes it, with the beginning of the assistant's turn.

    Args:
        template: Jinja text.
        messages: the chat.
        as_parts: see `to_template_messages`.
        special_tokens: that the template may name.
        arguments: further variables of the template.

    Raises:
        EngineError: the template is no Jinja, or refuses this chat.
    """
    from jinja2 import TemplateError
    from jinja2.exceptions import SecurityError

    variables = {
        **special_tokens,
        **arguments,
        "messages": to_template_messages(messages, as_parts=as_parts),
        "add_generation_prompt": True,
    }
    variables.setdefault("tools", None)
    variables.setdefault("documents", None)
    try:
        return str(_make_environment().from_string(template).render(**variables))
    except (TemplateError, SecurityError, TypeError, ValueError, KeyError) as error:
        raise EngineError(
            f"the chat template cannot write this chat: {error}",
            hint="Check `sample.chat_template`, its arguments, and whether the model knows a "
            "system message.",
        ) from error


def _make_environment() -> Any:
    from jinja2 import nodes
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """Reads `{% generation %}`, by which templates mark what the model wrote, as its body."""

        tags = {"generation"}  # noqa: RUF012  # the base class's own form

        def parse(self, parser: Any) -> nodes.Node | list[nodes.Node]:
            """Return the body of the block."""
            next(parser.stream)
            body: list[nodes.Node] = parser.parse_statements(
                ("name:endgeneration",), drop_needle=True
            )
            return body

    def refuse(message: str) -> None:
        raise TemplateError(message)

    def write_json(value: Any, **options: Any) -> str:
        return json.dumps(value, **{"ensure_ascii": False, **options})

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = write_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment
