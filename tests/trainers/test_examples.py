"""What examples a recipe makes of groups: against plain Python, and case by case."""

from __future__ import annotations

import itertools
import math
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.trainers.examples import Example, make_examples
from dfgen.trainers.recipe import RECIPES, Recipe
from tests.support.group_files import make_answer, write_groups
from tests.trainers.oracle import expect

REWARDS = (0.0, 1.0, 0.1, 0.5, 1.5)


@st.composite
def draw_answer(draw: st.DrawFn) -> dict[str, Any]:
    length = draw(st.integers(0, 5))
    ids = list(range(length))
    reward = draw(st.sampled_from(REWARDS))
    flags = st.lists(st.booleans(), min_size=length, max_size=length)
    kind = draw(st.sampled_from(["plain", "plain", "repair", "repair", "undecided"]))
    if kind == "undecided":
        return make_answer(ids, 0.0, [False] * length, undecided=True)
    if kind == "plain" or reward >= 1:
        logprobs = draw(st.none() | st.just([-0.5] * length) | st.just([math.nan] * length))
        return make_answer(ids, reward, draw(flags), logprobs=logprobs)
    repair = draw(st.sampled_from([[1], [1, 2], [3, 4, 5]]))
    new = draw(st.lists(st.booleans(), min_size=len(repair), max_size=len(repair)))
    share = st.sampled_from([0.0, 0.25, 1.0, math.nan])
    weights = draw(st.none() | st.lists(share, min_size=length, max_size=length))
    return make_answer(ids, reward, draw(flags), repair, new, weights=weights)


GROUPS = st.lists(st.lists(draw_answer(), max_size=5), min_size=1, max_size=5)
ANY_RECIPE = st.builds(
    Recipe,
    failed=st.sampled_from(["mask", "full", "drop"]),
    unrepaired=st.sampled_from(["full", "drop"]),
    right=st.sampled_from(["full", "drop"]),
    right_loss=st.sampled_from(["ratio", "likelihood"]),
    positives=st.sampled_from(["none", "new", "all"]),
    positive_loss=st.sampled_from(["ratio", "likelihood"]),
    factor=st.sampled_from(["advantage", "one"]),
    scale_rewards=st.sampled_from(["group", "none"]),
    all_wrong=st.sampled_from([0.0, 1.0, 2.5]),
    weights=st.booleans(),
    balance=st.booleans(),
    copies=st.sampled_from(["each", "once"]),
    mask_mode=st.sampled_from(["advantage", "loss"]),
)


@settings(max_examples=300, deadline=None)
@given(groups=GROUPS, recipe=ANY_RECIPE | st.sampled_from(list(RECIPES.values())))
def test_examples_are_what_plain_python_says(groups: Any, recipe: Recipe) -> None:
    # One answer has weights, so that a recipe with weights is not refused.
    groups = [*groups, [make_answer([1], 0.0, [True], [2], weights=[0.5])]]
    with tempfile.TemporaryDirectory() as folder:
        data = write_groups(Path(folder), groups, row_group=2)
        examples = make_examples(data, recipe, say=None)
        found, whole = list(examples), list(make_examples(data, recipe, keep_zero=True, say=None))
    wanted = expect(groups, recipe)
    assert [(e.trajectory_id, e.kind) for e in found] == [(w["name"], w["kind"]) for w in wanted]
    for example, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(example.advantages, want["advantages"], rtol=2e-6)
        assert example.loss_mask.tolist() == want["loss_mask"]
        assert (example.divisor, example.loss) == (want["divisor"], want["loss"])
        check_types(example)
    assert len(examples) == len(found)
    check_summary(examples.summary, found, balance=recipe.balance)
    check_whole_groups(groups, found, whole)


def check_types(example: Example) -> None:
    length = len(example.ids)
    assert example.ids.dtype == np.int32
    assert (example.advantages.dtype, example.advantages.shape) == (np.float32, (length,))
    assert (example.loss_mask.dtype, example.loss_mask.shape) == (np.bool_, (length,))
    assert not example.advantages[~example.loss_mask].any()
    assert np.isfinite(example.advantages).all()
    if example.old_logprobs is not None:
        assert (example.old_logprobs.dtype, example.old_logprobs.shape) == (np.float32, (length,))
        assert np.isfinite(example.old_logprobs).all()


