"""A look at a few shards of a run in a bucket sees of them what a look at everything sees."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.store.bucket import mirror as mirror_module
from dfgen.store.bucket.keys import PAGE, list_spans, parse_shard
from dfgen.store.bucket.mirror import Mirror
from dfgen.store.layout import MANIFEST
from tests.support.memory_objects import MemoryObjects

pytest.importorskip("obstore", reason="make cluster-env installs it")


def name_files(shard: int) -> list[str]:
    """What a shard may have in the bucket, of several stages and workers."""
    journals = [
        f"sample-{shard:05d}.jsonl/000000000000",
        f"repair-{shard:05d}/0001-abc.jsonl/000000000000",
        f"retry-{shard:05d}.jsonl/000000000000",
    ]
    return [
        f"trajectories/part-{shard:05d}.parquet",
        f"masks/part-{shard:05d}.parquet",
        f"rejects/repair-{shard:05d}.parquet",
        *(f"journal/{stage}-{shard:05d}.done.json" for stage in ("sample", "mask")),
        *(f"journal/{name}" for name in journals),
    ]


def open_mirror(objects: MemoryObjects, base: Path) -> Mirror:
    base.mkdir()
    mirror = Mirror(objects, base, alone=True)
    mirror.refresh()
    return mirror


def describe(mirror: Mirror, shards: set[int]) -> dict[str, object]:
    """What a mirror says of some shards, and what of them lies here."""
    known: dict[str, object] = {
        f"known {key}": each.version
        for key, each in mirror._index.items()
        if parse_shard(key) in shards or key == MANIFEST
    }
    names = {
        f"listed {folder}/{name}": True
        for folder, there in mirror._names.items()
        for name in there
        if parse_shard(f"{folder}/{name}") in shards
    }
    files = {
        key: path.read_bytes()
        for path in mirror.root.rglob("*")
        if path.is_file() and (parse_shard(key := mirror._key(path)) in shards or key == MANIFEST)
    }
    return known | names | files


NUMBERS = [0, 1, 2, 7, 1234, 99_998, 99_999, 100_000, 100_001, 123_456]


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.sets(st.sampled_from(NUMBERS), min_size=1))
def test_a_look_at_some_shards_sees_what_a_look_at_everything_sees(
    rng: random.Random, shards: set[int]
) -> None:
    objects = MemoryObjects()
    keys = [*(key for shard in NUMBERS for key in name_files(shard)), MANIFEST]

    def change() -> None:
        for key in rng.sample(keys, len(keys) // 2):
            if rng.random() < 0.3 and key != MANIFEST:
                objects.delete([key])
            else:
                objects.put(key, b'{"n": %d}\n' % rng.randrange(1000))

    objects.put(MANIFEST, b"{}\n")
    change()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        mirror = open_mirror(objects, Path(name) / "a")
        for key in rng.sample([key for key in keys if key.endswith(".parquet")], 8):
            mirror.fetch(mirror.root / key)
        patch.setattr(mirror_module, "PAGE", 1)
        for _ in range(2):
            change()
            mirror.refresh_shards(shards)
        fresh = open_mirror(objects, Path(name) / "b")
        seen, expected = describe(mirror, shards), describe(fresh, shards)
    for key, value in expected.items():
        assert seen.pop(key) == value, key
    # What else is here are tables that were fetched, as they are now.
    for key, value in seen.items():
        found = objects.get(key)
        assert found is not None, key
        assert found[0] == value, key


def test_a_look_at_some_shards_of_a_large_run_lists_few_of_its_objects(tmp_path: Path) -> None:
    """Fails where a claim lists the whole run."""
    objects = MemoryObjects()
    objects.put(MANIFEST, b"{}\n")
    for number in range(22 * PAGE):
        objects.put(f"history/0001/trajectories/part-{number:05d}.parquet", b"")
    for number in range(100):
        objects.put(f"trajectories/part-{number:05d}.parquet", b"")
    mirror = open_mirror(objects, tmp_path / "a")
    objects.listed = 0
    objects.put("trajectories/part-00041.parquet", b"new")
    mirror.refresh_if_due()
    assert objects.listed == 0
    mirror.refresh_shards([40, 41])
    assert objects.listed < 10
    assert mirror.list_sizes(mirror.root / "trajectories")["part-00041.parquet"] == 3


def test_a_small_run_is_looked_at_whole(tmp_path: Path) -> None:
    objects = MemoryObjects()
    objects.put(MANIFEST, b"{}\n")
    mirror = open_mirror(objects, tmp_path / "a")
    objects.put("trajectories/part-00007.parquet", b"new")
    mirror.refresh_if_due()
    assert mirror.exists(mirror.root / "trajectories" / "part-00007.parquet")
    objects.put("trajectories/part-00008.parquet", b"new")
    mirror.refresh_shards([3])
    assert mirror.exists(mirror.root / "trajectories" / "part-00008.parquet")


def test_spans_hold_all_files_of_their_shards() -> None:
    spans = list_spans(NUMBERS)
    for shard in NUMBERS:
        for key in name_files(shard):
            assert any(
                key.startswith(span.folder) and span.after < key <= span.last for span in spans
            ), key
