"""Puts data into an HTML page so that nothing in it can be taken for markup or for code."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from typing import Any


def write_json(value: Any) -> str:
    r"""Write JSON for the inside of a `<script type="application/json">`.

    `<`, `>` and `&` become escapes such as \u003c, so that neither `</script>` nor `<!--` can
    appear whatever the data holds (HTML standard, 4.12.1.3); NaN and infinities are refused.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028"}
    for character, escape in (escapes | {"\u2029": "\\u2029"}).items():
        text = text.replace(character, escape)
    return text


def pack_json(value: Any) -> str:
    """Pack JSON: gzip, base64 (letters, digits, `+/=`). Equal values give equal text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    data = gzip.compress(text.encode(errors="replace"), mtime=0)
    return base64.b64encode(data).decode("ascii")


def hash_source(text: str) -> str:
    """Compute the source expression by which a Content-Security-Policy allows one inline block."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