def check_summary(summary: Any, found: list[Example], *, balance: bool) -> None:
    for kind in ("right", "failed", "repair"):
        chosen = [e for e in found if e.kind == kind]
        assert summary.rows[kind] == len(chosen)
        up = sum(float(e.advantages.clip(min=0).sum()) for e in chosen)
        assert summary.up[kind] == pytest.approx(up, rel=1e-5)
        if not balance:
            down = -sum(float(e.advantages.clip(max=0).sum()) for e in chosen)
            assert summary.down[kind] == pytest.approx(down, rel=1e-5)
    if balance and summary.total_up and summary.total_down:
        total = sum(float(e.advantages.sum(dtype=np.float64)) for e in found)
        assert total == pytest.approx(0, abs=1e-4 * summary.total_up)
    unknown = [e.kind for e in found if e.old_logprobs is None and e.loss == "ratio"]
    assert summary.unknown_repairs == unknown.count("repair")
    assert summary.unknown_answers == len(unknown) - unknown.count("repair")
    assert summary.used == len({e.prompt_id for e in found})


def check_whole_groups(groups: Any, found: list[Example], whole: list[Example]) -> None:
    """With zeros kept every sampled answer is there once, and the others are as before."""
    names = [f"p{n:04d}-{i}" for n, group in enumerate(groups) for i in range(len(group))]
    assert [e.trajectory_id for e in whole if e.kind != "repair"] == names
    moving = [e for e in whole if e.advantages.any()]
    assert [(e.trajectory_id, e.kind) for e in moving] == [(e.trajectory_id, e.kind) for e in found]
    for one, other in zip(moving, found, strict=True):
        np.testing.assert_array_equal(one.advantages, other.advantages)


def make(tmp_path: Path, groups: Any, recipe: Any = "df+repair", **options: Any) -> list[Example]:
    options.setdefault("say", None)
    data = write_groups(tmp_path / f"g{len(list(tmp_path.iterdir()))}", groups)
    return list(make_examples(data, recipe, **options))


RIGHT = make_answer(reward=1)
WRONG = make_answer(reward=0)
REPAIRED = make_answer(
    reward=0, mask=[False, True, False, True], repair=[9, 8, 7], new=[True, False, True]
)


def test_a_group_as_trl_scales_it(tmp_path: Path) -> None:
    """Mean .5, unbiased deviation sqrt(1/3), 1e-4 added: as `rewards.std(dim=1) + 1e-4` in TRL."""
    found = make(tmp_path, [[RIGHT, WRONG, RIGHT, WRONG]], "grpo")
    size = 0.5 / (math.sqrt(1 / 3) + 1e-4)
    assert [e.advantages[0] for e in found] == pytest.approx([size, -size, size, -size])


def test_a_repair_pushes_up_by_what_its_answer_pulls_down(tmp_path: Path) -> None:
    right, failed, repair = make(tmp_path, [[RIGHT, REPAIRED]])
    size = 0.5 / (math.sqrt(0.5) + 1e-4)
    assert right.advantages.tolist() == pytest.approx([size] * 4)
    assert failed.advantages.tolist() == pytest.approx([0, -size, 0, -size])
    assert repair.advantages.tolist() == pytest.approx([size, 0, size])
    assert (failed.divisor, repair.divisor) == (4, 0)
    assert (failed.loss, repair.loss) == ("ratio", "likelihood")
    assert repair.ids.tolist() == [9, 8, 7]
    assert (repair.text, repair.reward) == ("9 8 7", 1.0)
    assert repair.trajectory_id == failed.trajectory_id
    assert (right.images, right.prompt_id) == ([{"bytes": b"picture 0", "path": None}], "p0000")


def test_an_all_wrong_group_learns_from_its_repairs_alone(tmp_path: Path) -> None:
    group = [REPAIRED, WRONG, WRONG]
    (repair,) = make(tmp_path, [group])
    assert repair.kind == "repair"
    assert repair.advantages.tolist() == [1, 0, 1]
    assert make(tmp_path, [group], RECIPES["df+repair"].change(all_wrong=0.0)) == []
    assert make(tmp_path, [group], "grpo") == []


