"""The page as `dfgen view` serves it: all rows, live, marks beside the run."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dfgen.store.finished import open_finished
from tests.support import hostile_run
from tests.support.sample_run import make_run
from tests.view.serving import serve

if TYPE_CHECKING:
    from tests.support.browser import Browser

pytestmark = pytest.mark.browser

SHOWN = "decodeURIComponent(location.hash.slice(1).split('&')[0])"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("served") / "run", prompts=120, samples=4, seed=5)


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "marks.jsonl"


@pytest.fixture
def address(root: Path, marks: Path) -> Iterator[str]:
    with serve(marks, root) as address:
        yield address


def list_ids(root: Path) -> list[str]:
    rows = open_finished(root).run.table("masks").iter_rows(columns=["trajectory_id"])
    return [row["trajectory_id"] for row in rows]


def test_all_rows_are_there_and_every_mark_opens_its_own(
    browser: Browser, address: str, root: Path, shots: Path
) -> None:
    ids = list_ids(root)
    browser.visit(f"{address}#{ids[-1]}")
    assert browser.run(SHOWN) == ids[-1]
    assert browser.texts("#count")[0] == f"{len(ids)} trajectories"
    assert browser.run("document.querySelectorAll('.group .mark.away').length") == 0
    browser.click(".group .mark:not([aria-current])")
    browser.wait_for(f"{SHOWN} !== {ids[-1]!r}")
    assert browser.run(SHOWN) in ids
    browser.wait_for("document.querySelector('.pictures img').naturalWidth > 0")
    browser.save_screenshot(shots / "served.png")
    browser.press("z")
    browser.wait_for("document.querySelector('#zoom img')?.naturalWidth === 64")
    browser.press("z")
    browser.press("o")
    browser.wait_for("document.querySelectorAll('.chart').length >= 9")
    browser.visit(f"{address}#no-such-row")
    assert browser.texts("#view .missing")
    assert browser.read_console() == []


def test_a_search_asks_the_server(browser: Browser, address: str) -> None:
    browser.visit(address)
    browser.press("/")
    browser.press("counting GIVES yellow")
    browser.wait_for("/^\\d+ of 4/.test(document.getElementById('count').textContent)")
    assert "text=counting%20GIVES%20yellow" in browser.run("location.hash")


def test_marks_stand_beside_the_run(browser: Browser, address: str, marks: Path) -> None:
    browser.visit(address)
    name = browser.run(SHOWN)
    browser.press("1")
    browser.press("3")
    browser.press("n")
    browser.press("looks right\t")
    browser.wait_for("document.querySelector('.judging textarea').value === 'looks right'")
    browser.visit(address + "#overview")
    browser.wait_for("document.getElementById('marks-panel').textContent.includes('1 trajectory')")
    last = json.loads(marks.read_text("utf-8").splitlines()[-1])
    assert last["trajectory_id"] == name
    assert (last["mask"], last["grade"], last["note"]) == (
        "good_mask",
        "wrong_grade",
        "looks right",
    )
    assert last["by"] == "ada"


def test_rows_come_while_the_run_works(
    browser: Browser, root: Path, marks: Path, tmp_path: Path
) -> None:
    growing = tmp_path / "growing"
    shutil.copytree(root, growing)
    late = growing / "masks" / "part-00002.parquet"
    late.rename(tmp_path / "later.parquet")
    with serve(marks, growing) as address:
        browser.visit(address)
        before = browser.run("Number.parseInt(document.getElementById('count').textContent)")
        shown = browser.run(SHOWN)
        assert "2 of 3 shards" in browser.texts("#served")[0]
        (tmp_path / "later.parquet").rename(late)
        browser.wait_for(
            f"Number.parseInt(document.getElementById('count').textContent) > {before}"
        )
        assert browser.run(SHOWN) == shown
        assert browser.texts("#served")[0] == ""


def test_a_hostile_run_is_only_texts(
    browser: Browser, root: Path, marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "odd <img src=x onerror=window.hit=1> name"
    shutil.copytree(root, odd)
    attack = f"</script><img src=x onerror=window.hit=1>{hostile_run.POISON}"
    monkeypatch.setattr(hostile_run, "POISON", attack)
    hostile_run.poison_run(odd)
    with serve(marks, odd) as address:
        browser.visit(address)
        for key in ("j", "g", "\ue00c", "j", "z", "\ue00c", "o", "o", "j"):
            browser.press(key)
        browser.visit(address + "#<img src=x onerror=window.hit=1>&text=<script>&sort=__proto__")
        assert browser.run("window.hit") is None
        assert browser.run("document.querySelectorAll('#view script, #view iframe').length") == 0
        assert browser.read_console() == []


def test_two_runs_are_compared(
    browser: Browser, root: Path, marks: Path, tmp_path: Path, shots: Path
) -> None:
    """The same questions, answered by a policy with another seed: figures by hand beside it."""
    other = make_run(tmp_path / "after", prompts=120, samples=4, seed=5)
    table = open_finished(other).run.table("masks")
    rows = list(table.iter_rows(0))
    changed = [row for row in rows if row["mask_source"] == "outcome"]
    for row in changed:
        row |= {"mask_source": "correct", "reward": 1.0}
    table._guard = None
    table.write(0, rows)
    with serve(marks, root, other) as address:
        browser.visit(address)
        browser.click("#to-comparison")
        browser.wait_for("document.documentElement.dataset.compared === 'true'")
        cells = browser.texts("#comparison table:first-of-type tbody tr:first-child td")
        groups: dict[str, list[int]] = {}
        for run, sign in ((root, -1), (other, 1)):
            found = open_finished(run).run.table("masks")
            for row in found.iter_rows(columns=["prompt_id", "mask_source"]):
                right = sign * (row["mask_source"] == "correct")
                groups.setdefault(row["prompt_id"], []).append(right)
        sizes = {name: len(values) / 2 for name, values in groups.items()}
        differences = [sum(values) / sizes[name] for name, values in groups.items()]
        middle = sum(differences) / len(differences)
        spread = statistics.stdev(differences) / len(differences) ** 0.5
        ends = [f"+{100 * (middle + z * spread):.1f} %" for z in (-1.96, 1.96)]
        assert cells[3] == f"+{100 * middle:.1f} %"
        assert cells[4] == " to ".join(ends)
        moved = browser.texts("#comparison table tr:nth-child(2) td:nth-child(4)")
        assert str(len(changed)) in moved
        browser.save_screenshot(shots / "comparison.png")
        assert browser.read_console() == []
        browser.click(".changes a")
        browser.wait_for("location.pathname.endsWith('/1/')")
