"""What a person says of masks: taken back, kept, exported, scored, compared with another person."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dfgen.store.finished import open_finished
from tests.report.hostile import load_demo_tokenizer
from tests.support.sample_run import make_run
from tests.support.waiting import wait_until
from tests.view.serving import serve

if TYPE_CHECKING:
    from tests.support.browser import Browser

pytestmark = pytest.mark.browser

CATCH = (
    "(() => { window.saved = {}; HTMLAnchorElement.prototype.click = function () {"
    "window.saved[this.download] = this.href.split(',')[1]; }; })()"
)

# A token whose first blank stands outside the mark is drawn in two pieces.
GOLD = (
    "new Set([...document.querySelectorAll('.sides .gold')].map((each) => each.dataset.token)).size"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("judged") / "run", prompts=40, samples=4, seed=5)


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "marks.jsonl"


@pytest.fixture
def address(root: Path, marks: Path) -> Iterator[str]:
    with serve(marks, root) as address:
        yield address


def list_repaired(root: Path) -> list[dict[str, Any]]:
    rows = open_finished(root).run.table("masks").iter_rows()
    return [row for row in rows if row["mask_source"] == "repair"]


def read_marks(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_marks(path: Path, said: dict[str, str]) -> None:
    lines = [json.dumps({"trajectory_id": name, "mask": mask}) for name, mask in said.items()]
    path.write_text("".join(f"{line}\n" for line in lines))


def save(browser: Browser, button: str, name: str) -> str:
    """What a button of the overview offers as a download."""
    browser.run(CATCH)
    browser.run(f"document.getElementById({button!r}).click()")
    browser.wait_for(f"window.saved[{name!r}] !== undefined")
    return base64.b64decode(browser.run(f"window.saved[{name!r}]")).decode()


def test_marks_are_exported_as_rows(browser: Browser, address: str, marks: Path) -> None:
    browser.visit(address)
    for key in "1j2j3":
        browser.press(key)
        if key == "j":
            browser.wait_for("document.querySelector('.judging [aria-pressed=true]') === null")
    wait_until(lambda: marks.exists() and len(read_marks(marks)) == 3)
    browser.press("o")
    rows = [json.loads(line) for line in save(browser, "save-marks", "marks.jsonl").splitlines()]
    assert sorted(rows, key=lambda row: row["at"]) == sorted(
        read_marks(marks), key=lambda row: row["at"]
    )
    assert sorted((row["mask"] or row["grade"]) for row in rows) == [
        "good_mask", "wrong_grade", "wrong_mask",
    ]  # fmt: skip


def test_labels_are_what_the_benchmark_scores_masks_against(
    browser: Browser, root: Path, marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks that were called good score as exact; of a corrected one the picked tokens count."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import mask_quality
    from mask_methods import METHODS

    repaired = list_repaired(root)
    good, corrected = repaired[:6], repaired[6]
    token = next(i for i, masked in enumerate(corrected["loss_mask"]) if not masked)
    write_marks(marks, {row["trajectory_id"]: "good_mask" for row in good})
    with marks.open("a") as file:
        name = corrected["trajectory_id"]
        line = {"trajectory_id": name, "mask": "wrong_mask", "tokens": [token]}
        file.write(json.dumps(line) + "\n")
    with serve(marks, root) as address:
        browser.visit(f"{address}#overview")
        browser.wait_for("document.getElementById('save-labels') !== null")
        text = save(browser, "save-labels", "labels.jsonl")
    (tmp_path / "labels.jsonl").write_text(text, "utf-8")
    labels = list(mask_quality.read_marked(tmp_path / "labels.jsonl", load_demo_tokenizer()))
    assert len(labels) == 7
    scores = {}
    for row in labels:
        score = mask_quality.Score()
        score.add(row, METHODS["dfgen default"])
        scores[row.id] = score.exact
    assert scores.pop(name) == 0
    assert list(scores.values()) == [1] * 6
    chosen = next(row for row in labels if row.id == name)
    assert (chosen.gold == 1).nonzero()[0].tolist() == [token]


def test_a_mark_is_taken_back_and_a_correction_with_it(
    browser: Browser, address: str, marks: Path, root: Path
) -> None:
    name = list_repaired(root)[0]["trajectory_id"]
    browser.visit(f"{address}#{name}")
    browser.press("1")
    browser.press("1")
    wait_until(lambda: marks.exists() and len(read_marks(marks)) == 2)
    assert [row["mask"] for row in read_marks(marks)] == ["good_mask", None]
    browser.press("e")
    before = browser.run(GOLD)
    browser.click(".sides .wrong .token:not(.gold)")
    browser.wait_for(f"{GOLD} === {before + 1}")
    wait_until(lambda: len(read_marks(marks)) == 3)
    picked = read_marks(marks)[-1]
    assert picked["mask"] == "wrong_mask"
    assert len(picked["tokens"]) == before + 1
    browser.press(" ")  # the token has the focus still: by key as by click
    browser.wait_for(f"{GOLD} === {before}")
    browser.press("2")
    wait_until(lambda: len(read_marks(marks)) == 5)
    assert (read_marks(marks)[-1]["mask"], read_marks(marks)[-1]["tokens"]) == (None, None)
    assert browser.run(GOLD) == before
    browser.press("e")
    browser.wait_for(f"{GOLD} === 0")


def test_marks_outlive_the_server_and_narrow_the_list(
    browser: Browser, root: Path, marks: Path
) -> None:
    names = [row["trajectory_id"] for row in list_repaired(root)[:2]]
    with serve(marks, root) as address:
        for name in names:
            browser.visit(f"{address}#{name}")
            browser.press("2")
            browser.wait_for(
                "document.querySelector('.judging [data-mark=wrong_mask][aria-pressed=true]')"
            )
        wait_until(lambda: marks.exists() and len(read_marks(marks)) == 2)
    with serve(marks, root) as address:
        browser.visit(f"{address}#{names[0]}&mark=wrong_mask")
        browser.wait_for("document.querySelectorAll('.item').length === 2")
        shown = browser.run("[...document.querySelectorAll('.item')].map((i) => i.dataset.id)")
        assert sorted(shown) == sorted(names)
        assert browser.run(
            "document.querySelector('.judging [data-mark=wrong_mask]').ariaPressed"
        ) == ("true")


def test_agreement_of_two_people_is_cohens_kappa(
    browser: Browser, root: Path, marks: Path, tmp_path: Path
) -> None:
    """The example of many textbooks: 20 and 15 of 50 alike, 5 and 10 not: kappa is 0.4."""
    rows = open_finished(root).run.table("masks").iter_rows(columns=["trajectory_id"])
    names = [row["trajectory_id"] for row in rows][:50]
    pairs = [("good", "good")] * 20 + [("good", "wrong")] * 5
    pairs += [("wrong", "good")] * 10 + [("wrong", "wrong")] * 15
    said = list(zip(names, pairs, strict=True))
    write_marks(marks, {name: f"{own}_mask" for name, (own, _) in said})
    other = tmp_path / "grace.jsonl"
    write_marks(other, {name: f"{theirs}_mask" for name, (_, theirs) in said})
    with serve(marks, root) as address:
        browser.visit(f"{address}#overview")
        browser.wait_for("document.getElementById('others') !== null")
        browser.wait_for(
            "document.getElementById('marks-panel').textContent.includes('50 trajectories marked')"
        )
        # The figures of the overview come in once more and would take the field away.
        browser.wait_for("document.querySelectorAll('.chart').length > 0")
        browser.driver.find_element("id", "others").send_keys(str(other))
        browser.wait_for("document.getElementById('agreement-said').textContent !== ''")
        (text,) = browser.texts("#agreement-said")
        assert "masks 0.40 (50 rows judged by both)" in text
        no_marks = tmp_path / "no-marks.jsonl"
        no_marks.write_text("{}\n")
        browser.driver.find_element("id", "others").send_keys(str(no_marks))
        browser.wait_for(
            "document.getElementById('agreement-said').textContent.includes('line 1 is no mark')"
        )