@pytest.mark.parametrize("group", [[RIGHT], [WRONG], [RIGHT, RIGHT], [WRONG] * 3, []])
def test_dead_groups_give_nothing_and_are_counted(tmp_path: Path, group: Any) -> None:
    data = write_groups(tmp_path / "g", [group, [RIGHT, WRONG]])
    examples = make_examples(data, say=None)
    assert [e.prompt_id for e in examples] == ["p0001", "p0001"]
    assert examples.summary.groups == 2
    assert examples.summary.used == 1
    assert sum(examples.summary.left_out.values()) == len(group)


@pytest.mark.parametrize("reward", [0.1, 0.3, 0.7, 1.1])
def test_equal_rewards_are_exactly_level(tmp_path: Path, reward: float) -> None:
    """The mean of three times .1 is not .1 in floating point; its remainder is no signal."""
    group = [make_answer(reward=reward)]
    assert make(tmp_path, [group * n for n in range(1, 40)], "grpo") == []


def test_an_undecided_answer_moves_no_baseline(tmp_path: Path) -> None:
    unread = make_answer(reward=0, mask=[False] * 4, undecided=True)
    with_it = make(tmp_path, [[RIGHT, WRONG, unread]], "grpo")
    without = make(tmp_path, [[RIGHT, WRONG]], "grpo")
    assert [e.advantages.tolist() for e in with_it] == [e.advantages.tolist() for e in without]


def test_a_mask_never_pushes_up_what_a_repair_changed(tmp_path: Path) -> None:
    """A wrong answer worth .5 is better than the mean of its group; its mistakes are not."""
    worth = {**REPAIRED, "reward": 0.5}
    group = [worth, WRONG, WRONG, RIGHT]
    found = make(tmp_path, [group])
    assert {e.trajectory_id for e in found} == {"p0000-1", "p0000-2", "p0000-3"}
    by_grpo = make(tmp_path, [group], "grpo")
    assert by_grpo[0].advantages.tolist() == pytest.approx([by_grpo[0].advantages[0]] * 4)
    assert by_grpo[0].advantages[0] > 0


def test_a_mask_that_is_empty_carries_nothing(tmp_path: Path) -> None:
    empty = {**REPAIRED, "loss_mask": [False] * 4, "repair_mask": [False] * 3}
    examples = make_examples(write_groups(tmp_path / "g", [[RIGHT, empty]]), "df+repair", say=None)
    assert [e.kind for e in examples] == ["right"]
    assert examples.summary.left_out == {
        "answers: their mask is empty": 1,
        "repairs: nothing in them is new": 1,
    }


def test_a_weight_that_is_not_known_counts_in_full(tmp_path: Path) -> None:
    soft = {**REPAIRED, "loss_mask": [True] * 4, "weights": [0.5, math.nan, 0.0, 1.0]}
    plain = {**REPAIRED, "loss_mask": [True] * 4}
    recipe = RECIPES["df"].change(weights=True)
    _, one, other = make(tmp_path, [[RIGHT, soft, plain]], recipe)
    pull = other.advantages[0]
    assert other.advantages.tolist() == [pull] * 4
    assert one.advantages.tolist() == pytest.approx([pull / 2, pull, 0, pull])


def test_copies_count_each_or_once(tmp_path: Path) -> None:
    group = [RIGHT, REPAIRED, REPAIRED, {**REPAIRED, "repair_ids": [1, 2, 3]}]
    each = make(tmp_path, [group, group])
    once = make(tmp_path, [group, group], RECIPES["df+repair"].change(copies="once"))
    assert [e.trajectory_id for e in each if e.kind == "repair"] == [
        f"p000{g}-{i}" for g, i in itertools.product(range(2), (1, 2, 3))
    ]
    assert [e.trajectory_id for e in once if e.kind == "repair"] == [
        f"p000{g}-{i}" for g, i in itertools.product(range(2), (1, 3))
    ]


def test_the_copy_that_counts_is_one_that_pushes(tmp_path: Path) -> None:
    """The first answer with this repair is better than the mean, and its repair has no factor."""
    group = [{**REPAIRED, "reward": 0.5}, REPAIRED, WRONG, RIGHT]
    found = make(tmp_path, [group], RECIPES["df+repair"].change(copies="once"))
    assert [e.trajectory_id for e in found if e.kind == "repair"] == ["p0000-1"]


