"""Policy, repairer and trainer see the same pixels: in process, over HTTP, and in an export."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import PIL.Image
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dfgen
from dfgen.config.engine import OpenAIConfig, TransformersConfig
from dfgen.config.prompts import PromptsConfig
from dfgen.config.repair import RepairConfig
from dfgen.config.sample import SampleConfig
from dfgen.engines.base import ImageData, Request
from dfgen.engines.openai.payload import build_payload
from dfgen.engines.processor.pictures import decode_picture
from dfgen.errors import InputError, RunMismatchError
from dfgen.export.exporting import export_tables
from dfgen.export.pictures import show_column
from dfgen.pictures import VIEW
from dfgen.pictures.decode import decode_image
from dfgen.pictures.view import make_view
from dfgen.prompts.assembling import PromptAssembler
from dfgen.prompts.rows import SourceRow
from dfgen.records import Prompt
from dfgen.stages.repair.requests import Task
from dfgen.stages.sample.draws import make_requests
from dfgen.store.finished import open_finished
from dfgen.store.layout import STAGES
from dfgen.store.parquet import make_images_type
from dfgen.store.run import Run
from tests.pictures.making import KINDS, MODES, draw, files, try_encode
from tests.support import pictures
from tests.support.sample_run import make_pipeline, make_run

ODD = [
    *(
        data
        for kind in KINDS
        for mode in MODES
        if (data := try_encode(draw(mode, 5, (24, 16)), kind)) is not None
    ),
    *(pictures.make_oriented(number, kind) for number in range(1, 9) for kind in ("JPEG", "PNG")),
]


def make_prompt(data: list[bytes]) -> Prompt:
    """Take pictures in as a source's row has them."""
    config = PromptsConfig(path="x.parquet", images={"max_per_prompt": 200})
    row = SourceRow("x.parquet", 0, {"question": "How many?", "answer": "4", "images": data})
    return PromptAssembler(config).assemble(row)


def pick_pictures(request: Request) -> list[ImageData]:
    return [part for part in request.messages[-1].content if not isinstance(part, str)]


def read_payload(request: Request) -> list[PIL.Image.Image]:
    """Decode what a server is sent, as it does."""
    payload = json.loads(json.dumps(build_payload(OpenAIConfig(model="m"), request)))
    found = []
    for part in payload["messages"][-1]["content"]:
        if part["type"] == "image_url":
            head, _, body = part["image_url"]["url"].partition(",")
            picture = PIL.Image.open(io.BytesIO(base64.b64decode(body)))
            assert head == f"data:{PIL.Image.MIME[picture.format]};base64"
            found.append(picture.convert("RGB"))
    return found


def read_export(prompt: Prompt) -> list[PIL.Image.Image]:
    """Decode what the column `images` of an exported table holds, as a trainer does."""
    rows = [[image.model_dump() for image in prompt.images]]
    column = pa.chunked_array([pa.array(rows, make_images_type())])
    shown = show_column(column)
    [cells] = (column if shown is None else shown).to_pylist()
    return [PIL.Image.open(io.BytesIO(cell["bytes"])).convert("RGB") for cell in cells]


def fingerprint(picture: PIL.Image.Image) -> tuple[tuple[int, int], str, bytes]:
    return picture.size, picture.mode, picture.tobytes()


def check_sides(prompt: Prompt) -> None:
    [request] = make_requests(
        [prompt], SampleConfig(num_samples=1, max_tokens=8), 0, {f"{prompt.prompt_id}-0"}
    )
    sent = pick_pictures(request)
    expected = [fingerprint(decode_image(image.bytes)) for image in prompt.images]
    for part in sent:
        assert part.sha256 == hashlib.sha256(part.data).hexdigest()
    assert [fingerprint(decode_picture(part)) for part in sent] == expected
    assert [fingerprint(each) for each in read_payload(request)] == expected
    assert [fingerprint(each) for each in read_export(prompt)] == expected
    assert [size for size, _, _ in expected] == [
        (info.width, info.height) for info in prompt.image_info
    ]


