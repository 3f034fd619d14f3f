"""Nobody is told that damaged masks hold the scores."""

from __future__ import annotations

from pathlib import Path

from tests.stages.score.running import call


def test_damaged_masks_are_named_and_not_said_to_hold_scores(root: Path) -> None:
    assert "The masks hold" in call("score", root).output
    path = root / "masks" / "part-00001.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    said = call("score", root, code=1).output
    assert "The masks hold" not in said
    assert str(path) in said
    assert f"dfgen run {root} --redo mask:1" in said