def test_sft_takes_right_answers_of_every_group(tmp_path: Path) -> None:
    found = make(tmp_path, [[RIGHT, RIGHT], [REPAIRED, WRONG]], "sft")
    assert [e.kind for e in found] == ["right", "right", "repair"]
    assert all(e.loss == "likelihood" and (e.advantages == 1).all() for e in found)
    assert [e.divisor for e in found] == [len(e.ids) for e in found]
    without = RECIPES["sft"].change(all_wrong=0.0)
    assert make(tmp_path, [[REPAIRED, WRONG]], without) == []
    assert [e.kind for e in make(tmp_path, [[REPAIRED, RIGHT]], without)] == ["repair", "right"]


@pytest.mark.parametrize("bad", [[-1.0, math.nan, -1.0, -1.0], [-1.0, None, -1.0, -1.0], None])
def test_an_unknown_logprob_is_never_passed_on(tmp_path: Path, bad: Any) -> None:
    data = write_groups(tmp_path / "g", [[{**RIGHT, "logprobs": bad}, WRONG]])
    examples = make_examples(data, "grpo", say=None)
    right, wrong = examples
    assert right.old_logprobs is None
    assert wrong.old_logprobs is not None
    assert examples.unknown_logprobs == 1


def test_scored_logprobs_stand_in_for_missing_ones(tmp_path: Path) -> None:
    scored = [-0.1, -0.2, -0.3, -0.4]
    answer = {**RIGHT, "logprobs": None, "scored_logprobs": scored}
    right, wrong = make(tmp_path, [[answer, {**WRONG, "scored_logprobs": scored}]], "grpo")
    assert right.old_logprobs.tolist() == pytest.approx(scored)
    assert wrong.old_logprobs.tolist() == [-0.5] * 4


def test_logprobs_of_repairs(tmp_path: Path) -> None:
    group = [RIGHT, {**REPAIRED, "repair_logprobs": [-0.1, -0.2, -0.3]}]
    repair = make(tmp_path, [group], "grpo+repair")[-1]
    assert repair.old_logprobs.tolist() == pytest.approx([-0.1, -0.2, -0.3])
    assert repair.loss == "ratio"
    assert make(tmp_path, [[RIGHT, REPAIRED]], "grpo+repair")[-1].old_logprobs is None


def test_truncated_answers_count_as_graded_and_are_told(tmp_path: Path) -> None:
    said: list[str] = []
    cut = {**WRONG, "finish_reason": "length"}
    found = make(tmp_path, [[RIGHT, cut]], "grpo", say=said.append)
    assert [e.finish_reason for e in found] == ["stop", "length"]
    assert "1 answers were cut off at the token limit" in said[0]
    assert len(said) == 1


def test_examples_can_be_pickled_for_workers(tmp_path: Path) -> None:
    examples = make_examples(write_groups(tmp_path / "g", [[RIGHT, REPAIRED]]), say=None)
    again = pickle.loads(pickle.dumps(examples))
    assert [e.trajectory_id for e in again] == [e.trajectory_id for e in examples]


def test_arrays_can_be_written_and_share_nothing(tmp_path: Path) -> None:
    """torch.from_numpy warns of read-only arrays."""
    right, failed, repair = make(tmp_path, [[RIGHT, REPAIRED]])
    for example in (right, failed, repair):
        for array in (example.ids, example.advantages, example.loss_mask):
            array[:] = 0
    assert right.old_logprobs is not None
    right.old_logprobs[:] = 0
    assert failed.old_logprobs is not None
    assert failed.old_logprobs.all()


def test_pictures_are_left_out_on_wish(tmp_path: Path) -> None:
    assert all(e.images == [] for e in make(tmp_path, [[RIGHT, WRONG]], with_images=False))


def test_groups_come_whole(tmp_path: Path) -> None:
    data = write_groups(tmp_path / "g", [[RIGHT, REPAIRED], [RIGHT], [WRONG, RIGHT]], row_group=1)
    groups = list(make_examples(data, say=None).iter_groups())
    assert [[e.trajectory_id for e in group] for group in groups] == [
        ["p0000-0", "p0000-1", "p0000-1"],
        ["p0002-0", "p0002-1"],
    ]
