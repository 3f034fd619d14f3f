"""Tells whether a run may go on with the way in which this dfgen shows pictures.

Policy, repairer and trainers have to see the same pictures, so all of a run is done with one
version of the view (`dfgen.pictures.VIEW`). It stands in the manifest and not in the fingerprint of
a stage, because every stage that shows pictures must agree with all the others.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from dfgen.errors import RunMismatchError
from dfgen.pictures import VIEW
from dfgen.pictures.header import find_plain_type
from dfgen.store.layout import Stage

if TYPE_CHECKING:
    from dfgen.store.manifest import Manifest
    from dfgen.store.shards import ShardTable

_BLIND = ("prompts", "mask")
"""Stages that show no picture to a model."""


def is_view_settled(
    manifest: Manifest, stage: Stage, begun: Set[Stage], prompts: ShardTable
) -> bool:
    """Say whether the manifest names the view that a stage is about to show; False: it may do so.

    A run that has shown no picture yet may take the view of today; so may one from before there
    were views, if each of its pictures is its own view, and was shown as it is.

    Raises:
        RunMismatchError: pictures of the run were shown in another way.
    """
    if stage in _BLIND or manifest.pictures == VIEW:
        return True
    shown = begun - set(_BLIND)
    if manifest.kind == "imported":
        shown -= {"sample"}
    if not shown or (manifest.pictures is None and _are_all_plain(prompts)):
        return False
    old = manifest.pictures or "a dfgen that had no views"
    raise RunMismatchError(
        "this run has shown its pictures in another way than this dfgen does, and policy,"
        f" repairer and trainer must see the same:\n  pictures: {old} -> {VIEW}",
        where=str(prompts.directory.parent),
        hint="Go on with the dfgen that began the run, or choose another directory for a new run.",
    )


def _are_all_plain(prompts: ShardTable) -> bool:
    return all(
        find_plain_type(image["bytes"]) is not None
        for shard in prompts.shards()
        for row in prompts.iter_rows(shard, columns=["images"])
        for image in row["images"]
    )
