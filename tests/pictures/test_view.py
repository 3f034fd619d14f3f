from __future__ import annotations

import hashlib
import io
import struct
import threading
import zlib
from collections.abc import Callable

import numpy as np
import PIL.Image
import PIL.ImageOps
import PIL.PngImagePlugin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.config.prompts import ImageLimits
from dfgen.errors import RowError
from dfgen.pictures import view as view_module
from dfgen.pictures.decode import decode_image, decode_small
from dfgen.pictures.header import find_plain_type, is_turned
from dfgen.pictures.view import RecentViews, make_view
from dfgen.prompts.image_check import verify_image
from tests.pictures.making import (
    KINDS,
    MODES,
    TURNABLE,
    draw,
    files,
    make_chunk,
    make_exif,
    make_png,
    try_encode,
)
from tests.support import pictures


def as_trainer(data: bytes) -> PIL.Image.Image:
    """What a trainer's loader makes of a picture's bytes."""
    return PIL.Image.open(io.BytesIO(data)).convert("RGB")


def as_datasets(data: bytes) -> PIL.Image.Image:
    """What `datasets` makes of them: it turns a picture by its EXIF data, if there are any."""
    picture = PIL.Image.open(io.BytesIO(data))
    if picture.getexif().get(0x0112) is not None:
        picture = PIL.ImageOps.exif_transpose(picture)
    return picture.convert("RGB")


def on_black(data: bytes) -> PIL.Image.Image:
    """What whoever lays pictures on black sees."""
    picture = PIL.Image.open(io.BytesIO(data)).convert("RGBA")
    black = PIL.Image.new("RGBA", picture.size, "black")
    return PIL.Image.alpha_composite(black, picture).convert("RGB")


def same(first: PIL.Image.Image, second: PIL.Image.Image) -> bool:
    return first.size == second.size and first.tobytes() == second.tobytes()


def check_view(data: bytes) -> None:
    pixels = decode_image(data)
    view = make_view(data)
    assert (view.data == data) == (not view.changed)
    assert view.sha256 == hashlib.sha256(view.data).hexdigest()
    for read in (decode_image, as_trainer, as_datasets, on_black):
        assert same(read(view.data), pixels), read.__name__
    opened = PIL.Image.open(io.BytesIO(view.data))
    assert opened.mode in ("L", "RGB")
    assert view.mime == PIL.Image.MIME[opened.format].replace("mpo", "jpeg")
    again = make_view(view.data)
    assert not again.changed
    assert again.data == view.data
    info = verify_image(data, ImageLimits())
    assert (info.width, info.height) == pixels.size
    small, size = decode_small(data, 4)
    assert size == pixels.size
    assert min(small.size) >= min(4, *size)


