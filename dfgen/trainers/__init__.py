"""Turns difference masks into what a trainer's loss takes; needs numpy and pyarrow, nothing else.

    dfgen export --to groups ──make_examples(recipe)──▶ Example ──▶ one thin file per trainer

`pip install --no-deps .` in the clone of dfgen, beside any trainer, is enough for this package, and
cannot move the trainer's pins.
"""