@given(st.lists(files(), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_engine_server_and_export_agree(data: list[bytes]) -> None:
    prompt = make_prompt(data)
    check_sides(prompt)
    # The prompt itself is that of the original bytes.
    assert [image.bytes for image in prompt.images] == data
    assert [info.sha256 for info in prompt.image_info] == [
        hashlib.sha256(each).hexdigest() for each in data
    ]


def test_every_kind_of_picture_at_once() -> None:
    check_sides(make_prompt(ODD))


def test_the_engines_own_reader_has_these_pixels(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")
    from dfgen.engines.loading import load_engine
    from dfgen.engines.transformers.prompts import PreparedPrompt
    from tests.support.tiny_llava import write_tiny_llava

    model = write_tiny_llava(tmp_path / "llava")
    engine: Any = load_engine(TransformersConfig(model=str(model), device="cpu", dtype="float32"))
    prompt = make_prompt(ODD[::7])
    [request] = make_requests(
        [prompt], SampleConfig(num_samples=1, max_tokens=8), 0, {f"{prompt.prompt_id}-0"}
    )
    read = engine._reader.read(request)
    assert isinstance(read, PreparedPrompt)
    assert [fingerprint(each) for each in read.images] == [
        fingerprint(each) for each in read_export(prompt)
    ]


def test_the_vllm_reader_has_these_pixels_and_names_them_by_their_bytes() -> None:
    from dfgen.engines.processor.loading import ModelProcessor
    from dfgen.engines.vllm.prompts import VllmPrompt, VllmPromptReader

    class Processor:
        chat_template = "{{ messages }}"

        def apply_chat_template(self, *_: Any, **__: Any) -> str:
            return "text"

    class Tokenizer:
        bos_token = None

    reader = VllmPromptReader(
        ModelProcessor("m", None, Processor(), Tokenizer(), True, None, frozenset(), 9), 200
    )
    prompt = make_prompt(ODD)
    [request] = make_requests(
        [prompt], SampleConfig(num_samples=1, max_tokens=8), 0, {f"{prompt.prompt_id}-0"}
    )
    read = reader.read(request)
    assert isinstance(read, VllmPrompt)
    assert list(map(fingerprint, read.images)) == list(map(fingerprint, read_export(prompt)))
    views = [make_view(image.bytes) for image in prompt.images]
    assert list(read.uuids) == [view.sha256 for view in views]


def test_the_repairer_is_shown_what_the_policy_was() -> None:
    from dfgen.stages.repair.prompt import load_template
    from dfgen.stages.repair.requests import Repairer
    from tests.stages.repair.test_select import make as make_trajectory

    prompt = make_prompt(ODD)
    [request] = make_requests(
        [prompt], SampleConfig(num_samples=1, max_tokens=8), 0, {f"{prompt.prompt_id}-0"}
    )
    repairer = object.__new__(Repairer)
    repairer.config, repairer.seed = RepairConfig(), 0
    repairer.template = load_template(repairer.config)
    trajectory = make_trajectory(f"{prompt.prompt_id}-0", "It is 5.")
    asked = repairer.make_request(Task(trajectory, prompt))
    assert pick_pictures(asked) == pick_pictures(request)
    assert len(pick_pictures(asked)) == len(ODD)


def test_black_pictures_are_as_large_as_the_views() -> None:
    from dfgen.stages.score.black import blacken

    prompt = make_prompt([pictures.make_oriented(6), pictures.make_png(), ODD[0]])
    config = SampleConfig(num_samples=1, max_tokens=8, prompt="{images}{question}{images}")
    [request] = make_requests([prompt], config, 0, {f"{prompt.prompt_id}-0"})
    black = blacken(request.messages, prompt.image_info)
    assert black is not None
    shown = [part for part in black[-1].content if not isinstance(part, str)]
    sizes = [decode_image(part.data).size for part in pick_pictures(request)]
    assert [decode_image(part.data).size for part in shown] == sizes
    assert len(sizes) == 6


def test_a_plain_column_is_not_copied_and_an_odd_one_keeps_its_other_cells() -> None:
    plain, odd = pictures.make_png(1), pictures.make_transparent_png()
    kind = make_images_type()
    rows = [[{"bytes": plain, "path": "a.png"}], [], [{"bytes": plain, "path": None}]]
    column = pa.chunked_array([pa.array(rows, kind), pa.array(rows[1:], kind)])
    assert show_column(column) is None
    mixed = [[*rows[0], {"bytes": odd, "path": "dir/b.webp"}], [{"bytes": odd, "path": None}]]
    column = pa.chunked_array([pa.array(rows, kind), pa.array([[], *mixed], kind).slice(1)])
    shown = show_column(column)
    assert shown is not None
    view = make_view(odd).data
    assert shown.to_pylist() == [
        *rows,
        [*rows[0], {"bytes": view, "path": "dir/b.png"}],
        [{"bytes": view, "path": None}],
    ]


def test_pieces_of_a_column_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfgen.export.pictures._PIECE_BYTES", 300)
    odd = [{"bytes": pictures.make_transparent_png(), "path": None}]
    shown = show_column(pa.chunked_array([pa.array([odd] * 20, make_images_type())]))
    assert shown is not None
    assert shown.num_chunks > 3
    assert len(shown) == 20


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, its pictures made transparent ones behind its back."""
    root = make_run(tmp_path_factory.mktemp("odd") / "run", prompts=4, samples=4)
    run = Run.open_or_create(root, None)
    table = run.table("prompts")
    with run.lock():
        for shard in table.shards():
            rows = list(table.iter_rows(shard))
            for row in rows:
                for image, info in zip(row["images"], row["image_info"], strict=True):
                    picture = decode_image(image["bytes"]).convert("RGBA")
                    picture.putpixel((0, 0), (0, 0, 0, 0))
                    image["bytes"] = pictures.encode(picture, "PNG")
                    info["sha256"] = hashlib.sha256(image["bytes"]).hexdigest()
            table.remove(shard)
            written = table.write(shard, rows)
            noted = json.loads((root / "run.json").read_text("utf-8"))["shards"]
            noted["prompts"][str(shard)]["sha256"][run.name_file(table, shard)] = written.sha256
            change_manifest(root, shards=noted)
    return root


def test_every_table_with_pictures_has_the_views(run: Path, tmp_path: Path) -> None:
    finished = open_finished(run)
    manifest = export_tables(finished, ["groups", "preference", "stepwise"], tmp_path / "out")
    assert manifest.pictures == VIEW == finished.run.manifest.pictures
    assert json.loads((tmp_path / "out/dfgen.json").read_text())["pictures"] == VIEW
    originals = {
        row["prompt_id"]: row["images"] for row in finished.run.table("prompts").iter_rows()
    }
    import pyarrow.parquet as pq

    for table in manifest.tables.values():
        rows = [
            row
            for file in table.files
            for row in pq.read_table(tmp_path / "out" / file.path).to_pylist()
        ]
        assert rows
        for row in rows:
            expected = [make_view(each["bytes"]).data for each in originals[row["prompt_id"]]]
            assert [each["bytes"] for each in row["images"]] == expected
            assert expected != [each["bytes"] for each in originals[row["prompt_id"]]]
    loaded = {row["prompt_id"]: row["images"] for row in dfgen.load_groups(run)}
    for name, images in loaded.items():
        assert [each["bytes"] for each in images] == [
            make_view(each["bytes"]).data for each in originals[name]
        ]
    [first, *_] = list(dfgen.load_masks(run))
    assert "images" not in first


def change_manifest(root: Path, **values: Any) -> None:
    path = root / "run.json"
    data = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(data | values), "utf-8")


@pytest.mark.parametrize("old", [None, "dfgen.view/0"])
def test_a_run_with_other_views_neither_goes_on_nor_is_exported(
    run: Path, tmp_path: Path, old: str | None
) -> None:
    root = shutil.copytree(run, tmp_path / "run")
    change_manifest(root, pictures=old)
    with pytest.raises(InputError, match="other pictures than the policy"):
        export_tables(open_finished(root), ["groups"], tmp_path / "out")
    # Masks alone hold no picture.
    assert export_tables(open_finished(root), ["trajectories"], tmp_path / "masks").pictures
    opened, pipeline = Run.open_or_create(root, None), make_pipeline(4, 4, 0)
    with opened.lock():
        for stage in ("sample", "repair"):
            with pytest.raises(RunMismatchError, match="pictures: ") as caught:
                opened.check_stage(stage, pipeline, {})
            assert VIEW in str(caught.value)
        opened.check_stage("mask", pipeline, {})
    assert opened.manifest.pictures == old


def test_a_run_from_before_goes_on_if_its_pictures_are_their_own_views(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", prompts=2, samples=2)
    change_manifest(root, pictures=None)
    assert export_tables(open_finished(root), ["groups"], tmp_path / "out").pictures == VIEW
    opened, pipeline = Run.open_or_create(root, None), make_pipeline(2, 2, 0)
    with opened.lock():
        opened.check_stage("repair", pipeline, {})
        assert opened.manifest.pictures == VIEW
    change_manifest(root, pictures="dfgen.view/0")
    with opened.lock(), pytest.raises(RunMismatchError):
        opened.check_stage("repair", pipeline, {})


def test_a_run_that_has_shown_nothing_takes_the_view_of_today(tmp_path: Path) -> None:
    pipeline = make_pipeline(2, 2, 0)
    run = Run.open_or_create(tmp_path / "run", pipeline)
    assert run.manifest.pictures == VIEW
    change_manifest(run.root, pictures="dfgen.view/0")
    with run.lock():
        run.check_stage("sample", pipeline, {})
    assert json.loads((run.root / "run.json").read_text())["pictures"] == VIEW
    assert STAGES[:2] == ("prompts", "sample")
