"""What does the one view of a picture cost? Each kind beside decoding it once, which engines do.

    python tests/benchmarks/picture_view.py

Times are CPU time of one core, the best of some repetitions. A plain picture is told by its header,
so its share is to be near zero; any other is decoded and written as PNG, once for all samples.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image

from dfgen.pictures.decode import decode_image
from dfgen.pictures.view import RecentViews, make_view

SIZE = (1024, 768)
REPEATS = 7


def measure(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the CPU seconds of the fastest of some runs."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        run()
        best = min(best, time.process_time() - started)
    return best


def draw_photo() -> PIL.Image.Image:
    """Return smooth colours with noise, which compress like a photo."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (SIZE[1] // 16, SIZE[0] // 16, 3), np.uint8)
    smooth = np.asarray(PIL.Image.fromarray(coarse).resize(SIZE, PIL.Image.Resampling.BICUBIC))
    noise = rng.integers(-6, 6, smooth.shape)
    return PIL.Image.fromarray((smooth.astype(int) + noise).clip(0, 255).astype(np.uint8))


def encode(picture: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    """Return a picture as a file."""
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def list_pictures() -> dict[str, bytes]:
    """List plain pictures, then ones that have to be changed."""
    photo = draw_photo()
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    return {
        "PNG": encode(photo, "PNG"),
        "JPEG": encode(photo, "JPEG", quality=90),
        "WebP": encode(photo, "WEBP"),
        "JPEG, turned": encode(photo, "JPEG", quality=90, exif=turned),
        "PNG, transparent": encode(photo.convert("RGBA"), "PNG"),
        "TIFF": encode(photo, "TIFF"),
    }


def main() -> None:
    """Print one line per kind of picture."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(f"{SIZE[0]} x {SIZE[1]}: CPU time of the view / of decoding once")
    for name, data in list_pictures().items():
        decoding = measure(lambda data=data: decode_image(data))  # type: ignore[misc]
        view = make_view(data)
        making = measure(lambda data=data: make_view(data))  # type: ignore[misc]
        recent = RecentViews(64 * 1024 * 1024)
        recent.make_view(data, name)
        again = measure(lambda: recent.make_view(data, name))  # noqa: B023
        size = len(view.data) / len(data)
        print(
            f"{name:18} {making / decoding:8.4f}   again {again / decoding:8.5f}   "
            f"{'changed' if view.changed else 'as it is':9} bytes x {size:.2f}"
        )


if __name__ == "__main__":
    main()
