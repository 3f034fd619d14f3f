"""What must not be published is found, and ordinary text is not."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import PIL.Image
import pyarrow as pa
import pytest

from dfgen.errors import UnsafeDataError
from dfgen.export.manifest import DatasetManifest
from dfgen.export.tables import TABLES
from dfgen.export.writing import write_files
from dfgen.publish.patterns import PATTERNS
from dfgen.publish.positions import has_gps
from dfgen.publish.release import Release, collect_release
from dfgen.publish.safety import CHECKS, check_release

BAD = {
    "hf-token": "use hf_" + "Ab3" * 12,
    "api-key": "key: sk-proj-" + "x9" * 20,
    "github-token": "ghp_" + "a1B2" * 9,
    "gitlab-token": "glpat-" + "x" * 20,
    "aws-key": "AKIA" + "ABCD" * 4,
    "google-key": "AIza" + "x" * 35,
    "aws-secret": 'aws_secret_access_key = "' + "wJalrXUtnFEMI/K7MDENG+bPx" + "a" * 15,
    "slack-token": "xoxb-" + "1" * 12,
    "stripe-key": "sk_live_" + "4eC39Hq" * 4,
    "npm-token": "npm_" + "aB3" * 12,
    "pypi-token": "pypi-AgEIcHlwaS5vcmc" + "x" * 60,
    "wandb-key": "WANDB_API_KEY=" + "0a1b" * 10,
    "groq-key": "gsk_" + "aB3" * 17,
    "xai-key": "xai-" + "aB3" * 26,
    "nvidia-key": "nvapi-" + "aB-3" * 16,
    "replicate-token": "r8_" + "a" * 37,
    "telegram-token": "bot 123456789:AA" + "x" * 33,
    "private-key": "-----BEGIN RSA PRIVATE KEY-----",
    "json-web-token": "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4",
    "bearer-token": "Authorization: Bearer abcdefghijklmnop1234",
    "basic-login": "'Authorization': 'Basic dXNlcjpwYXNzd29yZA=='",
    "url-key": "GET https://api.org/v1?alt=json&key=AbCdEf0123456789",
    "url-password": "postgres://me:secret@db/x",
    "local-path": "see /home/ann/pictures/1.png",
}
GOOD = (
    "The speed is 3 km/h and a/b = 1/2; see https://example.org/data/file.png.",
    r"\frac{a}{b} \cdot /tmp is nice, and C: is a drive",
    "Step 1: 3 + 4 = 7. Answer: 7",
    "risk-free sk-8 task-based, mailto:a@b.org, time 12:30@noon",
    "and/or, /, //, either/home or work",
    r"\\ \\hline x \\ y & \\frac{1}{2} \\\\ \\alpha\\beta\\gamma and \\mathbb{R}\\setminus\\{0\\}",
    r"\begin{array}{cc} 1 & 2 \\ 3 & 4 \end{array} \\text{cm}^2\\quad\\Rightarrow",
    "Basic geometry: authorization is not needed. The key=3 of a ?key in the map, about ~5/6 of it",
    "rate ~/hour, approx ~ 3/4, a~b/c~d, 12:00:AA, npm_config, sk_learn, r8_small, xai-model",
    "The ratio is ~2/3, see ~3/min, or ~x/y of https://a.org/projects/home?token=short&page=2",
)


def stage(folder: Path, **columns: str) -> Release:
    """A release with one row of `groups`, in which some texts are given."""
    row = {"prompt_id": "p0", "images": [], "trajectories": [], "problem": "How many?"}
    nested = columns.pop("completion_text", None)
    picture = columns.pop("picture", None)
    if nested:
        row["trajectories"] = [{"trajectory_id": "p0-0", "completion_text": nested}]
    if picture:
        row["images"] = [{"bytes": picture, "path": "a.jpg"}]
    schema = TABLES["groups"].make_schema("0" * 64)
    write_files([pa.Table.from_pylist([row | columns], schema)], schema, folder / "groups")
    (folder / "README.md").write_text("# Masks\n")
    manifest = DatasetManifest(name="x", run_created="", tokenizer={}, tables={})
    return collect_release(folder, manifest)


def check(release: Release, *allowed: str, **options: str | None) -> None:
    check_release(release, options.get("license", "mit"), options.get("unfinished"), allowed)


def test_every_pattern_has_an_example() -> None:
    assert set(BAD) == set(PATTERNS)
    assert set(PATTERNS) < set(CHECKS)


@pytest.mark.parametrize("name", BAD)
def test_finds_it_in_any_text_column_and_says_how_to_allow_it(name: str, tmp_path: Path) -> None:
    release = stage(tmp_path, completion_text=f"I think so. {BAD[name]} It is.")
    with pytest.raises(UnsafeDataError) as caught:
        check(release)
    assert f"--allow {name}" in str(caught.value)
    assert "groups/train-00000-of-00001.parquet trajectories.completion_text" in str(caught.value)
    assert "prompt p0" in str(caught.value)
    check(release, name)


def test_secrets_are_not_repeated_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(UnsafeDataError) as caught:
        check(stage(tmp_path, metadata=BAD["hf-token"]))
    assert "Ab3Ab3" not in str(caught.value)


def test_secrets_of_the_environment_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SERVICE_PASSWORD", "correct.horse+battery")
    with pytest.raises(UnsafeDataError, match="own-secret"):
        check(stage(tmp_path, problem="it is correct.horse+battery"))


@pytest.mark.parametrize("text", GOOD)
def test_ordinary_text_is_left_alone(text: str, tmp_path: Path) -> None:
    check(stage(tmp_path, problem=text, completion_text=text, metadata=f'{{"a": "{text!r}"}}'))


@pytest.mark.parametrize(
    "path",
    [
        r"C:\Users\ann\x.png",
        "file:///etc/passwd",
        '"/mnt/nfs/a"',
        "(/data/x/y.jpg)",
        "/Users/ann/x",
        "path=/scratch/j/1",
        "/fsx/ann/run",
        "/raid/data/x.png",
        "/projects/vlm/a",
        "/data/imgs/1.png",
        "~/models/qwen",
        "~/.cache/huggingface",
        "~ann/data/x",
        r"\\fileserver\share\x.png",
        r"\\srv-01.corp.org\vlm\runs",
        "s3://my-bucket/runs/1.png",
        "gs://bucket/x",
        "hdfs://node/x",
    ],
)
def test_local_paths(path: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeDataError, match="local-path"):
        check(stage(tmp_path, metadata=path))


def test_card_and_manifest_are_checked_too(tmp_path: Path) -> None:
    stage(tmp_path)
    (tmp_path / "dfgen.json").write_text('{"model": "/home/ann/models/policy"}')
    manifest = DatasetManifest(name="x", run_created="", tokenizer={}, tables={})
    with pytest.raises(UnsafeDataError, match=r"dfgen\.json: '\"?/home/ann"):
        check(collect_release(tmp_path, manifest))


@pytest.mark.parametrize("licence", [None, "", "  "])
def test_empty_licence(licence: str | None, tmp_path: Path) -> None:
    release = stage(tmp_path)
    with pytest.raises(UnsafeDataError, match="no-license"):
        check(release, license=licence)
    check(release, "no-license", license=licence)


def test_unfinished_run(tmp_path: Path) -> None:
    with pytest.raises(UnsafeDataError, match="3 rows of repair are pending"):
        check(stage(tmp_path), unfinished="3 rows of repair are pending")


def make_picture(kind: str, *, position: bool, camera: bool = True) -> bytes:
    exif = PIL.Image.Exif()
    if camera:
        exif[0x010F] = "Camera"
    if position:
        exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
        exif[0x8825] = exif.get_ifd(0x8825)
    stream = io.BytesIO()
    PIL.Image.new("RGB", (8, 8), "red").save(stream, kind, exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_gps_position_is_found(kind: str) -> None:
    assert has_gps(make_picture(kind, position=True))
    assert not has_gps(make_picture(kind, position=False))
    assert not has_gps(make_picture(kind, position=False, camera=False))


def test_gps_in_xmp_and_unreadable_exif() -> None:
    plain = make_picture("JPEG", position=False, camera=False)
    assert has_gps(plain + b"<rdf:Description exif:GPSLatitude='52,31N'/>")
    assert has_gps(b"\xff\xd8\xff\xe1Exif\0\0 broken")


XMP = "<x:xmpmeta><rdf:Description {}/></x:xmpmeta>"


def make_png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG with some chunks before its end."""
    plain = make_picture("PNG", position=False, camera=False)
    body, end = plain[:-12], plain[-12:]
    for kind, content in chunks:
        checksum = zlib.crc32(kind + content).to_bytes(4, "big")
        body += len(content).to_bytes(4, "big") + kind + content + checksum
    return body + end


