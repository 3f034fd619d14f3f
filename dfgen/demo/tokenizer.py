"""Makes the tokenizer, the processors and the chat templates of both demo models.

One byte-level BPE vocabulary serves both: any text encodes, and each word and each " digit" of the
demo's own language is one token. It is trained on the demo's language in a fixed order, so the
same code always gives the same vocabulary; weights depend on it, so change the language and the
models must be trained again.
"""

from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import CLIPImageProcessor, LlavaProcessor, PreTrainedTokenizerFast

from dfgen.demo.drawing import CELL, SIDE
from dfgen.demo.questions import CONCLUSION_PHRASES, COUNT_PHRASES, MAX_COUNT, Wording
from dfgen.demo.scenes import draw_facts

PAD, END, IMAGE = "<pad>", "<|end|>", "<image>"
USER, ASSISTANT, SYSTEM = "<|user|>", "<|assistant|>", "<|system|>"
SPECIALS = (PAD, END, IMAGE, USER, ASSISTANT, SYSTEM)
THINK, END_THINK = "<think>", "</think>"
VOCABULARY_SIZE = 640

#: What the repairer is asked; fields ``question`` and ``completion`` (the answer to repair).
REPAIR_TEMPLATE = "{question}\nRepair this answer:\n{completion}"

#: The policy sees the picture before the question, as LLaVA does.
POLICY_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
#: The repairer sees the picture last: while it reads each patch it knows what is asked, and the
#: scan that follows finds each patch at the same distance whatever the length of the answer.
REPAIRER_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def write_tally(count_a: int, count_b: int) -> str:
    """Write one entry of the repairer's scan: how many of A and of B were seen up to a cell."""
    return f"({count_a},{count_b})"


def list_tallies() -> list[str]:
    """Return all 25 scan entries; each is one token."""
    numbers = range(MAX_COUNT + 1)
    return [write_tally(a, b) for a in numbers for b in numbers]


def write_corpus(count: int = 4000, seed: int = 1) -> list[str]:
    """Return texts of the demo's language to train the vocabulary on."""
    rng = np.random.default_rng(seed)
    facts = draw_facts(rng, count)
    texts = [" 0 1 2 3 4 5 6 7 8 9 What is the best answer?"] * 50
    for index, kind in enumerate(facts.kinds):
        first, second = rng.integers(0, len(COUNT_PHRASES), size=2)
        conclusion = rng.integers(0, len(CONCLUSION_PHRASES[kind]))
        wording = Wording(int(first), int(second), int(conclusion))
        a, b = (int(count) for count in facts.counts[index])
        answer = facts.answer(index, (a, b), wording)
        texts.append(REPAIR_TEMPLATE.format(question=facts.question(index), completion=answer))
    return texts


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Train the shared tokenizer (a second of work, always the same result)."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(list_tallies()) - 2,
        special_tokens=list(SPECIALS),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(write_corpus(), trainer)
    # Not special: they must survive decoding, the pipeline cuts the scratch part off by its tags.
    tokenizer.add_tokens([THINK, END_THINK, *list_tallies()])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[IMAGE, USER, ASSISTANT, SYSTEM],
        padding_side="left",
        model_max_length=512,
        # transformers 4 would add token_type_ids, which the model refuses.
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def build_processor(tokenizer: PreTrainedTokenizerFast, chat_template: str) -> LlavaProcessor:
    """Pair the tokenizer with an image processor that leaves 64 x 64 pictures as they are."""
    image_processor: Any = CLIPImageProcessor(
        size={"height": SIDE, "width": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        resample=0,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=CELL,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template,
    )
