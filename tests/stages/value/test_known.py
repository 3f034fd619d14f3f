"""The stage as a whole against a policy whose values are known: it finishes what was begun.

A beginning of any accepted repair of the prompt it carries on as that repair goes on, so it ends
right; any other beginning as a wrong answer goes on. So V is 1 on repairs, and along a wrong answer
1 up to where it leaves the repairs, 0 from there on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dfgen.engines.base import Engine, EngineInfo, FinishReason, Request, Result
from dfgen.stages.value.blame import find_runs
from dfgen.stages.value.summary import measure_run
from dfgen.store.run import Run
from tests.stages.score.running import read
from tests.stages.value.test_stage import value_all

Ids = tuple[int, ...]


class KnownPolicy:
    """Carries on with the rest of a repair or else of a wrong answer of the same prompt."""

    def __init__(self, root: Path, engine: Engine, finish: FinishReason = "stop") -> None:
        self.info: EngineInfo = engine.info
        self.finish = finish
        self.repairs: dict[str, list[Ids]] = {}
        self.wrong: dict[str, list[Ids]] = {}
        self.given: dict[str, set[Ids]] = {}
        for row in read(root, "masks").values():
            if row["mask_source"] == "repair":
                self.repairs.setdefault(row["prompt_id"], []).append(tuple(row["repair_ids"]))
                self.wrong.setdefault(row["prompt_id"], []).append(tuple(row["completion_ids"]))

    def value(self, prompt: str, begun: Ids) -> float:
        """V, as far as no answer is whole."""
        return float(any(begun == ids[: len(begun)] for ids in self.repairs[prompt]))

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        for request in requests:
            prompt, begun = request.key.partition("/")[0], tuple(request.prefix_ids)
            self.given.setdefault(prompt, set()).add(begun)
            known = [*self.repairs[prompt], *self.wrong[prompt]]
            rest = next(ids[len(begun) :] for ids in known if begun == ids[: len(begun)])
            yield [Result(request.key, "?", rest, None, self.finish)]

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(scope="module")
def valued(
    drawn: Path, policy: Engine, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, KnownPolicy, dict[str, dict[str, Any]]]:
    import shutil

    root = Path(shutil.copytree(drawn, tmp_path_factory.mktemp("known") / "run"))
    known = KnownPolicy(root, policy)
    return value_all(root, known, repaired="all"), known, read(root, "values")


def test_values_fall_where_the_answer_leaves_its_repairs(valued: Any) -> None:
    run, policy, values = valued
    masks = read(run.root, "masks")
    assert len(values) > 4
    for key, row in values.items():
        mask = masks[key]
        ids = {"wrong": tuple(mask["completion_ids"]), "repair": tuple(mask["repair_ids"])}
        for point in row["value_points"]:
            begun = ids[point["side"]][: point["index"]]
            if begun == ids["wrong"]:
                assert (point["draws"], point["value"]) == (0, 0.0)
            elif begun == ids["repair"]:
                assert (point["draws"], point["value"]) == (0, 1.0)
            else:
                assert point["value"] == policy.value(row["prompt_id"], begun)
                assert begun in policy.given[row["prompt_id"]]


def test_hunks_have_the_values_of_their_own_ends(valued: Any) -> None:
    """Before is before it, wrong is after it, repaired is after its right side: no other three."""
    run, policy, values = valued
    masks, hunks = read(run.root, "masks"), 0
    for key, row in values.items():
        mask, points = masks[key], {(p["side"], p["index"]): p for p in row["value_points"]}
        for hunk, value in zip(json.loads(mask["hunks"]), row["hunk_values"], strict=True):
            if not hunk["in_mask"]:
                continue
            hunks += 1
            start, end = value["start"], value["end"]
            assert mask["loss_mask"][start] and mask["loss_mask"][end - 1]
            assert [start, end] == hunk["wrong_tokens"] or hunk["wrong_tokens"][0] >= start
            right_end = hunk["right_tokens"][1]
            assert value["value_before"] == points["wrong", start]["value"]
            assert value["value_wrong"] == points["wrong", end]["value"]
            assert value["value_repaired"] == points["repair", right_end]["value"] == 1.0
            assert value["value_drop"] == value["value_before"] - value["value_wrong"]
            assert value["value_gain"] == value["value_repaired"] - value["value_wrong"]
            begun = tuple(mask["repair_ids"][:right_end])
            assert begun in policy.given[row["prompt_id"]] or right_end == len(mask["repair_ids"])
        # Nothing changes before the first hunk, and what it changes is where the answer leaves.
        first = next(v for v in row["hunk_values"] if v["start"] is not None)
        assert first["value_before"] == 1.0, key
    assert hunks > len(values)


def test_figures_of_known_values(valued: Any) -> None:
    """All of the success goes at the first change: whatever holds that run holds all of it."""
    run, policy, values = valued
    told = measure_run(run)
    assert told is not None
    masks = read(run.root, "masks")
    lost = []
    for key, row in values.items():
        prompt, ids = row["prompt_id"], tuple(masks[key]["completion_ids"])
        v = [policy.value(prompt, ids[:t]) for t in range(len(ids))] + [0.0]
        runs = find_runs(masks[key]["loss_mask"])
        lost.append(sum(v[a] - v[b] for a, b in runs))
    assert told["value_start"] == 1.0
    assert told["dfgen"]["capture"]["estimate"] == pytest.approx(sum(lost) / len(lost))
    assert told["dfgen"]["capture"]["estimate"] > 0.9
    assert told["suffix"]["capture"] == {"estimate": 1.0, "low": 1.0, "high": 1.0}
    density = sum(sum(masks[key]["loss_mask"]) for key in values)
    density /= sum(len(masks[key]["loss_mask"]) for key in values)
    assert told["dfgen"]["density"] == pytest.approx(density)
    lift = told["dfgen"]["capture"]["estimate"] / density
    assert told["dfgen"]["lift"]["estimate"] == pytest.approx(lift)
    for name in ("lowest_logprob", "random"):
        own = told["dfgen"]["capture"]["estimate"] - told[name]["capture"]["estimate"]
        assert told[name]["density"] == pytest.approx(density), "at equal count"
        assert told[name]["own_minus_this"]["estimate"] == pytest.approx(own)
    assert told["random"]["own_minus_this"]["low"] > 0
    # What the first hunk's repair wins back is all of what is not there after the wrong tokens.
    gains = [next(v for v in r["hunk_values"] if v["start"] is not None) for r in values.values()]
    mean = sum(1 - v["value_wrong"] for v in gains) / len(gains)
    assert told["repair_gain"]["estimate"] == pytest.approx(mean) and mean > 0.5
    share = sum(v["value_wrong"] < 1 for v in gains) / len(gains)
    assert told["gains_above_0_share"] == pytest.approx(share)


def test_what_is_cut_off_is_not_right(root: Path, policy: Engine) -> None:
    """As with answers that are drawn: whatever a text says that never ended."""
    value_all(root, KnownPolicy(root, policy, finish="length"), controls=False, draws=1)
    for row in read(root, "values").values():
        assert row["value_start"] == 0
        assert all(p["value"] == 0 for p in row["value_points"] if p["draws"])