@given(files())
@settings(max_examples=600, deadline=None)
def test_everybody_sees_the_same_pixels_in_a_view(data: bytes) -> None:
    check_view(data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_every_format(kind: str, mode: str) -> None:
    data = try_encode(draw(mode, 7, (5, 3)), kind)
    if data is None:
        pytest.skip(f"Pillow writes no {mode} as {kind}")
    check_view(data)
    stored = PIL.Image.open(io.BytesIO(data)).mode
    keeps = kind in ("PNG", "JPEG", "WEBP") and stored in ("L", "RGB")
    assert make_view(data).changed == (not keeps)


@pytest.mark.parametrize("kind", TURNABLE)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_every_format(kind: str, orientation: int) -> None:
    data = pictures.make_oriented(orientation, kind)
    check_view(data)
    keeps = orientation == 1 and kind in ("PNG", "JPEG", "WEBP")
    assert make_view(data).changed == (not keeps)


# Reference pixels straight from the PNG specification, for every depth, colour type and
# transparent colour; Pillow alone gets some of them wrong.
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_png_looks_as_its_specification_says(data: st.DataObject) -> None:
    colour = data.draw(st.sampled_from(sorted(_DEPTHS)))
    depth = data.draw(st.sampled_from(_DEPTHS[colour]))
    rng = np.random.default_rng(data.draw(st.integers(0, 9999)))
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    rows = rng.integers(0, 2**depth, (3, 4, channels))
    before, transparent = b"", data.draw(st.booleans())
    top = 2**depth - 1
    # 16 bits keep their high byte, fewer than 8 are spread.
    eight = rows >> 8 if depth == 16 else rows * (255 // top) if depth < 8 else rows
    alpha = np.full((3, 4, 1), 255)
    if colour == 3:
        palette = rng.integers(0, 256, (2**depth, 3), np.uint8)
        before += make_chunk(b"PLTE", palette.tobytes())
        if transparent:
            shares = rng.integers(0, 256, 2**depth, np.uint8)
            before += make_chunk(b"tRNS", shares.tobytes())
            alpha = shares[rows[..., 0]][..., None].astype(int)
        rgb = palette[rows[..., 0]].astype(int)
    elif colour in (4, 6):
        rgb, alpha = eight[..., :-1], eight[..., -1:]
    else:
        rgb = eight
        if transparent:
            key = rows[0, 0]
            before += make_chunk(b"tRNS", struct.pack(f">{channels}H", *map(int, key)))
            alpha = np.where((rows == key).all(-1, keepdims=True), 0, 255)
    rgb = np.broadcast_to(rgb, (3, 4, 3))
    expected = (rgb * alpha + 255 * (255 - alpha)) / 255
    encoded = make_png(rows, depth, colour, before)
    shown = np.asarray(decode_image(encoded), int)
    assert np.abs(shown - expected).max() <= 1
    check_view(encoded)
    plain = depth == 8 and colour in (0, 2) and not transparent
    assert make_view(encoded).changed == (not plain)


def _text(name: bytes, text: bytes) -> bytes:
    return make_chunk(b"iTXt", name + b"\0\0\0\0\0" + text)


_XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
_RAW_EXIF = b"Raw profile type exif\0\nexif\n      8\n" + b"4d4d002a00000008"


@pytest.mark.parametrize(
    ("chunk", "keeps"),
    [
        (make_chunk(b"eXIf", make_exif(6).tobytes()[6:]), False),
        (make_chunk(b"eXIf", make_exif(1).tobytes()[6:]), True),
        (_text(b"XML:com.adobe.xmp", _XMP), False),
        (_text(b"XML:com.adobe.xmp", _XMP.replace(b"6", b"1")), True),
        (make_chunk(b"zTXt", b"XML:com.adobe.xmp\0\0" + zlib.compress(_XMP)), False),
        (
            make_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(_XMP)),
            False,
        ),
        (make_chunk(b"tEXt", _RAW_EXIF), False),
        (make_chunk(b"tEXt", b"Title\0tiff:Orientation is a word"), True),
        (make_chunk(b"iCCP", b"x\0\0" + zlib.compress(b"profile")), True),
        (make_chunk(b"gAMA", struct.pack(">I", 45455)), True),
        (make_chunk(b"tRNS", struct.pack(">3H", 1, 2, 3)), False),
    ],
)
@pytest.mark.parametrize("behind", [False, True])
def test_what_is_written_beside_the_pixels_of_a_png(
    chunk: bytes, keeps: bool, behind: bool
) -> None:
    rows = np.arange(24).reshape(2, 4, 3)
    if behind and chunk[4:8] in (b"tRNS", b"iCCP", b"gAMA"):
        pytest.skip("stands before the pixels")
    data = make_png(rows, 8, 2, **{"behind" if behind else "before": chunk})
    assert make_view(data).changed == (not keeps)
    if b"exif\n" not in chunk:  # Pillow itself fails on this one
        check_view(data)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", [b"1", b"3", b"6"])
def test_xmp_turns_photos_too(kind: str, orientation: bytes) -> None:
    xmp = _XMP.replace(b"6", orientation)
    data = pictures.encode(pictures.draw_corner(), kind, xmp=xmp)
    assert make_view(data).changed == (orientation != b"1")
    check_view(data)


@given(st.integers(0, 65535), st.sampled_from("<>"), st.integers(0, 12), st.integers(0, 9))
def test_exif_that_may_turn_a_picture_is_not_plain(
    value: int, order: str, kind: int, number: int
) -> None:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    body = struct.pack(order + "IHHHIHH", 8, 1, 0x0112, kind, number, value, 0)
    assert is_turned(b"Exif\0\0" + mark + body) == (
        not (kind == 3 and number == 1 and not 2 <= value <= 8)
    )


@given(st.binary(max_size=60))
def test_pillow_turns_nothing_that_counts_as_upright(noise: bytes) -> None:
    data = b"MM\0*\0\0\0\x08" + noise
    exif = PIL.Image.Exif()
    try:
        exif.load(data)
        orientation = exif.get(0x0112, 1)
    except Exception:
        orientation = None
    if orientation in range(2, 9):
        assert is_turned(data)


def test_two_pictures_in_one_jpeg_are_the_first() -> None:
    stream = io.BytesIO()
    pictures.draw_corner().save(
        stream, "MPO", save_all=True, append_images=[PIL.Image.new("RGB", (16, 8), "blue")]
    )
    data = stream.getvalue()
    check_view(data)
    assert not make_view(data).changed


def test_of_an_animation_the_first_frame_is_shown() -> None:
    frames = [PIL.Image.new("RGB", (10, 6), colour) for colour in ("red", "blue")]
    for kind in ("PNG", "WEBP", "GIF"):
        data = pictures.encode(frames[0], kind, save_all=True, append_images=frames[1:])
        assert make_view(data).changed
        red, _, blue = as_trainer(make_view(data).data).getpixel((0, 0))
        assert (red > 200, blue < 50) == (True, True)


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "PNG"), ("RGB", "JPEG"), ("P", "PNG")])
def test_a_view_carries_nothing_but_pixels(mode: str, kind: str) -> None:
    picture = draw(mode, 3, (8, 8))
    data = pictures.encode(picture, kind, icc_profile=b"profile", exif=make_exif(6), dpi=(9, 9))
    view = make_view(data)
    position, kinds = 8, []
    while position < len(view.data):
        length, kind = struct.unpack_from(">I4s", view.data, position)
        kinds.append(kind)
        position += length + 12
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}
    assert make_view(data).data == view.data


