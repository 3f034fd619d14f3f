"""Turns a picture's bytes into pixels, and into the one view of it that all models are shown.

Whoever shows a picture to a model, to a trainer or to people goes through here: `view.make_view`
for bytes that travel, `decode.decode_image` for pixels.
"""

from __future__ import annotations

VIEW = "dfgen.view/1"
"""Name and version of the rules by which `make_view` makes a view; raised when they change.

A run notes the version that its policy was shown (`run.json`), and an export the one that its
pictures have (`dfgen.json`).
"""
