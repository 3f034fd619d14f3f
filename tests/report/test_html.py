from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.errors import InputError, StorageError
from dfgen.report.embedding import hash_source
from dfgen.report.html import MOST_SENT, PACK_ROWS, PICTURE_BYTES, write_page, write_report
from dfgen.report.page_data import describe_details, name_model
from dfgen.report.samples import gather_samples
from dfgen.report.sent import SentTexts
from dfgen.report.view import build_view
from dfgen.store.finished import open_finished
from dfgen.store.run import Run
from tests.report.hostile import NUMBERS, describe_hostile_run, make_sample, make_samples
from tests.store.examples import make_pipeline
from tests.support.sample_run import make_run

PAGE = Path(__file__).parents[2] / "dfgen" / "report" / "page"


class Structure(HTMLParser):
    """What a browser would make of the page: elements, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)


@pytest.fixture(scope="module")
def page(sample_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "report.html"
    written = write_report(open_finished(sample_run), out)
    text = out.read_text("utf-8")
    assert (written.shown, written.total) == (56, 56)
    assert written.bytes == len(text.encode())
    return text


def read_head(page: str) -> dict[str, object]:
    (text,) = [text for attrs, text in Structure(page).scripts if attrs.get("id") == "head"]
    return json.loads(text)


def test_the_page_refers_to_nothing_outside(page: str) -> None:
    found = set(re.findall(r"\b(?:https?|wss?|ftp)://[^\s\"'`]*|//[\w.-]+\.\w+/", page))
    assert found <= {"http://www.w3.org/2000/svg"}  # a name of a namespace, never fetched
    for tag, attrs in Structure(page).elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert not {"src", "action", "style"} & attrs.keys()
        assert attrs.get("href", "#").startswith("#")
        assert not [name for name in attrs if name.startswith("on")]


def test_the_policy_allows_this_script_and_style_only(page: str) -> None:
    structure = Structure(page)
    (policy,) = [
        attrs["content"]
        for tag, attrs in structure.elements
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    (script,) = [text for attrs, text in structure.scripts if not attrs]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert policy is not None
    assert style is not None
    assert "default-src 'none'" in policy
    assert f"script-src {hash_source(script)};" in policy
    assert f"style-src {hash_source(style[1])};" in policy
    assert "unsafe" not in policy


def test_the_same_run_makes_the_same_page(page: str, sample_run: Path, tmp_path: Path) -> None:
    write_report(open_finished(sample_run), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text("utf-8") == page


def test_no_path_of_this_machine_is_in_the_page(page: str, sample_run: Path) -> None:
    assert str(sample_run.parent) not in page
    assert read_head(page)["run"]["name"] == "run"  # type: ignore[index]


def test_models_from_a_folder_go_by_their_last_name() -> None:
    assert name_model("/home/somebody/models/editor") == "editor"
    assert name_model("Qwen/Qwen2.5-VL-7B-Instruct") == "Qwen/Qwen2.5-VL-7B-Instruct"
    sample = make_sample("text", 0)
    sample.repair["model"] = "/home/somebody/editor"  # type: ignore[index]
    assert describe_details(sample, build_view(sample.mask))["repair"]["model"] == "editor"


def test_who_found_an_edit_needed_is_told() -> None:
    sample = make_sample("text", 0)
    view = build_view(sample.mask)
    first = view.hunks[0]["wrong_bytes"]
    sample.repair["necessity"] = [  # type: ignore[index]
        {
            "start": first[0],
            "end": first[1],
            "needed": False,
            "decided_by": "model",
            "weight": 0.5,
            "attempt": None,
        }
    ]
    hunks = describe_details(sample, view)["hunks"]
    assert (hunks[0]["needed"], hunks[0]["neededBy"]) == (False, "model")
    assert all(hunk["needed"] is None for hunk in hunks[1:])


def test_rows_are_in_packs(page: str) -> None:
    packs = [
        attrs["id"]
        for attrs, _ in Structure(page).scripts
        if attrs.get("id", "").startswith("pack")
    ]
    assert packs == [f"pack-{number}" for number in range(-(-56 // PACK_ROWS))]


def test_hostile_texts_add_no_element() -> None:
    kinds = []
    for samples in (make_samples(), []):
        structure = Structure(write_page(samples, NUMBERS, describe_hostile_run()))
        kinds.append([tag for tag, attrs in structure.elements if attrs.get("type") is None])
    assert kinds[0] == kinds[1]
    text = write_page(make_samples(), NUMBERS, describe_hostile_run())
    assert "window.hit" not in re.sub(
        r'<script type="application/json".*?</script>', "", text
    ).replace("&lt;img src=x onerror=&#x27;window.hit = 1&#x27;&gt;", "")


def test_scripts_never_parse_markup_or_text_as_code() -> None:
    markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc"
    code = r"\beval\b|new Function|fetch\(|XMLHttpRequest|import\("
    for path in PAGE.glob("*.js"):
        assert not re.findall(f"{markup}|{code}", path.read_text("utf-8")), path.name


def test_page_files_stay_readable() -> None:
    for path in PAGE.iterdir():
        if path.suffix in (".js", ".css", ".html"):
            assert len(path.read_text("utf-8").splitlines()) <= 500, path.name


def read_colours(text: str, start: str) -> dict[str, str]:
    block = text[text.index(start) :]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block[: block.index("}")]))


def measure_contrast(one: str, other: str) -> float:
    """Ratio of relative luminances, as WCAG 2.2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_words_can_be_read_on_their_ground(theme: str) -> None:
    colours = read_colours((PAGE / "base.css").read_text("utf-8"), theme)
    pairs = [("ink", ground) for ground in ("paper", "sheet", "shade")]
    pairs += [("soft", ground) for ground in ("paper", "sheet", "shade")]
    pairs += [(word, f"{word}-wash") for word in ("wrong", "right", "moved", "form")]
    pairs += [("wrong", "paper"), ("right", "paper"), ("wrong", "sheet"), ("link", "paper")]
    for word, ground in pairs:
        assert measure_contrast(colours[word], colours[ground]) >= 4.5, (word, ground)


