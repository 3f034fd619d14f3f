"""Registers the demo policy's chat template with ms-swift; loaded as an external plugin by tests.

Its architecture (LLaVA) ms-swift knows; the template is ours: <|user|><image>...<|assistant|>.
"""

from __future__ import annotations

from typing import Any

from swift.template import TemplateMeta, register_template
from swift.template.templates.llava import LlavaHfTemplate


class DemoTemplate(LlavaHfTemplate):
    def replace_tag(self, media_type: str, index: int, inputs: Any) -> list[str]:
        return ["<image>"]


register_template(
    TemplateMeta(
        "dfgen_demo",
        prefix=[],
        prompt=["<|user|>{{QUERY}}<|assistant|>"],
        chat_sep=["<|end|>"],
        suffix=["<|end|>"],
        template_cls=DemoTemplate,
    ),
    exist_ok=True,
)
