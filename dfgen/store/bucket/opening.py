"""Chooses by an address who reads and writes the objects of a run."""

from __future__ import annotations

from dfgen.store.bucket.address import HUB, Address
from dfgen.store.bucket.hub_objects import HubObjects
from dfgen.store.bucket.objects import Objects, ObstoreObjects


def open_objects(address: Address) -> Objects:
    """Open the store of an address; nothing is asked of it yet.

    Raises:
        MissingExtraError: obstore is not installed, and the address needs it.
        StorageError: the environment has no credentials, or is offline.
    """
    if address.scheme == HUB:
        return HubObjects(address)
    return ObstoreObjects(address)