def test_both_dark_themes_are_the_same() -> None:
    text = (PAGE / "base.css").read_text("utf-8")
    switched = read_colours(text, ':root[data-theme="dark"] {')
    assert read_colours(text, ':root:not([data-theme="light"]) {') == switched


def test_command_writes_into_the_run_and_says_so(sample_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "r.html"
    result = CliRunner().invoke(cli, ["report", str(sample_run), "-o", str(out), "--limit", "9"])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert "9 of 56 trajectories" in result.stderr
    result = CliRunner().invoke(cli, ["report", str(sample_run), "--json"])
    facts = json.loads(result.stdout)
    assert facts["path"] == str(sample_run / "report.html")
    assert Path(facts["path"]).stat().st_size == facts["bytes"]
    Path(facts["path"]).unlink()


def test_a_run_without_masks_has_no_report(tmp_path: Path) -> None:
    Run.open_or_create(tmp_path / "run", make_pipeline())
    with pytest.raises(InputError, match="no masks yet"):
        write_report(open_finished(tmp_path / "run"), tmp_path / "report.html")


def test_an_unwritable_place_is_an_error_that_names_it(sample_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write it"):
        write_report(open_finished(sample_run), tmp_path / "file" / "report.html", 3)


@pytest.mark.slow  # 40 s: every photograph is encoded at many sizes until it fits
def test_two_hundred_with_photographs_stay_below_five_megabytes(tmp_path: Path) -> None:
    import PIL.Image

    from tests.support.pictures import encode

    noise = PIL.Image.effect_noise((400, 300), 60).convert("RGB")
    samples = []
    for number in range(200):
        sample = make_sample("a cat " * 300, number)
        noise.putpixel((0, 0), (number, 0, 0))
        sample.prompt["images"][0]["bytes"] = encode(noise, "JPEG", quality=90)  # type: ignore[index]
        samples.append(sample)
    run = {**describe_hostile_run(), "shown": 200}
    assert len(write_page(samples, NUMBERS, run).encode()) < 5_000_000


def test_a_full_report_stays_small_with_mathematics_and_without(tmp_path: Path) -> None:
    """200 trajectories with their requests; pictures count with all the room they may take, which
    is the cheap form of the test with photographs."""
    finished = open_finished(make_run(tmp_path / "run", prompts=25, samples=8))
    rows = finished.run.table("masks").iter_rows(columns=["trajectory_id"])
    names = {row["trajectory_id"] for row in rows}
    run = {**describe_hostile_run(), "shown": len(names)}
    library = (PAGE / "vendor" / "temml.min.js").read_text("utf-8")
    sizes = []
    for words in ("a cat and a dog ", r"so $\frac{3}{4} + x^2$ "):
        samples = list(gather_samples(finished, names, pictures=False))
        for sample in samples:
            sample.prompt.update(question=words * 60, images=[])  # type: ignore[attr-defined]
        page = write_page(samples, NUMBERS, run, SentTexts(finished, MOST_SENT))
        assert (library in page) is ("$" in words)
        sizes.append(len(page.encode()) + PICTURE_BYTES * 4 // 3)
    assert len(names) > 190
    assert sizes[0] < 5_000_000
    assert sizes[1] < 8_000_000
