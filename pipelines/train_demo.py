"""Trains the demo policy on the masks of the demo run, with TRL. Copy it for a model of your own.

python pipelines/train_demo.py   (make train-demo makes the run and its groups first)
"""

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig

from dfgen.demo import locate_model
from dfgen.demo.evaluate import mark_answers
from dfgen.trainers.trl import DiffGRPOTrainer, load_rows

GROUPS = "runs/demo-groups"  # EDIT: of `dfgen export RUN --to groups --out DIR`
MODEL = locate_model("policy")  # EDIT: the checkpoint that sampled the run
QUESTIONS = 1000  # held out: their seed is not that of the run


def measure(model, tokenizer):  # EDIT: how you measure your model
    """Mark answers to held-out questions, greedy and at temperature 1."""
    torch.manual_seed(0)
    return {
        name: mark_answers(model, tokenizer, count=QUESTIONS, seed=2027, sample=name == "T = 1")
        for name in ("greedy", "T = 1")
    }


processor = AutoProcessor.from_pretrained(MODEL)
model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype="float32")
before = measure(model, processor.tokenizer)

# What a mask does to the gradient is the recipe's business: grpo, df, df+whole, sft, ...
rows = load_rows(GROUPS, "df+whole", tokenizer=processor)
arguments = GRPOConfig(
    output_dir="runs/demo-trained",
    learning_rate=1e-4,  # EDIT: for a small model and all of its weights; try 1e-6 for 7B
    per_device_train_batch_size=64,  # stored rows at a time: answers and repairs
    num_generations=8,  # of fresh answers, of which there are none here; must divide the batch
    max_steps=60,
    lr_scheduler_type="constant_with_warmup",
    warmup_steps=5,
    use_cpu=not torch.cuda.is_available(),
    bf16=torch.cuda.is_available(),
    report_to=[],
    logging_steps=20,
    disable_tqdm=True,
    save_strategy="no",
)
trainer = DiffGRPOTrainer(model, args=arguments, train_dataset=rows, processing_class=processor)
trainer.train()
trainer.save_model()

after = measure(model, processor.tokenizer)
for name in before:  # the same questions before and after, so differences are taken in pairs
    gain = after[name].astype(float) - before[name]
    print(
        f"{name:7} {before[name].mean():.3f} -> {after[name].mean():.3f}   "
        f"gain {gain.mean():+.3f}, standard error {gain.std(ddof=1) / np.sqrt(len(gain)):.3f}"
    )
