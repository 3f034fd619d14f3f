"""The page as `dfgen view` serves it: all rows, live, marks beside the run."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dfgen.stages.mask.stage import run_masking
from dfgen.stages.session import Session
from dfgen.store.finished import open_finished
from dfgen.store.run import Run
from tests.report.browser.barriers import find_barriers
from tests.support import hostile_run
from tests.support.sample_run import make_run
from tests.view.serving import serve

if TYPE_CHECKING:
    from tests.support.browser import Browser

pytestmark = pytest.mark.browser

SHOWN = "decodeURIComponent(location.hash.slice(1).split('&')[0])"


@pytest.fixture
def root(served_root: Path) -> Path:
    return served_root


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
    prompt_id = ids[-1].rpartition("-")[0]
    for place in range(4):
        browser.run(f"document.querySelectorAll('.group .mark')[{place}].click()")
        browser.wait_for(f"{SHOWN} === '{prompt_id}-{place}'")
        current = "document.querySelectorAll('.group .mark')[{}].getAttribute('aria-current')"
        browser.wait_for(f"{current.format(place)} === 'true'")
        browser.run(f"document.querySelectorAll('.glance ol .member')[{3 - place}].click()")
        browser.wait_for(f"{SHOWN} === '{prompt_id}-{3 - place}'")
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


def test_rows_appear_as_shards_are_masked(
    browser: Browser, root: Path, marks: Path, tmp_path: Path
) -> None:
    """The mask stage itself at work on a run that the page is open on, shard by shard."""
    working = shutil.copytree(root, tmp_path / "working")
    shutil.rmtree(working / "masks")
    run = Run.open_or_create(working, None)
    pipeline = open_finished(working).pipeline
    with serve(marks, working) as address, run.lock(), closing(Session(run, pipeline)) as session:
        browser.driver.get(address)
        browser.wait_for("document.documentElement.dataset.ready === 'true'")
        assert "No masks yet" in browser.texts("#list")[0]
        rows = 0
        for shard in (2, 0, 1):
            run_masking(session, [shard])
            rows += run.table("masks").num_rows(shard)
            browser.wait_for(f"document.getElementById('count').textContent.startsWith('{rows} ')")
        assert rows == len(list_ids(root))
        browser.wait_for("document.getElementById('served').textContent === ''")
        browser.press("j")
        browser.wait_for("document.querySelector('#view .sides') !== null")
        browser.press("o")
        browser.wait_for("document.querySelectorAll('.chart').length >= 9")


def test_a_search_that_fails_says_so(browser: Browser, root: Path, marks: Path) -> None:
    with serve(marks, root) as address:
        browser.visit(address)
    browser.press("/")
    browser.press("counting")
    browser.wait_for("document.getElementById('count').textContent.includes('search failed')")


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


def test_hostile_runs_are_compared_as_texts(
    browser: Browser, root: Path, marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of folders, prompts, answers of both runs try to be markup."""
    attack = "</script><img src=x onerror=window.hit=1><a href=javascript:window.hit=1>x</a>"
    monkeypatch.setattr(hostile_run, "POISON", attack)
    folders = [tmp_path / f"{name} <img src=x onerror=window.hit=1>'\"" for name in "ab"]
    for folder in folders:
        shutil.copytree(root, folder)
        hostile_run.poison_run(folder)
    with serve(marks, *folders) as address:
        browser.visit(address)
        browser.click("#to-comparison")
        browser.wait_for("document.documentElement.dataset.compared === 'true'")
        assert folders[1].name in browser.texts("#comparison h1")[0]
        assert browser.run("window.hit") is None
        assert browser.run("document.querySelectorAll('#comparison img').length") == 0
        assert browser.run(
            "[...document.querySelectorAll('#comparison a')].every((a) => a.protocol === 'http:')"
        )
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
        for width, dark in ((1440, False), (1440, True), (390, True)):
            browser.resize(width, 900, dark=dark)
            assert find_barriers(browser) == []
            assert browser.run("document.documentElement.scrollWidth") <= width
        browser.save_screenshot(shots / "comparison-phone.png")
        browser.resize(1440, 900)
        browser.click(".changes a")
        browser.wait_for("location.pathname.endsWith('/1/')")
