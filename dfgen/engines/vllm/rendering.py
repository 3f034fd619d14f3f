"""Has vLLM tokenize prompts and process their pictures, once for all samples of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dfgen.engines.vllm.answers import count_image_tokens, find_stray_token

if TYPE_CHECKING:
    from dfgen.engines.vllm.binding import Binding
    from dfgen.engines.vllm.prompts import VllmPrompt


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt that was tokenized and whose pictures were processed.

    Attributes:
        content: vLLM's engine input.
        length: prompt tokens, pictures expanded.
        image_tokens: how many of them stand for pictures; None where the model does not say.
        stray: position of a picture's token that no picture belongs to; None if there is none.
    """

    content: Any = field(repr=False)
    length: int
    image_tokens: int | None
    stray: int | None

    def append(self, ids: Sequence[int]) -> Any:
        """Return vLLM's engine input with ids after the prompt; what is shared stays as it is."""
        if not ids:
            return self.content
        return {**self.content, "prompt_token_ids": [*self.content["prompt_token_ids"], *ids]}


class PromptRenderer:
    """Renders prompts; of the samples of one prompt, which follow one another, only the first two.

    The first rendering holds the processed pictures. The second one only names them, because
    vLLM's front then knows that the engine has them, and it serves all that follow. vLLM's two
    caches of pictures, in front of the engine and within, must see their pictures in the same
    order; repeating the last one changes no order, so nothing is shared after another prompt came
    in between, nor where pictures travel through shared memory, whose places are counted.

    Args:
        binding: the running vLLM.
        image_token: id that stands for pictures, if the model says.
    """

    def __init__(self, binding: Binding, image_token: int | None) -> None:
        self._binding = binding
        self._image_token = image_token
        self._last: VllmPrompt | None = None
        self._rendered: list[Rendered] = []

    def render(self, prompt: VllmPrompt) -> Rendered:
        """Render a prompt, or take what its last but one neighbour got.

        Raises:
            Exception: see `Binding.render`; the caller has to `forget` the prompt then, and also if
                it does not add what came back.
        """
        if prompt is not self._last:
            self._last, self._rendered = prompt, []
        elif len(self._rendered) == 2 and self._binding.repeats_images:
            return self._rendered[-1]
        content = self._binding.render(prompt)
        ids = content["prompt_token_ids"]
        if self._rendered:
            first = self._rendered[0]
            rendered = Rendered(content, len(ids), first.image_tokens, first.stray)
        else:
            image_tokens = count_image_tokens(content, self._image_token)
            stray = find_stray_token(content, self._image_token)
            rendered = Rendered(content, len(ids), image_tokens, stray)
        self._rendered = [*self._rendered[-1:], rendered]
        return rendered

    def start_anew(self) -> None:
        """Share nothing with what was rendered before: vLLM's caches may have been emptied."""
        self._last, self._rendered = None, []

    def forget(self, prompt: VllmPrompt) -> None:
        """Make vLLM's front send the pictures of a prompt again."""
        self.start_anew()
        self._binding.forget_images(prompt.uuids)
