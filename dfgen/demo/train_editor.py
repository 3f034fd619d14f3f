"""Trains the repairer (stage 3): a learned editor that looks first and edits second.

It reads the question, the answer to check and the picture, writes a scan of the 16 cells (see
``write_scan``), then the answer again with every false value put right and every other word kept.
It learns from the policy's own answers drawn at temperature 1, right and wrong, and from made-up
ones; a target is always the ideal smallest repair, so a true answer is its own target.
"""

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dfgen.demo.architecture import build_model
from dfgen.demo.batches import (
    Batch,
    draw_wording,
    label_patches,
    pack_batch,
    render_repairer_prompt,
    write_scan,
)
from dfgen.demo.drawing import draw_pictures
from dfgen.demo.optimise import train_steps
from dfgen.demo.questions import MAX_COUNT
from dfgen.demo.sampling import generate_texts
from dfgen.demo.scenes import Facts, draw_facts
from dfgen.demo.tokenizer import END_THINK
from dfgen.demo.trajectories import Trajectories
from dfgen.demo.truth import closest_repair

LAYERS = 4
#: The language layer after which patches are told what they are; the layers above do the scan.
LABEL_LAYER = 2


def spoil_counts(rng: np.random.Generator, facts: Facts) -> list[str]:
    """Make up answers with one, two or no false counts, everything after them consistent."""
    answers = []
    for index, kind in enumerate(facts.kinds):
        counts = facts.counts[index].copy()
        spoilt = rng.random(2) < 0.45
        counts[spoilt] = rng.integers(0, MAX_COUNT + 1, size=int(spoilt.sum()))
        a, b = int(counts[0]), int(counts[1])
        answers.append(facts.answer(index, (a, b), draw_wording(rng, kind)))
    return answers


def pack_repairs(
    tokenizer: PreTrainedTokenizerFast, facts: Facts, answers: list[str]
) -> tuple[Batch, torch.Tensor]:
    """Pack repair requests with their targets.

    Returns:
        The batch, and the patch labels of its sequences, int64 [B, 16].
    """
    labels = label_patches(facts)
    prompts, targets = [], []
    for index, answer in enumerate(answers):
        repair = closest_repair(answer, facts.truth(index))
        prompts.append(render_repairer_prompt(facts.question(index), answer))
        targets.append(write_scan(labels[index]) + repair)
    pictures = draw_pictures(facts.layout)
    return pack_batch(tokenizer, prompts, targets, pictures), torch.from_numpy(labels)


def compute_editor_loss(
    model: LlavaForConditionalGeneration, head: torch.nn.Linear, batch: Batch, labels: torch.Tensor
) -> torch.Tensor:
    """Return the completion's cross-entropy plus that of the patch labels.

    The second part tells each image position, in the middle of the language model, whether its
    patch is an A, a B or neither, so that this need not be found out from the text alone.
    """
    output = model.model(
        input_ids=batch.input_ids,
        pixel_values=batch.pixel_values,
        use_cache=False,
        output_hidden_states=True,
    )
    learn = batch.learn[:, 1:]
    logits = model.lm_head(output.last_hidden_state[:, :-1][learn])
    loss = torch.nn.functional.cross_entropy(logits, batch.input_ids[:, 1:][learn])
    patches = batch.input_ids == model.config.image_token_id
    marks = head(output.hidden_states[LABEL_LAYER][patches])
    return loss + 0.3 * torch.nn.functional.cross_entropy(marks, labels.flatten())


def measure_editor(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    facts: Facts,
    answers: list[str],
) -> str:
    """Repair answers greedily; report scans that end right and repairs that are ideal."""
    prompts = [render_repairer_prompt(facts.question(i), text) for i, text in enumerate(answers)]
    pictures = draw_pictures(facts.layout)
    texts = generate_texts(model, tokenizer, prompts, pictures, sample=False, max_tokens=80)
    labels = label_patches(facts)
    seen = ideal = copied = 0
    for index, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        scan, _, repair = text.partition(END_THINK)
        seen += scan + END_THINK == write_scan(labels[index])
        ideal += repair == closest_repair(answer, facts.truth(index))
        copied += repair[:24] == answer[:24]
    total = len(answers)
    return f"scan {seen / total:.3f} ideal {ideal / total:.3f} start {copied / total:.3f}"


def train_editor(
    tokenizer: PreTrainedTokenizerFast,
    vision: dict[str, torch.Tensor],
    drawn: Trajectories | None,
    *,
    seed: int,
    steps: int,
    rate: float = 1e-3,
    batch_size: int = 64,
) -> LlavaForConditionalGeneration:
    """Train a repairer from a pre-trained vision tower, which stays as it is.

    Args:
        drawn: the policy's own answers; every other batch comes from them. None: made-up only.
    """
    torch.manual_seed(seed + 2)
    rng = np.random.default_rng([seed, 3])
    model = build_model(tokenizer, LAYERS)
    model.model.vision_tower.load_state_dict(vision)
    model.model.vision_tower.requires_grad_(False)
    head = torch.nn.Linear(model.config.text_config.hidden_size, 3)

    def draw_batch(step: int) -> tuple[Facts, list[str]]:
        if drawn is not None and step % 2 == 0:
            return drawn.draw(rng, batch_size)
        facts = draw_facts(rng, batch_size)
        return facts, spoil_counts(rng, facts)

    def compute_loss(step: int) -> torch.Tensor:
        facts, answers = draw_batch(step)
        return compute_editor_loss(model, head, *pack_repairs(tokenizer, facts, answers))

    def watch() -> tuple[str, bool]:
        test_rng = np.random.default_rng([seed, 8])
        facts = draw_facts(test_rng, 128)
        return measure_editor(model, tokenizer, facts, spoil_counts(test_rng, facts)), False

    train_steps(
        [*model.parameters(), *head.parameters()],
        compute_loss,
        steps=steps,
        rate=rate,
        watch=watch,
    )
    return model.eval()