@pytest.mark.parametrize(
    ("value", "mode", "grey"),
    [
        (65535, "I;16", 255),
        (0x1234, "I;16", 0x12),
        (200, "I;16", 0),
        (200, "I", 200),
        (0x1234, "I", 0x12),
        (2**30, "I", 255),
        (-5, "I", 0),
        (0.5, "F", 128),
        (1.0, "F", 255),
        (200.0, "F", 200),
        (float("nan"), "F", 0),
    ],
)
def test_many_bits_become_8_in_one_way(value: float, mode: str, grey: int) -> None:
    data = pictures.encode(PIL.Image.new(mode, (2, 2), value), "TIFF")
    assert decode_image(data).getpixel((1, 1)) == (grey,) * 3
    check_view(data)


def test_infinity_is_as_bright_as_the_brightest() -> None:
    values = np.array([[0.0, 0.5], [1.0, np.inf]], "<f4")
    data = pictures.encode(PIL.Image.fromarray(values), "TIFF")
    assert [decode_image(data).getpixel((x, y))[0] for y in (0, 1) for x in (0, 1)] == [
        *(0, 128, 255, 255)
    ]


def test_colours_without_a_way_to_rgb_are_refused_when_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = pictures.encode(PIL.Image.new("LAB", (4, 4)), "TIFF")
    check_view(data)

    def refuse(*_: object) -> None:
        raise ValueError("conversion not supported")

    monkeypatch.setattr(PIL.Image.Image, "convert", refuse)
    for read in (decode_image, make_view, lambda data: verify_image(data, ImageLimits())):
        with pytest.raises(RowError, match="LAB") as caught:
            read(data)
        assert caught.value.reason == "image_corrupt"


@given(st.binary(max_size=80), st.integers(0, 80))
def test_damage_is_a_row_error_or_somebody_elses(noise: bytes, cut: int) -> None:
    for start in (b"", pictures.make_png(), pictures.make_webp(), pictures.make_oriented(6)):
        try:
            make_view(start[:cut] + noise)
        except RowError as error:
            assert error.reason in ("image_corrupt", "image_too_large")


def test_a_plain_picture_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    plain = [pictures.make_png(), pictures.make_oriented(1), pictures.make_oriented(1, "WEBP")]
    plain.append(make_png(np.zeros((2, 2, 3), int), 8, 2, behind=_text(b"Title", b"x")))
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", fail)
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile.load", fail)
    for data in plain:
        assert not make_view(data).changed


def test_views_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    def count(data: bytes) -> bytes:
        made.append(data)
        return encode(data)

    encode = view_module.encode_png
    monkeypatch.setattr(view_module, "encode_png", count)
    sources = [pictures.encode(draw("RGBA", seed, (8, 8)), "PNG") for seed in range(4)]
    names = [hashlib.sha256(data).hexdigest() for data in sources]
    size = len(make_view(sources[0]).data)
    made.clear()
    recent = RecentViews(max_bytes=size * 2 + 20)
    for _ in range(3):
        assert recent.make_view(sources[0], names[0]).data == make_view(sources[0]).data
    assert len(made) == 4  # once remembered, three times for the comparison
    made.clear()
    for index in (1, 2, 3, 0):
        recent.make_view(sources[index], names[index])
    assert len(made) == 4
    assert recent._size <= size * 2 + 20


def test_views_may_be_remembered_by_several_threads() -> None:
    sources = [pictures.encode(draw("RGBA", seed, (8, 8)), "PNG") for seed in range(12)]
    names = [hashlib.sha256(data).hexdigest() for data in sources]
    expected = [make_view(data).data for data in sources]
    recent = RecentViews(max_bytes=3 * len(expected[0]))
    wrong: list[object] = []

    def work(step: int) -> Callable[[], None]:
        def loop() -> None:
            for i in range(120):
                index = i * step % len(sources)
                try:
                    if recent.make_view(sources[index], names[index]).data != expected[index]:
                        wrong.append(index)
                except Exception as error:
                    wrong.append(error)

        return loop

    threads = [threading.Thread(target=work(step)) for step in (1, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_types_are_told_from_bytes_and_not_from_names() -> None:
    assert find_plain_type(pictures.make_png()) == "image/png"
    assert find_plain_type(pictures.make_oriented(1)) == "image/jpeg"
    assert find_plain_type(pictures.make_oriented(1, "WEBP")) == "image/webp"
    assert find_plain_type(pictures.make_animated_gif()) is None
    assert find_plain_type(b"") is None
