"""Loads the data of several rounds of training together, each with its age.

A round is: sample with the checkpoint of the last one, repair, mask, export, train. The newest data
fits the policy best; the last rounds' is there already. Old log-probs keep it honest, and beyond
some age it is dropped.

    dfgen run my.yaml --out runs/round-2 --set policy.model=checkpoints/round-1
    dfgen export runs/round-2 --to groups --out data/round-2
    load_rounds("data", max_age=2)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from dfgen.dataset_names import MANIFEST
from dfgen.errors import InputError
from dfgen.trainers.building import Reader
from dfgen.trainers.examples import Examples
from dfgen.trainers.reading import GroupSource, open_groups
from dfgen.trainers.recipe import DEFAULT_RECIPE, Recipe, find_recipe

_SHOWN_DIGITS = 12


def load_rounds(
    data: str | Path | Sequence[str | Path],
    recipe: str | Recipe = DEFAULT_RECIPE,
    *,
    max_age: int | None = None,
    tokenizer: Any = None,
    temperature: float = 1.0,
    with_images: bool = True,
    keep_zero: bool = False,
    say: Callable[[str], None] | None = print,
) -> Examples:
    """Open the groups of several rounds as one set of examples, oldest first.

    `Example.age` is 0 for the newest round, 1 for the one before. Baselines stay within each
    round's own groups, also where rounds asked the same prompts: other policies answered.

    Args:
        data: exports, oldest to newest; or a folder that holds them, which are then put in the
            order in which their runs were begun.
        max_age: rounds older than this are left out; None: none is.
        recipe: as in `make_examples`, and so are all that follow.
        tokenizer: of the model to be trained.
        temperature: by which the trainer divides logits.
        with_images: whether pictures are read.
        keep_zero: whether answers whose advantages are all 0 are yielded, too.
        say: told once what the gradient is made of, and the rounds.

    Returns:
        Examples whose `origin` is that of the newest round.

    Raises:
        InputError: no rounds, one given twice or in another order than they were made in, or ids
            of different tokenizers; and what `make_examples` raises.
    """
    chosen = find_recipe(recipe)
    sources = find_rounds(data) if isinstance(data, (str, Path)) else check_order(data)
    check_same_tokenizer(sources)
    aged = [(source, len(sources) - 1 - i) for i, source in enumerate(sources)]
    kept = [(source, age) for source, age in aged if max_age is None or age <= max_age]
    if not kept:
        raise InputError(f"max_age is {max_age}; 0 keeps the newest round alone.")
    reader = Reader.open(kept, chosen, tokenizer, temperature, with_images, keep_zero)
    if say is not None:
        say(f"{reader.describe()}\n{describe_rounds(aged, len(kept))}")
    newest = kept[-1][0]
    return Examples(chosen, newest.tokenizer_sha256, newest.origin, reader)


def find_rounds(folder: str | Path) -> list[GroupSource]:
    """Find the exports in a folder, in the order in which their runs were begun.

    Raises:
        InputError: there is none, or two are of one run.
    """
    found = sorted(Path(folder).expanduser().glob(f"*/{MANIFEST}"))
    if not found:
        raise InputError(
            "no folder in it holds an exported round.",
            where=str(folder),
            hint="dfgen export RUN --to groups --out "
            f"{Path(folder) / 'round-1'}, or give a list of exports.",
        )
    sources = [open_groups(path.parent) for path in found]
    sources.sort(key=lambda source: source.created or "")
    _check_distinct(sources)
    return sources


def check_order(data: Sequence[str | Path]) -> list[GroupSource]:
    """Open exports that are given from oldest to newest.

    Raises:
        InputError: there is none, two are of one run, or the order contradicts dfgen.json.
    """
    sources = [open_groups(each) for each in data]
    if not sources:
        raise InputError("no round is given.", hint="load_rounds([OLDEST, ..., NEWEST])")
    _check_distinct(sources)
    dated = [source for source in sources if source.created is not None]
    for older, newer in pairwise(dated):
        if str(older.created) > str(newer.created):
            raise InputError(
                f"{older.name} was begun after {newer.name}; rounds are given oldest to newest.",
                hint="Give them in that order, or the folder that holds them.",
            )
    return sources


def check_same_tokenizer(sources: Sequence[GroupSource]) -> None:
    """Refuse rounds whose ids belong to different tokenizers. Raises `InputError`."""
    hashes = {source.tokenizer_sha256: source.name for source in sources}
    if len(hashes) > 1:
        named = [f"{name} ({(sha or 'not noted')[:_SHOWN_DIGITS]})" for sha, name in hashes.items()]
        raise InputError(
            f"these rounds hold ids of different tokenizers: {', '.join(named)}.",
            hint="dfgen retokenize RUN --tokenizer MODEL --out DIR, then export again.",
        )


def describe_rounds(aged: Sequence[tuple[GroupSource, int]], kept: int) -> str:
    """Describe the rounds in words."""
    named = ", ".join(f"{Path(source.name).name} (age {age})" for source, age in aged[-kept:])
    left = len(aged) - kept
    return f"Rounds: {named}" + (f"; {left} older left out." if left else ".")


def _check_distinct(sources: Sequence[GroupSource]) -> None:
    seen: dict[str, str] = {}
    for source in sources:
        if source.created is None:
            continue
        if source.created in seen:
            raise InputError(
                f"{seen[source.created]} and {source.name} are exports of one run, which was begun "
                f"{source.created}.",
                hint="Give every round once, or its answers count twice.",
            )
        seen[source.created] = source.name
