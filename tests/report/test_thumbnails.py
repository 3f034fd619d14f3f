from __future__ import annotations

import base64
import io

import PIL.Image
import pytest

from dfgen.report.thumbnails import LARGEST_SIDE, Thumbnail, make_thumbnail
from tests.support.pictures import (
    encode,
    make_animated_gif,
    make_bomb_png,
    make_broken_exif_jpeg,
    make_cmyk_jpeg,
    make_grey16_png,
    make_oriented,
    make_palette_png,
    make_transparent_png,
    make_truncated_jpeg,
    make_webp,
)


def decode(thumbnail: Thumbnail | None) -> PIL.Image.Image:
    assert thumbnail is not None
    data = base64.b64decode(thumbnail.url.removeprefix("data:image/webp;base64,"))
    return PIL.Image.open(io.BytesIO(data))


@pytest.mark.parametrize("limit", [4_000, 10_000, 60_000])
def test_a_photograph_fits_its_limit(limit: int) -> None:
    noise = PIL.Image.effect_noise((1600, 1200), 90).convert("RGB")
    thumbnail = make_thumbnail(encode(noise, "JPEG", quality=95), limit)
    assert thumbnail is not None
    assert (thumbnail.width, thumbnail.height) == (1600, 1200)
    assert len(base64.b64decode(thumbnail.url.partition(",")[2])) <= limit
    assert max(decode(thumbnail).size) <= LARGEST_SIDE


def test_a_small_picture_keeps_every_pixel() -> None:
    picture = PIL.Image.effect_noise((64, 48), 90).convert("RGB")
    thumbnail = make_thumbnail(encode(picture, "PNG"), 60_000)
    assert thumbnail is not None
    assert thumbnail.exact
    assert decode(thumbnail).convert("RGB").tobytes() == picture.tobytes()


@pytest.mark.parametrize("orientation", [6, 8])
def test_turned_pictures_stand_upright_without_metadata(orientation: int) -> None:
    thumbnail = make_thumbnail(make_oriented(orientation), 60_000)
    assert thumbnail is not None
    assert (thumbnail.width, thumbnail.height) == (8, 16)
    assert decode(thumbnail).size == (8, 16)
    assert not decode(thumbnail).getexif()


@pytest.mark.parametrize(
    "data",
    [
        *(make_animated_gif(), make_broken_exif_jpeg(), make_cmyk_jpeg(), make_grey16_png()),
        *(make_palette_png(), make_webp()),
    ],
)
def test_every_kind_of_picture_is_shown(data: bytes) -> None:
    assert decode(make_thumbnail(data, 60_000)).mode == "RGB"


def test_transparent_parts_are_white() -> None:
    assert decode(make_thumbnail(make_transparent_png(), 60_000)).getpixel((0, 0)) == (255,) * 3


@pytest.mark.parametrize("data", [b"", b"no picture", make_truncated_jpeg(), make_bomb_png()])
def test_what_cannot_be_decoded_is_none(data: bytes) -> None:
    assert make_thumbnail(data, 60_000) is None
