"""Makes the tokenizer of the chains: each word and each number up to 48 is one token."""

import numpy as np
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from dfgen.demo.tokenizer import ASSISTANT, END, IMAGE, PAD, SPECIALS, SYSTEM, USER
from tests.benchmarks.study.chains import draw_chains

MAX_TOTAL = 48


def build_chain_tokenizer() -> PreTrainedTokenizerFast:
    """Train it on the chains' own language; the same code always gives the same vocabulary."""
    rng = np.random.default_rng(1)
    chains, _ = draw_chains(rng, 1500)
    texts = [f"{chain.question}\n{chain.write(rng)}" for chain in chains]
    texts += ["".join(f" {number}" for number in range(MAX_TOTAL + 1))] * 50
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=600,
        special_tokens=list(SPECIALS),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[IMAGE, USER, ASSISTANT, SYSTEM],
        padding_side="left",
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
