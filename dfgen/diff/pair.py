"""Compares a wrong answer with its repair: the difference as masks over tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from dfgen.diff.build import build_hunks
from dfgen.diff.chinese import is_spaced
from dfgen.diff.defaults import fill_in_defaults
from dfgen.diff.edit_script import Script, find_script
from dfgen.diff.hunks import Hunk, RepairerEdit, apply_hunks
from dfgen.diff.marks import (
    EQUAL,
    FORMAT,
    Marks,
    find_step_ids,
    mark_right,
    mark_wrong,
)
from dfgen.diff.tokenised import check_text, read_side
from dfgen.diff.weights import decay_consequences
from dfgen.errors import RowError
from dfgen.tokens.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig

StepRole = Literal["first", "consequence", "independent", "unchanged"]


@dataclass(frozen=True)
class PairQuality:
    """How much was changed and how sure the alignment is.

    Attributes:
        edit_ratio: tokens of the hunks (the longer side of each, format-only left out) / the
            longer of T and U.
        step_edit_ratio: share of the steps of the completion that were touched.
        n_hunks: format-only ones left out.
        ambiguous: several alignments were equally good and only a fixed order chose.
        approximate: the texts were too long and too different for an exact alignment.
        format_only_share: share of the changed tokens whose change is one of format only.
    """

    edit_ratio: float
    step_edit_ratio: float
    n_hunks: int
    ambiguous: bool
    approximate: bool
    format_only_share: float


@dataclass(frozen=True)
class PairDiff:
    """What `diff_pair` returns: T tokens of the completion, U of the repair, S steps.

    Attributes:
        completion: the text of `completion_ids`.
        repair: the text of `repair_ids`.
        completion_ids: int32[T], as given, or the canonical encoding.
        repair_ids: int32[U], canonical, ended by the same special tokens as the completion.
        loss_mask: bool[T], changed tokens and insertion anchors; never a special token.
        token_ops: int8[T], 0 equal, 1 substituted, 2 deleted, 3 moved, 4 format-only (also: the
            same text split into other tokens next to an edit).
        gap_mask: bool[T+1], the repair inserts before token i (i = T: at the end).
        repair_mask: bool[U], the tokens that are new in the repair.
        token_bytes: int32[T+1], UTF-8 byte offsets of the tokens in `completion`.
        step_ids: int16[T], the step of each token.
        step_labels: bool[S], the repair touches the step.
        step_changed: float32[S], share of the step's tokens (and insertions) that changed.
        first_error_step: the first touched step, -1 if none is.
        step_roles: length S.
        weights: float32[T] if `consequence_weight` is set, else None.
        hunks: every edit, in order.
        marked: for each hunk the tokens it marks in `loss_mask`, anchors included.
        quality: of the alignment.
        lossy: the tokenizer does not give the texts back as they were (WordPiece, some
            SentencePiece); completion and repair are what it gives back.
    """

    completion: str
    repair: str
    completion_ids: NDArray[np.int32]
    repair_ids: NDArray[np.int32]
    loss_mask: NDArray[np.bool_]
    token_ops: NDArray[np.int8]
    gap_mask: NDArray[np.bool_]
    repair_mask: NDArray[np.bool_]
    token_bytes: NDArray[np.int32]
    step_ids: NDArray[np.int16]
    step_labels: NDArray[np.bool_]
    step_changed: NDArray[np.float32]
    first_error_step: int
    step_roles: tuple[StepRole, ...]
    weights: NDArray[np.float32] | None
    hunks: tuple[Hunk, ...]
    marked: tuple[tuple[int, ...], ...]
    quality: PairQuality
    lossy: bool

    @property
    def is_empty(self) -> bool:
        """Whether no token is in `loss_mask`: nothing could be learned from the row."""
        return not self.loss_mask.any()

    def explain_empty(self) -> dict[str, int]:
        """Count the hunks by kind, and insertions without an anchor: why nothing is marked."""
        counts = {"format": 0, "move": 0, "insertion": 0}
        for hunk in self.hunks:
            counts[hunk.kind] = counts.get(hunk.kind, 0) + 1
        return counts

    def check_not_empty(self) -> None:
        """Refuse a repair that leaves nothing to learn from; for `mask.empty: reject`.

        Raises:
            RowError: `mask_empty`, with the hunks by kind.
        """
        if self.is_empty:
            counts = self.explain_empty()
            raise RowError(
                "mask_empty",
                "the accepted repair leaves no token to learn from: it changes only form or order "
                f"({counts['format']} hunks of form, {counts['move']} moved, {counts['insertion']} "
                "insertions without an anchor). Set mask.empty to keep for a row without loss.",
                dict(counts),
            )


def diff_pair(
    wrong: str,
    right: str,
    tokenizer: TextTokenizer,
    config: MaskConfig | None = None,
    *,
    completion_ids: Sequence[int] | None = None,
    edits: Sequence[RepairerEdit] = (),
) -> PairDiff:
    """Find which tokens of a wrong answer its repair changed.

    Args:
        wrong: the policy's completion.
        right: the repaired text.
        tokenizer: the policy's.
        config: what to mark; the defaults if None.
        completion_ids: length T, the ids as sampled. They may split the text in another way than
            the tokenizer would, and hold special tokens such as the end of text. If None, `wrong`
            is encoded.
        edits: what the repairer said it changed; reasons are carried over to the hunks.

    Raises:
        RowError: `completion_mismatch` if completion_ids are not the ids of `wrong`;
            `token_out_of_vocabulary`; `invalid_unicode` for a lone surrogate.

    Example:
        >>> from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        >>> words = ["I", "Ġsee", "Ġ3", "Ġ4", "Ġcats", "."]
        >>> bpe = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}))
        >>> bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        >>> bpe.decoder = decoders.ByteLevel()
        >>> tokenizer = TextTokenizer.from_tokenizers(bpe)
        >>> diff = diff_pair("I see 3 cats.", "I see 4 cats.", tokenizer)
        >>> diff.completion_ids.tolist(), diff.loss_mask.tolist()
        ([0, 1, 2, 4, 5], [False, False, True, False, False])
        >>> [(hunk.wrong_text, hunk.right_text) for hunk in diff.hunks]
        [('3', '4')]
    """
    config = fill_in_defaults(config)
    check_unicode(wrong=wrong, right=right)
    canonical = completion_ids is None
    ids = tokenizer.encode(wrong) if completion_ids is None else completion_ids
    spaced = not wrong.isascii() and is_spaced(wrong) and is_spaced(right)
    left = read_side(
        ids,
        tokenizer,
        canonical=canonical,
        atoms=config.whole_atoms,
        steps=config.steps,
        spaced=spaced,
    )
    if not canonical:
        check_text(left, wrong)
    other = read_side(
        encode_repair(right, left.ids, tokenizer),
        tokenizer,
        canonical=True,
        atoms=config.whole_atoms,
        steps=config.steps,
        spaced=spaced,
    )
    script = find_script(left.units, other.units, config)
    hunks = build_hunks(script, left, other, edits)
    if apply_hunks(left.text, hunks) != other.text:
        raise RowError("diff_not_exact", "the hunks do not give the repair; please report this.")
    step_ids = find_step_ids(left)
    marks = mark_wrong(hunks, left, config.insertion_anchor, step_ids)
    labels, changed = summarise_steps(hunks, marks, step_ids, len(left.step_starts))
    repair_mask = mark_right(hunks, other)
    weights = None
    if config.consequence_weight is not None:
        marked = list(zip(hunks, marks.tokens, strict=True))
        weights = decay_consequences(marks.loss, marked, config.consequence_weight)
    return PairDiff(
        completion=left.text,
        repair=other.text,
        completion_ids=left.row.astype(np.int32),
        repair_ids=other.row.astype(np.int32),
        loss_mask=marks.loss,
        token_ops=marks.ops,
        gap_mask=marks.gaps,
        repair_mask=repair_mask,
        token_bytes=left.edges,
        step_ids=step_ids,
        step_labels=labels,
        step_changed=changed,
        first_error_step=labels.tobytes().find(True),
        step_roles=name_step_roles(hunks, labels),
        weights=weights,
        hunks=tuple(hunks),
        marked=tuple(map(tuple, marks.tokens)),
        quality=measure_quality(hunks, marks, labels, (len(left.ids), len(other.ids)), script),
        lossy=left.text != wrong or other.text != right,
    )


def encode_repair(
    repair: str, completion_ids: Sequence[int], tokenizer: TextTokenizer
) -> list[int]:
    """Encode a repair as the policy would have written it: `PairDiff.repair_ids`, length U.

    Canonical ids, ended by the special tokens that end the completion. So where the policy has
    closed its answer the repair is closed, too, and teaches to stop; where the answer was cut off
    at the length limit, or imported as text, neither has an end.

    Raises:
        RowError: `invalid_unicode` for a lone surrogate; `token_out_of_vocabulary`.
    """
    check_unicode(repair=repair)
    known = len(tokenizer.table.special)
    strange = next((token for token in completion_ids if not 0 <= token < known), None)
    if strange is not None:
        raise RowError(
            "token_out_of_vocabulary",
            f"id {strange} is none of the {known} of {tokenizer.name}.",
        )
    return [*tokenizer.encode(repair), *tokenizer.take_ending(completion_ids)]


def check_unicode(**texts: str) -> None:
    """Check that texts can be written as UTF-8.

    Raises:
        RowError: `invalid_unicode`.
    """
    for name, text in texts.items():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise RowError(
                "invalid_unicode",
                f"{name} holds a lone surrogate at character {error.start}.",
                {"field": name, "character": error.start},
            ) from None


def summarise_steps(
    hunks: Sequence[Hunk], marks: Marks, step_ids: NDArray[np.int16], count: int
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return bool[S] and float32[S]: whether each step was touched, and how much of it changed.

    A step is touched if a token of it is in the loss mask (or, where insertions have no anchor, if
    something is missing in it).
    """
    # Single elements are read from memory views: numpy's own are three times as slow.
    steps = step_ids.data
    total: list[int] = np.bincount(step_ids, minlength=count).tolist()
    changed = [0] * count
    seen: set[int] = set()
    for hunk, tokens in zip(hunks, marks.tokens, strict=True):
        if not hunk.in_mask:
            continue
        if hunk.wrong_bytes.start == hunk.wrong_bytes.end:
            # What is missing counts as one token of the step that stands for it.
            for step in {steps[t] for t in tokens} or {hunk.wrong_step}:
                changed[step] += 1
                total[step] += 1
            continue
        for t in tokens:
            if t not in seen:
                changed[steps[t]] += 1
        seen.update(tokens)
    share = [part / whole if whole else 0.0 for part, whole in zip(changed, total, strict=True)]
    return np.array(changed) > 0, np.array(share, dtype=np.float32)


