"""A tiny LLaVA with random weights: a real model directory in about a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAD, END, IMAGE = "<pad>", "<|end|>", "<image>"
SPECIALS = (PAD, END, IMAGE, "<|system|>", "<|user|>", "<|assistant|>")
IMAGE_SIDE, PATCH = 32, 16
TOKENS_PER_IMAGE = (IMAGE_SIDE // PATCH) ** 2

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

_CORPUS = [
    "How many red circles plus blue squares are in the picture?",
    "Step 1: red circles: I see 3. Step 2: blue squares: there are 2.",
    "Step 3: the sum is 3 + 2 = 5. Answer: 5",
    "Wie viele grüne Dreiecke sieht man? Drei – nein, vier.",
    "0 1 2 3 4 5 6 7 8 9",
]


def train_bpe(specials: Sequence[str]) -> Any:
    """Train a byte-level BPE of at most 320 tokens, the special ones first: any text encodes."""
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as ByteLevelDecoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=320,
        special_tokens=list(specials),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS * 4, trainer)
    return tokenizer


def build_tokenizer() -> Any:
    """Wrap the BPE with the special tokens of the chat template."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=train_bpe(SPECIALS),
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[IMAGE, *SPECIALS[3:]],
        clean_up_tokenization_spaces=False,
    )


def build_processor(tokenizer: Any) -> Any:
    """Pair the tokenizer with an image processor for pictures of 32 x 32, four tokens each."""
    from transformers import CLIPImageProcessor, LlavaProcessor

    side = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
    image_processor: Any = CLIPImageProcessor(size=side, crop_size=side, do_center_crop=False)
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def write_tiny_llava(directory: Path, *, seed: int = 0, max_positions: int = 256) -> Path:
    """Write a complete model directory: config, weights, tokenizer, processor, chat template.

    The weights are drawn widely enough that the next-token distributions differ between prompts
    and pictures, and flatly enough that samples differ between seeds.
    """
    import torch
    from transformers import (
        CLIPVisionConfig,
        GenerationConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        Qwen2Config,
    )

    tokenizer = build_tokenizer()
    pad, end, image = (tokenizer.convert_tokens_to_ids(token) for token in (PAD, END, IMAGE))
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        image_size=IMAGE_SIDE,
        patch_size=PATCH,
        projection_dim=32,
    )
    text = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=max_positions,
        tie_word_embeddings=True,
        initializer_range=0.2,
        pad_token_id=pad,
        eos_token_id=end,
        bos_token_id=None,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=image,
        image_seq_length=TOKENS_PER_IMAGE,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
        pad_token_id=pad,
        eos_token_id=end,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
    # Defaults of the kind that real models ship and that must not leak into sampling.
    model.generation_config = GenerationConfig(
        eos_token_id=[end],
        pad_token_id=pad,
        do_sample=True,
        temperature=0.01,
        top_k=1,
        repetition_penalty=1.5,
    )
    model.save_pretrained(directory)
    build_processor(tokenizer).save_pretrained(directory)
    return directory
