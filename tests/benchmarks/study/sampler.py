"""Draws answers by the thousand: one prefill per prompt, then one step for all rows at a time.

transformers' `generate` copies its cache for every token; here keys and values go into buffers of
the final size, which is what makes a study on two cores possible. `tests/` compares its log-probs
with the model's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlavaForConditionalGeneration

#: Rows that are drawn at once; more only makes the caches larger than the processor's own.
ROWS = 512


@dataclass(frozen=True)
class Prompts:
    """N prompts with their pictures.

    Attributes:
        ids: N lists of token ids; they may differ in length.
        pixel_values: float32 [N, 3, 64, 64].
    """

    ids: list[list[int]]
    pixel_values: Tensor


@dataclass(frozen=True)
class Completion:
    """A sampled answer.

    Attributes:
        ids: token ids, the end token included unless it was cut off.
        logprobs: float32 [T], at temperature 1.
        entropy: mean entropy of the distributions that it was drawn from, nats a token.
    """

    ids: list[int]
    logprobs: Tensor
    entropy: float


@dataclass(frozen=True)
class Cache:
    """Keys and values of one layer: of P prompts of length L, and of their N answers so far.

    Attributes:
        prompt_keys, prompt_values: float32 [P, heads, L, width].
        keys, values: float32 [N, heads, most tokens, width].
    """

    prompt_keys: Tensor
    prompt_values: Tensor
    keys: Tensor
    values: Tensor


def embed_prompts(
    model: LlavaForConditionalGeneration, ids: Tensor, pixel_values: Tensor
) -> Tensor:
    """Return the embeddings of prompts of one length with the pictures' tokens in their places.

    Args:
        ids: int64 [N, P].

    Returns:
        float32 [N, P, H].
    """
    tower = model.model.vision_tower(pixel_values=pixel_values)
    features = model.model.multi_modal_projector(tower.last_hidden_state[:, 1:])
    embedded = model.model.language_model.embed_tokens(ids)
    places = (ids == model.config.image_token_id).unsqueeze(-1)
    return embedded.masked_scatter(places, features)


@torch.no_grad()
def draw_completions(
    model: LlavaForConditionalGeneration,
    prompts: Prompts,
    copies: int,
    *,
    max_tokens: int,
    generator: torch.Generator | None,
) -> list[list[Completion]]:
    """Draw ``copies`` answers to each prompt at temperature 1, or greedily without a generator."""
    drawn: list[list[Completion]] = [[] for _ in prompts.ids]
    lengths = sorted({len(ids) for ids in prompts.ids})
    for length in lengths:
        same = [i for i, ids in enumerate(prompts.ids) if len(ids) == length]
        chunk = max(1, ROWS // copies)
        for start in range(0, len(same), chunk):
            chosen = same[start : start + chunk]
            ids = torch.tensor([prompts.ids[i] for i in chosen])
            embedded = embed_prompts(model, ids, prompts.pixel_values[chosen])
            rows = draw_rows(model, embedded, copies, max_tokens, generator)
            for place, index in enumerate(chosen):
                drawn[index] = rows[place * copies : (place + 1) * copies]
    return drawn


@torch.no_grad()
def continue_completions(
    model: LlavaForConditionalGeneration,
    prompts: Prompts,
    prefixes: list[tuple[int, list[int]]],
    copies: int,
    *,
    max_tokens: int,
    generator: torch.Generator | None,
) -> list[list[Completion]]:
    """Draw ``copies`` continuations of each prefix, at temperature 1 or greedily.

    Args:
        prefixes: index of a prompt, and the first tokens of an answer to it, without its end.
        max_tokens: of the whole answer.

    Returns:
        For each prefix its continuations, without the prefix; none where it has ``max_tokens``.
    """
    drawn: list[list[Completion]] = [[] for _ in prefixes]
    by_length: dict[tuple[int, int], list[int]] = {}
    for index, (prompt, ids) in enumerate(prefixes):
        by_length.setdefault((len(prompts.ids[prompt]), len(ids)), []).append(index)
    for (_, given), same in sorted(by_length.items()):
        chunk = max(1, ROWS // copies)
        for start in range(0, len(same), chunk):
            chosen = same[start : start + chunk]
            asked = [prefixes[index][0] for index in chosen]
            ids = torch.tensor([prompts.ids[prompt] for prompt in asked])
            embedded = embed_prompts(model, ids, prompts.pixel_values[asked])
            if given:
                begun = torch.tensor([prefixes[index][1] for index in chosen])
                own = model.model.language_model.embed_tokens(begun)
                embedded = torch.cat([embedded, own], 1)
            if given < max_tokens:
                rows = draw_rows(model, embedded, copies, max_tokens - given, generator)
                for place, index in enumerate(chosen):
                    drawn[index] = rows[place * copies : (place + 1) * copies]
    return drawn


def draw_rows(
    model: LlavaForConditionalGeneration,
    embedded: Tensor,
    copies: int,
    max_tokens: int,
    generator: torch.Generator | None,
) -> list[Completion]:
    """Draw all copies of prompts of one length together; rows of a prompt follow each other."""
    text = model.model.language_model
    prefill = text(inputs_embeds=embedded, use_cache=True)
    length = embedded.shape[1]
    rows, heads = embedded.shape[0] * copies, model.config.text_config.num_attention_heads
    width = model.config.text_config.hidden_size // heads
    shape = (rows, heads, max_tokens, width)
    caches = [
        Cache(layer.keys, layer.values, torch.empty(shape), torch.empty(shape))
        for layer in prefill.past_key_values.layers
    ]
    cos, sin = text.rotary_emb(embedded, torch.arange(length + max_tokens)[None])
    weights = [fuse_weights(layer) for layer in text.layers]

    hidden = prefill.last_hidden_state[:, -1].repeat_interleave(copies, 0)
    end = model.config.text_config.eos_token_id
    ids, logprobs, entropies = [], [], []
    alive = torch.ones(rows, dtype=torch.bool)
    for place in range(max_tokens):
        scores = torch.log_softmax(model.lm_head(hidden), -1)
        chances = scores.exp()
        token = scores.argmax(-1) if generator is None else choose(chances, generator)
        ids.append(token)
        logprobs.append(scores.gather(-1, token[:, None])[:, 0])
        entropies.append(-(chances * scores).sum(-1))
        alive &= token != end
        if not alive.any() or place == max_tokens - 1:
            break
        hidden = text.embed_tokens(token)
        rotary = cos[0, length + place], sin[0, length + place]
        for layer, fused, cache in zip(text.layers, weights, caches, strict=True):
            hidden = step_layer(layer, fused, hidden, cache, place, rotary)
        hidden = text.norm(hidden)
    return cut_rows(torch.stack(ids, 1), torch.stack(logprobs, 1), torch.stack(entropies, 1), end)


def choose(chances: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one token of each row [N, V] by one uniform number: int64 [N]."""
    summed = chances.cumsum(-1)
    drawn = torch.rand((len(chances), 1), generator=generator) * summed[:, -1:]
    return torch.searchsorted(summed, drawn, right=True)[:, 0].clamp(max=chances.shape[1] - 1)


