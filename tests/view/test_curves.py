"""Learning curves in the page of a run, from disk and as it is served."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfgen.report.curves import read_curves
from dfgen.view.viewed_run import ViewedRun
from tests.support.scripted_runs import invoke


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    path = tmp_path / "curves.parquet"
    pq.write_table(pa.table({"curve": ["df", "df"], "step": [0, 1], "value": [0.25, 0.5]}), path)
    return path


def test_a_served_run_has_the_curves_among_its_figures(viewed_root: Path, curves: Path) -> None:
    numbers = ViewedRun(viewed_root, read_curves(curves)).read_numbers()
    assert numbers["curves"][0]["curves"][0]["points"][1][:2] == [1.0, 0.5]
    assert "groups" in numbers
    assert "curves" not in ViewedRun(viewed_root).read_numbers()


def test_a_report_has_them_and_a_bad_file_is_refused_first(
    viewed_root: Path, curves: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    command = ["report", viewed_root, "--out", page, "--curves", curves]
    invoke(*command)
    head = page.read_text("utf-8").partition('<script type="application/json" id="head">')[2]
    numbers = json.loads(head.partition("</script>")[0])["numbers"]
    assert [curve["name"] for curve in numbers["curves"][0]["curves"]] == ["df"]
    page.unlink()
    curves.write_bytes(b"no Parquet")
    assert "it cannot be read as Parquet" in invoke(*command, code=1).output
    assert not page.exists()