@pytest.mark.parametrize(
    "said", ["exif:GPSLatitude='52'", "geo:lat='52.5'", "exif:GPSLongitude='3'", "geo:long='1'"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-be"])
def test_a_position_in_xmp_of_any_encoding(said: str, encoding: str) -> None:
    plain = make_picture("JPEG", position=False, camera=False)
    assert has_gps(plain + XMP.format(said).encode(encoding))
    assert not has_gps(plain + XMP.format("dc:title='a'").encode(encoding))


@pytest.mark.parametrize(
    "text",
    [b"Comment\0lat", b"GPSLatitude\0 52.5", b"XML:com.adobe.xmp\0geo:lat='5'", b"a\0latitude 5"],
)
def test_texts_of_a_png(text: bytes) -> None:
    keyword, _, said = text.partition(b"\0")
    chunks = [
        (b"tEXt", text),
        (b"zTXt", keyword + b"\0\0" + zlib.compress(said)),
        (b"iTXt", keyword + b"\0\0\0\0\0" + said),
        (b"iTXt", keyword + b"\0\1\0\0\0" + zlib.compress(said)),
    ]
    for chunk in chunks:
        assert has_gps(make_png([chunk])) == (text != b"Comment\0lat")
    assert not has_gps(make_png([(b"zTXt", b"Software\0\0" + zlib.compress(b"gimp"))]))


def test_texts_that_cannot_be_read_count_as_a_position() -> None:
    assert has_gps(make_png([(b"zTXt", b"Comment\0\0broken")]))
    assert has_gps(make_png([(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 25)))]))


@pytest.mark.parametrize(("record", "found"), [(90, True), (92, True), (101, True), (5, False)])
def test_places_of_iptc(record: int, found: bool) -> None:
    data = b"\x1c\x02" + bytes([record]) + b"\0\6Berlin"
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(data).to_bytes(4, "big") + data
    plain = make_picture("JPEG", position=False, camera=False)
    segment = b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block
    assert has_gps(plain[:2] + segment + plain[2:]) == found


def test_picture_with_gps_stops_publication(tmp_path: Path) -> None:
    release = stage(tmp_path, picture=make_picture("JPEG", position=True))
    with pytest.raises(UnsafeDataError, match="--allow gps"):
        check(release)
    check(release, "gps")
