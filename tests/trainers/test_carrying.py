"""Divisors of answers without a gradient go to rows that have one, and none is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.trainers.carrying import carry_divisors
from dfgen.trainers.examples import make_examples
from tests.support.group_files import make_answer, write_groups

answers = st.builds(
    lambda size, reward, repaired: make_answer(
        ids=range(1, size + 1),
        reward=reward,
        mask=[True] + [False] * (size - 1),
        repair=[7, 8, 9] if repaired and reward < 1 else None,
        new=[False, True, False] if repaired and reward < 1 else None,
    ),
    size=st.integers(1, 9),
    reward=st.sampled_from([0.0, 1.0]),
    repaired=st.booleans(),
)


@pytest.mark.parametrize("recipe", ["grpo", "df", "df+repair"])
@settings(max_examples=25)
@given(groups=st.lists(st.lists(answers, min_size=1, max_size=5), min_size=1, max_size=4))
def test_no_divisor_is_lost(
    recipe: str, groups: list[list[dict[str, object]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder: Path = write_groups(tmp_path_factory.mktemp("groups"), groups)
    for group in make_examples(folder, recipe, keep_zero=True, say=None).iter_groups():
        carried = carry_divisors(group)
        kept = [example for example in group if example.advantages.any()]
        assert [example for example, _ in carried] == kept
        if kept:
            assert sum(divisor for _, divisor in carried) == sum(each.divisor for each in group)


def test_a_repair_has_the_divisor_of_its_answer_where_all_are_wrong(tmp_path: Path) -> None:
    wrong = make_answer(ids=range(1, 8), reward=0, repair=[3, 4], new=[True, False])
    plain = make_answer(ids=range(1, 6), reward=0)
    folder = write_groups(tmp_path / "groups", [[wrong, plain]])
    examples = make_examples(folder, "df+repair", keep_zero=True, say=None)
    ((carried,),) = [carry_divisors(group) for group in examples.iter_groups()]
    assert carried[0].kind == "repair"
    assert carried[1] == 7 + 5
