from __future__ import annotations

import hashlib
import io

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.prompts import ImageLimits
from dfgen.errors import RowError
from dfgen.pictures.decode import decode_image
from dfgen.prompts.image_check import verify_image
from tests.support import pictures

LIMITS = ImageLimits()
RED, BLACK = (255, 0, 0), (0, 0, 0)


@pytest.mark.parametrize(
    ("data", "kind", "size"),
    [
        (pictures.make_png(), "PNG", (12, 8)),
        (pictures.make_webp(), "WEBP", (9, 7)),
        (pictures.make_animated_gif(), "GIF", (10, 6)),
        (pictures.make_cmyk_jpeg(), "JPEG", (8, 8)),
        (pictures.make_grey16_png(), "PNG", (8, 8)),
        (pictures.make_broken_exif_jpeg(), "JPEG", (16, 8)),
        (pictures.encode(pictures.draw_corner(), "BMP"), "BMP", (16, 8)),
    ],
)
def test_verify_says_what_a_picture_is(data: bytes, kind: str, size: tuple[int, int]) -> None:
    info = verify_image(data, LIMITS)
    assert (info.format, (info.width, info.height)) == (kind, size)
    assert info.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "red_corner"),
    [(1, "ul"), (2, "ur"), (3, "lr"), (4, "ll"), (5, "ul"), (6, "ur"), (7, "lr"), (8, "ll")],
)
def test_orientation_is_honoured(kind: str, orientation: int, red_corner: str) -> None:
    data = pictures.make_oriented(orientation, kind)
    info, picture = verify_image(data, LIMITS), decode_image(data)
    assert picture.size == (info.width, info.height) == ((8, 16) if orientation >= 5 else (16, 8))
    x = 1 if red_corner[1] == "l" else picture.width - 2
    y = 1 if red_corner[0] == "u" else picture.height - 2
    red, green, blue = picture.getpixel((x, y))
    assert red > 180
    assert max(green, blue) < 60


def test_two_pictures_in_one_file_count_as_jpeg() -> None:
    stream = io.BytesIO()
    picture = pictures.draw_corner()
    picture.save(stream, "MPO", save_all=True, append_images=[picture])
    assert verify_image(stream.getvalue(), LIMITS).format == "JPEG"


@pytest.mark.parametrize(
    ("data", "limits", "reason"),
    [
        (b"", LIMITS, "image_missing"),
        (b"not a picture", LIMITS, "image_corrupt"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", LIMITS, "image_corrupt"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", LIMITS, "image_corrupt"),
        (pictures.make_truncated_jpeg(), LIMITS, "image_corrupt"),
        (pictures.make_png()[:40], LIMITS, "image_corrupt"),
        (pictures.make_bomb_png(), LIMITS, "image_too_large"),
        (pictures.make_bomb_png(10_000, 9_500), LIMITS, "image_too_large"),
        (pictures.make_bomb_png(9_000, 9_000), LIMITS, "image_too_large"),
        (pictures.make_png(), ImageLimits(max_pixels=95), "image_too_large"),
        (pictures.make_png(), ImageLimits(max_bytes=50), "image_too_large"),
    ],
)
def test_verify_refuses(data: bytes, limits: ImageLimits, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        verify_image(data, limits)
    assert caught.value.reason == reason


def test_limits_are_inclusive() -> None:
    data = pictures.make_png()
    verify_image(data, ImageLimits(max_pixels=96, max_bytes=len(data)))


def test_a_bomb_is_refused_before_its_pixels_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(RowError, match="max_pixels"):
        verify_image(pictures.make_bomb_png(8_000, 8_000), LIMITS)


@given(st.binary(max_size=200), st.integers(0, 80))
def test_damaged_files_are_rows_not_crashes(noise: bytes, cut: int) -> None:
    for start in (b"", pictures.make_png()[:cut], pictures.make_webp()[:cut]):
        try:
            verify_image(start + noise, LIMITS)
        except RowError as error:
            sizes = ("image_too_large", "image_too_small", "image_too_narrow")
            assert error.reason in ("image_missing", "image_corrupt", *sizes)


@pytest.mark.parametrize(
    ("data", "place", "colour"),
    [
        (pictures.make_animated_gif(), (0, 0), RED),
        (pictures.make_cmyk_jpeg(), (0, 0), (254, 0, 0)),
        (pictures.make_grey16_png(0), (0, 0), BLACK),
        (pictures.make_grey16_png(32768), (0, 0), (127, 127, 127)),
        (pictures.make_grey16_png(65535), (0, 0), (255, 255, 255)),
        (pictures.make_transparent_png(), (0, 0), (255, 255, 255)),
        (pictures.make_transparent_png(), (7, 0), BLACK),
        (pictures.make_palette_png(), (0, 0), (255, 255, 255)),
        (pictures.encode(PIL.Image.new("F", (2, 2), 0.5), "TIFF"), (0, 0), (127, 127, 127)),
        (pictures.encode(PIL.Image.new("I", (2, 2), 2**24), "TIFF"), (0, 0), (255, 255, 255)),
        (pictures.encode(PIL.Image.new("1", (2, 2), 1), "PNG"), (0, 0), (255, 255, 255)),
    ],
)
def test_decode_gives_rgb_as_people_see_it(
    data: bytes, place: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    picture = decode_image(data)
    assert picture.mode == "RGB"
    pixel = picture.getpixel(place)
    assert max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) <= 2


def test_decode_refuses_damage() -> None:
    with pytest.raises(RowError, match="image_corrupt"):
        decode_image(pictures.make_truncated_jpeg())
