"""Trains the policy (stage 2): a model that reasons well and counts badly.

Supervised on right answers only, and stopped early: by then the wording, the copying and the
arithmetic are learnt, while counting at one glance is not. That is the policy a repairer is for.
"""

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dfgen.demo.architecture import build_model
from dfgen.demo.batches import Batch, draw_wording, pack_batch, render_policy_prompt
from dfgen.demo.drawing import draw_pictures
from dfgen.demo.optimise import train_steps
from dfgen.demo.sampling import generate_texts
from dfgen.demo.scenes import draw_facts

LAYERS = 3


def compute_token_loss(model: LlavaForConditionalGeneration, batch: Batch) -> torch.Tensor:
    """Return the mean cross-entropy of the completion's tokens (nats)."""
    hidden = model.model(
        input_ids=batch.input_ids, pixel_values=batch.pixel_values, use_cache=False
    ).last_hidden_state
    learn = batch.learn[:, 1:]
    logits = model.lm_head(hidden[:, :-1][learn])
    return torch.nn.functional.cross_entropy(logits, batch.input_ids[:, 1:][learn])


def draw_policy_batch(
    rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast, size: int
) -> Batch:
    """Draw fresh questions with their right answers."""
    facts = draw_facts(rng, size)
    prompts, answers = [], []
    for index, kind in enumerate(facts.kinds):
        a, b = (int(count) for count in facts.counts[index])
        prompts.append(render_policy_prompt(facts.question(index)))
        answers.append(facts.answer(index, (a, b), draw_wording(rng, kind)))
    return pack_batch(tokenizer, prompts, answers, draw_pictures(facts.layout))


def measure_policy(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, count: int, seed: int
) -> float:
    """Return the share of right final answers at temperature 1."""
    facts = draw_facts(np.random.default_rng([seed, 9]), count)
    prompts = [render_policy_prompt(facts.question(index)) for index in range(count)]
    texts = generate_texts(
        model, tokenizer, prompts, draw_pictures(facts.layout), sample=True, max_tokens=56
    )
    ends = ["Answer: " + facts.truth(index)["answer"] for index in range(count)]
    return sum(text.endswith(end) for text, end in zip(texts, ends, strict=True)) / count


def train_policy(
    tokenizer: PreTrainedTokenizerFast,
    vision: dict[str, torch.Tensor],
    seed: int,
    *,
    max_steps: int,
    target: float,
    batch_size: int = 64,
) -> LlavaForConditionalGeneration:
    """Train a policy from a pre-trained vision tower until it is right often enough.

    Accuracy goes from a third to nearly all within 250 steps once counting is understood, and
    where that happens differs between machines: a number of steps would not give the same policy.

    Args:
        max_steps: give up after so many.
        target: share of right answers at temperature 1 at which to stop.
    """
    torch.manual_seed(seed + 1)
    rng = np.random.default_rng([seed, 2])
    model = build_model(tokenizer, LAYERS)
    model.model.vision_tower.load_state_dict(vision)

    def watch() -> tuple[str, bool]:
        right = measure_policy(model, tokenizer, 400, seed)
        return f"right {right:.3f}", right >= target

    train_steps(
        model.parameters(),
        lambda _step: compute_token_loss(model, draw_policy_batch(rng, tokenizer, batch_size)),
        steps=max_steps,
        rate=1e-3,
        decay=0.0,
        watch=watch,
        watch_every=25,
    )
    return model.eval()
