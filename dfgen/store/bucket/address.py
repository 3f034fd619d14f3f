"""Reads the address of a run in a bucket: `s3://bucket/folder`, `gs://`, `az://`, `hf://`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dfgen.errors import InputError

SCHEMES = {
    "s3": "Amazon S3, or a server that speaks its protocol (AWS_ENDPOINT_URL)",
    "gs": "Google Cloud Storage",
    "az": "Azure Blob Storage, az://container/folder",
    "hf": "Storage Buckets of the Hugging Face Hub, hf://buckets/owner/name/folder",
}
"""What an address may begin with."""

HUB = "hf"
_HUB_BUCKETS = "buckets"
"""The first step of an address on the Hub, where repositories have addresses as well."""

_SHAPE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_STEP = re.compile(r"[A-Za-z0-9!_.*'()+=,@ -]+")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a run is in an object store.

    Attributes:
        scheme: one of `SCHEMES`.
        bucket: bucket or container; on the Hub `buckets/owner/name`.
        folder: prefix of every object of the run, without slashes at its ends.
    """

    scheme: str
    bucket: str
    folder: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.folder}"

    def name(self, key: str) -> str:
        """Return the address of one object of the run, for messages."""
        return f"{self}/{key}"


def is_address(text: str) -> bool:
    """Say whether a text is meant as the address of a bucket that dfgen knows."""
    found = _SHAPE.fullmatch(text)
    return found is not None and found[1].lower() in SCHEMES


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        InputError: it is none, or no address that a run can have.
    """
    found = _SHAPE.fullmatch(text)
    scheme = found[1].lower() if found else ""
    if found is None or scheme not in SCHEMES:
        known = "; ".join(f"{name}:// {what}" for name, what in SCHEMES.items())
        raise InputError(f"{text!r} is no address that dfgen knows.", hint=f"It knows: {known}.")
    if "@" in found[2].split("/")[0]:
        raise _refuse(f"{scheme}://…", "it holds a user name or a password")
    steps = [step for step in found[2].split("/") if step]
    if scheme == HUB and steps[:1] != [_HUB_BUCKETS]:
        raise _refuse(text, "on the Hub a run lies in a Storage Bucket, not in a repository")
    names, pattern = (3, _HUB_NAME) if scheme == HUB else (1, _BUCKET)
    parts, steps = steps[:names] + [""] * (names - len(steps)), steps[names:]
    for name in parts:
        if not pattern.fullmatch(name):
            raise _refuse(text, f"{name!r} is no name of a bucket")
    bucket = "/".join(parts)
    if not steps:
        raise _refuse(text, "it names a bucket and no folder in it")
    for step in steps:
        if step in (".", "..") or not _STEP.fullmatch(step):
            raise _refuse(text, f"the folder {step!r} has signs that not every store keeps")
    return Address(scheme, bucket, "/".join(steps))


def _refuse(text: str, why: str) -> InputError:
    if text.lower().startswith(f"{HUB}:"):
        hint = (
            "Write hf://buckets/OWNER/NAME/FOLDER. The token comes from HF_TOKEN or "
            "`hf auth login`. `dfgen publish` puts a finished run into a data set repository."
        )
    else:
        hint = (
            "Write s3://BUCKET/FOLDER. Credentials come from the environment alone "
            "(AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, "
            "... or the machine's own role)."
        )
    return InputError(f"{text!r} is no address of a run: {why}.", hint=hint)
