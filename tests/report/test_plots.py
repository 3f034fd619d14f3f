from __future__ import annotations

import io
from pathlib import Path

import PIL.Image

from dfgen.report.plots import WIDTH, draw_plots
from dfgen.report.stats import collect_numbers
from dfgen.store.finished import open_finished


def test_plots_are_small_pictures_and_always_the_same(sample_run: Path) -> None:
    numbers = collect_numbers(open_finished(sample_run))
    plots = draw_plots(numbers)
    expected = {"pass_rate", "mask_by_position", "edit_ratio", "step_roles", "attempts", "rejects"}
    assert set(plots) == expected
    assert plots == draw_plots(numbers)
    for data in plots.values():
        assert len(data) < 40_000
        with PIL.Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.width) == ("PNG", 2 * WIDTH)
            assert len(picture.convert("RGB").getcolors(100_000) or ()) > 3


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw_plots({"run": "r", "counts": {}, "rejects": {}}) == {}


def test_long_names_are_cut() -> None:
    assert set(draw_plots({"rejects": {"repair": {"r" * 200: 1}}})) == {"rejects"}
