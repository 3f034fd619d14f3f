"""Refuses prompts that a model would not read as they are written.

A question that spells a control token (`<|im_end|>`) is no plain text to a model. Chat templates
write the whole chat as one string, and its tokenizer reads control tokens wherever they stand, so a
question could close its turn and open another one; or it claims a picture that is not there. What
could be done instead differs by engine: in this process the text could be encoded in pieces, a
server encodes it as it likes, and a trainer's collator reads the stored prompt anew. Rows and masks
are only worth something if all of them read the same ids. So the row is refused, with the token and
its place, as soon as the policy's tokenizer is known: before anything is drawn.

What the user writes into templates (`sample.prompt`, `sample.system`) is not looked at: a control
token there is meant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dfgen.errors import RowError
from dfgen.records import Prompt
from dfgen.stages.prompting import list_images

_SHOWN = 20


class Screening:
    """Checks prompts before a policy is asked.

    Args:
        control_tokens: of the policy's tokenizer (`TextTokenizer.control_tokens`).
        max_image_bytes: of one view; the policy's server takes no larger one. None: no limit.
    """

    def __init__(self, control_tokens: Sequence[str], max_image_bytes: int | None = None) -> None:
        # A word or a blank that some tokenizer calls special would refuse every other question.
        tokens = sorted((t for t in control_tokens if _is_marked(t)), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, tokens))) if tokens else None
        self._max_image_bytes = max_image_bytes

    def check(self, prompt: Prompt) -> None:
        """Pass a prompt whose text is only text and whose pictures can be sent.

        Raises:
            RowError: control_token, image_over_limit.
        """
        self._check_text(prompt.question, "the question")
        for number, choice in enumerate(prompt.choices):
            self._check_text(choice, f"choice {chr(ord('A') + number)}")
        if self._max_image_bytes is not None:
            self._check_pictures(prompt, self._max_image_bytes)

    def _check_text(self, text: str, where: str) -> None:
        found = None if self._pattern is None else self._pattern.search(text)
        if found is None:
            return
        before = text[max(0, found.start() - _SHOWN) : found.start()]
        raise RowError(
            "control_token",
            f"{where} spells {found[0]!r}, a control token of the policy's tokenizer, at character"
            f" {found.start()}, after {before!r}",
            {"token": found[0], "where": where, "start": found.start()},
        )

    def _check_pictures(self, prompt: Prompt, limit: int) -> None:
        for number, image in enumerate(list_images(prompt), start=1):
            if len(image.data) > limit:
                raise RowError(
                    "image_over_limit",
                    f"picture {number} has {len(image.data):,} bytes as it is shown"
                    f" ({image.mime}), more than policy.max_image_bytes = {limit:,}; a smaller copy"
                    " would not be the picture that trainers get",
                    {"image": number, "bytes": len(image.data)},
                )


def _is_marked(token: str) -> bool:
    return any(not (character.isalnum() or character.isspace()) for character in token)