def name_step_roles(hunks: Sequence[Hunk], labels: NDArray[np.bool_]) -> tuple[StepRole, ...]:
    """Name each step: unchanged, first, consequence (all its hunks are), or independent."""
    roots = {hunk.wrong_step for hunk in hunks if hunk.in_mask and hunk.role == "root"}
    roles: list[StepRole] = []
    seen = False
    for step, touched in enumerate(labels.tolist()):
        if not touched:
            roles.append("unchanged")
        elif not seen:
            roles.append("first")
            seen = True
        else:
            roles.append("independent" if step in roots else "consequence")
    return tuple(roles)


def measure_quality(
    hunks: Sequence[Hunk],
    marks: Marks,
    labels: NDArray[np.bool_],
    lengths: tuple[int, int],
    script: Script,
) -> PairQuality:
    """Sum up the hunks of a pair."""
    real = [hunk for hunk in hunks if hunk.kind != "format"]
    edited = sum(
        max(h.wrong_tokens.end - h.wrong_tokens.start, h.right_tokens.end - h.right_tokens.start)
        for h in real
    )
    ops = marks.ops.tobytes()
    changed = len(ops) - ops.count(EQUAL)
    form = ops.count(FORMAT)
    return PairQuality(
        edit_ratio=min(1.0, edited / max(*lengths, 1)),
        step_edit_ratio=labels.tobytes().count(True) / len(labels) if len(labels) else 0.0,
        n_hunks=len(real),
        ambiguous=script.ambiguous,
        approximate=script.approximate,
        format_only_share=form / changed if changed else 0.0,
    )
