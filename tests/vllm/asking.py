"""Questions about pictures, as requests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from dfgen.engines.base import ImageData, Request, Result
from tests.engines.making import make_request

MAX_TOKENS = 64


def list_scenes(count: int, seed: int = 3) -> list[tuple[str, ImageData]]:
    """Questions of the demo with their pictures."""
    from dfgen.demo.scenes import iter_scenes

    return [
        (
            scene.question,
            ImageData(scene.image_png, hashlib.sha256(scene.image_png).hexdigest(), "image/png"),
        )
        for scene in iter_scenes(count, seed)
    ]


def ask(key: object, scene: tuple[str, ImageData], **options: Any) -> Request:
    """One request about a scene, with the picture in front as the demo's prompts have it."""
    question, image = scene
    return make_request(key, image, question, **{"max_tokens": MAX_TOKENS, **options})


def collect(engine: Any, requests: Iterable[Request]) -> dict[str, Result]:
    """All results by key."""
    return {result.key: result for results in engine.generate(requests) for result in results}