def cut_rows(ids: Tensor, logprobs: Tensor, entropies: Tensor, end: int) -> list[Completion]:
    """Cut each row [N, T] after its first end token."""
    completions = []
    for row, seen in enumerate((ids == end).int().argmax(1).tolist()):
        stop = seen + 1 if int(ids[row, seen]) == end else ids.shape[1]
        kept = ids[row, :stop].tolist()
        entropy = float(entropies[row, :stop].mean())
        completions.append(Completion(kept, logprobs[row, :stop].clone(), entropy))
    return completions


def fuse_weights(layer: torch.nn.Module) -> tuple[Tensor, Tensor]:
    """Join the three projections of an attention layer: one product instead of three."""
    parts = (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
    return torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts])


def step_layer(
    layer: torch.nn.Module,
    fused: tuple[Tensor, Tensor],
    hidden: Tensor,
    cache: Cache,
    place: int,
    rotary: tuple[Tensor, Tensor],
) -> Tensor:
    """Run one decoder layer of Qwen2 for one new token of each row: [N, H] to [N, H]."""
    rows, heads, _, width = cache.keys.shape
    prompts = cache.prompt_keys.shape[0]
    joined = functional.linear(layer.input_layernorm(hidden), *fused).view(rows, 3, heads, width)
    query, key = rotate(joined[:, 0], rotary), rotate(joined[:, 1], rotary)
    cache.keys[:, :, place], cache.values[:, :, place] = key, joined[:, 2]
    keys, values = cache.keys[:, :, : place + 1], cache.values[:, :, : place + 1]
    # All copies of a prompt look at one set of its keys and values.
    shared = query.view(prompts, -1, heads, width).transpose(1, 2)
    on_prompt = torch.matmul(shared, cache.prompt_keys.transpose(2, 3))
    on_prompt = on_prompt.transpose(1, 2).reshape(rows, heads, -1)
    on_answer = torch.matmul(keys, query.unsqueeze(-1))[..., 0]
    weights = torch.softmax(torch.cat([on_prompt, on_answer], -1) * width**-0.5, -1)
    length = on_prompt.shape[-1]
    from_prompt = weights[..., :length].reshape(prompts, -1, heads, length).transpose(1, 2)
    mixed = torch.matmul(from_prompt, cache.prompt_values).transpose(1, 2)
    mixed = mixed.reshape(rows, heads, width)
    mixed = mixed + torch.matmul(weights[..., length:].unsqueeze(2), values)[:, :, 0]
    hidden = hidden + layer.self_attn.o_proj(mixed.reshape(rows, heads * width))
    return hidden + layer.mlp(layer.post_attention_layernorm(hidden))


def rotate(vectors: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate queries or keys [N, heads, width] to their position (RoPE, arXiv 2104.09864)."""
    cos, sin = rotary
    first, second = vectors.chunk(2, -1)
    return vectors * cos + torch.cat([-second, first], -1) * sin
