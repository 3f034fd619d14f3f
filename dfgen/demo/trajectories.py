"""Draws answers of the policy in bulk, to train the repairer on."""

from dataclasses import dataclass

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dfgen.demo.batches import render_policy_prompt
from dfgen.demo.drawing import Layout, draw_pictures
from dfgen.demo.sampling import generate_texts
from dfgen.demo.scenes import Facts, draw_facts


@dataclass(frozen=True)
class Trajectories:
    """N questions with one answer of the policy to each."""

    facts: Facts
    answers: list[str]

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Facts, list[str]]:
        """Draw some of them at random, with replacement."""
        chosen = rng.integers(0, len(self.answers), size=count)
        layout = self.facts.layout
        facts = Facts(
            kinds=[self.facts.kinds[index] for index in chosen],
            sorts=self.facts.sorts[chosen],
            counts=self.facts.counts[chosen],
            layout=Layout(
                cells=layout.cells[chosen],
                shift_x=layout.shift_x[chosen],
                shift_y=layout.shift_y[chosen],
                radius=layout.radius[chosen],
                grey=layout.grey[chosen],
            ),
        )
        return facts, [self.answers[index] for index in chosen]


def draw_trajectories(
    policy: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    count: int,
    seed: int,
) -> Trajectories:
    """Ask the policy N fresh questions once each."""
    torch.manual_seed(seed + 3)
    facts = draw_facts(np.random.default_rng([seed, 4]), count)
    prompts = [render_policy_prompt(facts.question(index)) for index in range(count)]
    pictures = draw_pictures(facts.layout)
    answers = generate_texts(policy, tokenizer, prompts, pictures, sample=True, max_tokens=56)
    return Trajectories(facts, answers)
