"""Draws many completions from a demo model at once."""

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dfgen.demo.batches import scale_pictures


def generate_texts(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    prompts: list[str],
    pictures: NDArray[np.uint8],
    *,
    sample: bool,
    max_tokens: int,
    batch_size: int = 256,
) -> list[str]:
    """Complete N prompts, at temperature 1 or greedily.

    Args:
        prompts: rendered, with expanded image placeholders.
        pictures: uint8 [N, 64, 64, 3].
        sample: draw at temperature 1; torch's global seed decides.

    Returns:
        N completions without the end token; one that was cut off is not marked.
    """
    model.eval()
    texts: list[str] = []
    for start in range(0, len(prompts), batch_size):
        chunk = slice(start, start + batch_size)
        inputs = tokenizer(
            prompts[chunk], add_special_tokens=False, padding=True, return_tensors="pt"
        )
        choice = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
        with torch.no_grad():
            ids = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                pixel_values=scale_pictures(pictures[chunk]),
                max_new_tokens=max_tokens,
                **(choice if sample else {"do_sample": False}),
            )
        fresh = ids[:, inputs["input_ids"].shape[1] :]
        texts += tokenizer.batch_decode(fresh, skip_special_tokens=True)
    model.train()
    return texts
