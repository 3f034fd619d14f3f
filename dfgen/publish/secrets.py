"""Patterns of what must not be published by accident.

Written for RE2 (Arrow's engine) and Python's `re` alike: no look-around, no back references.
"""

from __future__ import annotations

import os
import re

PATTERNS: dict[str, str] = {
    "hf-token": r"\bhf_[A-Za-z0-9]{30,}",
    "api-key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "github-token": r"\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{40,}",
    "gitlab-token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "aws-key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "google-key": r"\bAIza[0-9A-Za-z_-]{35}",
    "slack-token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "private-key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "json-web-token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "bearer-token": r"(?i:authorization:? *bearer +[a-z0-9._~+/-]{16,})",
    "url-password": r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"]+:[^\s/@\"]+@",
    # A folder that people and machines have, after a character that can stand before a path.
    "local-path": (
        r"(?:^|[\s\"'`=(,:\[{<>|])"
        r"(?:/(?:home|Users|root|mnt|media|tmp|private|scratch|workspace|work|srv|nfs|gpfs|lustre"
        r"|data[0-9]?|export|storage|Volumes|content/drive|kaggle|dbfs)/[^\s\"'`,;:)\]}<>|]+"
        r"|[A-Za-z]:\\{1,2}[A-Za-z0-9._-]+\\{1,2}[^\s\"']+"
        r"|file:///?[^\s\"']+)"
    ),
}
"""Name of the check (what `--allow` takes) and what it looks for."""

OWN_SECRET = "own-secret"
_SECRET_NAMES = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY)", re.IGNORECASE)
_SHORTEST_SECRET = 12


def list_patterns() -> dict[str, str]:
    """All patterns, and the values of this process's own secrets among them."""
    own = find_own_secrets()
    extra = {OWN_SECRET: "|".join(re.escape(value) for value in own)} if own else {}
    return PATTERNS | extra


def find_own_secrets() -> list[str]:
    """Values of environment variables that are named like a secret, and the Hub's token."""
    from huggingface_hub import get_token

    values = {value for name, value in os.environ.items() if _SECRET_NAMES.search(name)}
    values.add(get_token() or "")
    # A switch such as TOKENIZERS_PARALLELISM=false, a path or a short word is no secret.
    return sorted(v for v in values if len(v) >= _SHORTEST_SECRET and "/" not in v and " " not in v)


def mask_secret(text: str) -> str:
    """Enough of a finding to know it again, not enough to use it."""
    shown = text.strip()
    return f"{shown[:6]}…" if len(shown) > 8 else "…"
