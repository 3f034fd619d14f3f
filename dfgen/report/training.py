"""Writes how to train on a published data set; the README shows the same lines."""

from __future__ import annotations

TRL = """\
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig
from dfgen.trainers.trl import DiffGRPOTrainer, load_rows

processor = AutoProcessor.from_pretrained("YOUR-POLICY")
model = AutoModelForImageTextToText.from_pretrained("YOUR-POLICY")
rows = load_rows("{data}", "df+whole", tokenizer=processor)
trainer = DiffGRPOTrainer(
    model, args=GRPOConfig(learning_rate=1e-6), train_dataset=rows, processing_class=processor
)
trainer.train()
"""
"""Stored answers, gated by their masks, repairs as positives; `{data}` is an id or a folder."""

SWIFT = """\
DFGEN_DATA={data} swift rlhf --rlhf_type grpo --model YOUR-POLICY --dataset dfgen \\
  --reward_funcs dfgen --external_plugins $(python -m dfgen.trainers swift) --temperature 1
"""

EXAMPLES = """\
from dfgen.trainers.examples import make_examples
for example in make_examples("{data}", "df+whole"):
    example.ids, example.advantages, example.loss_mask, example.old_logprobs    # numpy, one length
"""


def write_training(repo_id: str) -> str:
    """Write the section of a card. `repo_id` is that of the data set."""
    return f"""A stock trainer loads the table `groups`, asks its questions anew and leaves the \
masks aside. \
With dfgen beside it (`pip install --no-deps`, so no pin of the trainer moves) it trains on these \
answers, gated by the masks, with the repairs as positives. TRL:

```python
{TRL.format(data=repo_id)}```

ms-swift:

```bash
{SWIFT.format(data=repo_id)}```

Any other loss, in numpy:

```python
{EXAMPLES.format(data=repo_id)}```

`python -m dfgen.trainers` lists the adapters (verl, OpenRLHF, slime, Tinker, prime-rl, ...). The \
second argument is a recipe: `grpo` (every token of every answer), `df` (failed answers gated by \
their masks), `df+repair` (the repairs' new tokens as well), `df+whole` (all of the repairs as \
well), `sft` (right and repaired answers imitated: the control to compare with). A recipe's \
`mask_mode` says what a mask does to the normaliser: `advantage` keeps the full length as the \
divisor, `loss` counts marked tokens alone, so that three of them carry the gradient of a whole \
answer under per-sequence losses."""
