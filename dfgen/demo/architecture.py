"""Builds the two models: LLaVA with a CLIP tower and a Qwen2 language model, 1 M weights.

Sizes follow two rules learnt the hard way: heads of 32 dimensions, because vLLM's CPU attention
lists no smaller ones, and a standard deviation of 0.08 at the start, without which the small
language model does not learn to copy words from the question.
"""

from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from dfgen.demo.drawing import CELL, CELLS, SIDE
from dfgen.demo.tokenizer import END, IMAGE, PAD, VOCABULARY_SIZE


def build_vision_config() -> CLIPVisionConfig:
    """Describe the vision tower: one patch a cell, so 16 image tokens."""
    return CLIPVisionConfig(
        hidden_size=96,
        intermediate_size=288,
        num_hidden_layers=2,
        num_attention_heads=3,
        image_size=SIDE,
        patch_size=CELL,
        initializer_range=0.08,
        projection_dim=96,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, layers: int) -> LlavaForConditionalGeneration:
    """Return a freshly initialised float32 model with this many language layers."""
    text = Qwen2Config(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.08,
        pad_token_id=tokenizer.convert_tokens_to_ids(PAD),
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        bos_token_id=None,
    )
    config = LlavaConfig(
        vision_config=build_vision_config(),
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=CELLS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
        pad_token_id=text.pad_token_id,
        eos_token_id=text.eos_token_id,
        initializer_range=0.08,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=text.eos_token_id,
        pad_token_id=text.pad_token_id,
        max_new_tokens=128,
        do_sample=False,
    )
    return model
