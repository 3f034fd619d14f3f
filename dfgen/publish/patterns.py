"""Lists what secrets and paths of machines look like, by the name of the check that finds them.

Written for RE2 (Arrow's engine, which looks at whole columns at once) and Python's `re` alike: no
look-around, no back references. Of a key only its fixed beginning and its alphabet are sure, so a
pattern asks for both, and for as many characters as the provider gives out.

Not a library's rules: detect-secrets 1.5 reads a text line by line with Python's `re`. On 1,600
answers of the demo its 21 plugins of fixed forms took 126 times the processor time of these
patterns (0.42 s and 0.003 s for 0.2 MB; neither found anything), and every text of a run is read.
"""

from __future__ import annotations

_START = r"(?:^|[^A-Za-z0-9_])"
"""What may stand before a key: no letter, digit or underscore, or it is a part of a word."""

_TO_VALUE = r"[\\\"' \]]{0,8}[=:][\\\"' ]{0,8}"
"""Between a name and what it is set to. A backslash stands before each quote in JSON, and more of
them in JSON that is a string of other JSON."""

_TO_SCHEME = r"[\\\"' \]]{0,8}[=:,]?[\\\"' ]{0,8}"
"""Between the name of a header and the scheme of a login, in code, too."""

SECRETS: dict[str, str] = {
    "hf-token": r"\bhf_[A-Za-z0-9]{30,}",
    # OpenAI, Anthropic, OpenRouter, DeepSeek and many who follow them.
    "api-key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "github-token": r"\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{40,}",
    "gitlab-token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "aws-key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",
    # The secret half has no beginning of its own, so its name must stand before it.
    "aws-secret": (
        r"(?i:aws_?(?:secret|session)[a-z_]{0,20}" + _TO_VALUE + r")[A-Za-z0-9/+=]{40,}"
    ),
    "google-key": r"\bAIza[0-9A-Za-z_-]{35}|\bya29\.[0-9A-Za-z_-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{28}",
    "slack-token": (
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-[0-9]-[A-Za-z0-9-]{20,}"
        r"|hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/+_-]{20,}"
    ),
    "stripe-key": r"\b[sr]k_(?:live|test|prod)_[A-Za-z0-9]{16,}|\bwhsec_[A-Za-z0-9]{24,}",
    "npm-token": r"\bnpm_[A-Za-z0-9]{36}|_authToken" + _TO_VALUE + r"[A-Za-z0-9_.-]{16,}",
    "pypi-token": r"\bpypi-AgE[A-Za-z0-9_-]{50,}",
    "wandb-key": (
        r"\bwandb_v[0-9]_[A-Za-z0-9_]{40,}"
        r"|(?i:wandb_?api_?key" + _TO_VALUE + r")[0-9a-f]{40}"
        r"|(?i:wandb[. ]login[ (]{1,3}(?:key=)?[\\\"' ]{0,4})[0-9a-f]{40}"
    ),
    "groq-key": r"\bgsk_[A-Za-z0-9]{40,}",
    "xai-key": r"\bxai-[A-Za-z0-9]{60,}",
    "nvidia-key": r"\bnvapi-[A-Za-z0-9_-]{40,}",
    "replicate-token": r"\br8_[A-Za-z0-9]{37}",
    "telegram-token": _START + r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
    "private-key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "json-web-token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "bearer-token": r"(?i:authorization" + _TO_SCHEME + r"bearer +[a-z0-9._~+/-]{16,})",
    "basic-login": r"(?i:authorization" + _TO_SCHEME + r"basic +[a-z0-9+/]{8,}={0,2})",
    "url-password": r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"]+:[^\s/@\"]+@",
    "url-key": (
        r"(?i:[?&](?:api[_-]?key|key|access[_-]?token|auth[_-]?token|token|secret|client[_-]?secret"
        r"|password|sig|signature|x-amz-(?:signature|credential|security-token))"
        r"=[a-z0-9%._~+/-]{12,})"
    ),
}

_FOLDERS = (
    "home|Users|root|mnt|media|tmp|private|scratch|workspace|workspaces|work|srv|nfs|gpfs|lustre"
    "|data[0-9]?|export|storage|Volumes|content/drive|kaggle|dbfs|fsx|efs|raid[0-9]?|projects"
    "|project|cluster|ssd[0-9]?|nvme[0-9]?|pfs|beegfs|ceph|weka|pscratch|p/scratch"
    "|u/home|gpfs[0-9]?|var/folders|s3|gcs"
)
"""First parts of paths on people's machines and on clusters."""

PATHS: dict[str, str] = {
    "local-path": (
        # After a character that can stand before a path.
        r"(?:^|[\s\"'`=(,:\[{<>|])"
        r"(?:/(?:" + _FOLDERS + r")/[^\s\"'`,;:)\]}<>|]+"
        # Of one's own home folder, hidden or with a folder in it.
        r"|~[A-Za-z0-9_-]*/(?:\.[A-Za-z0-9_]|[A-Za-z0-9_.-]+/)[^\s\"'`,;)\]}<>|]*"
        r"|[A-Za-z]:\\{1,2}[A-Za-z0-9._-]+\\{1,2}[^\s\"']+"
        # A share of another machine; in JSON every backslash is doubled. LaTeX (a line break, then
        # commands) looks the same but for a dot or hyphen in the machine's name or a file's ending.
        r"|\\{2,4}[A-Za-z][A-Za-z0-9]*(?:[.-][A-Za-z0-9]+)+\\{1,2}[A-Za-z0-9._$-]{2,}\\{1,2}[A-Za-z0-9]"
        r"|\\{2,4}[A-Za-z0-9-]{2,}\\{1,2}[A-Za-z0-9_$-]{2,}\\{1,2}[^\s\"'{}]*[.][A-Za-z0-9]{2,5}\b"
        r"|(?:s3a?|gs|gcs|abfss?|wasbs?|az|hdfs|oss|cos|r2)://[a-z0-9][A-Za-z0-9._@-]{2,}/?[^\s\"'`)]*"
        r"|file:///?[^\s\"']+)"
    ),
}

PATTERNS: dict[str, str] = {**SECRETS, **PATHS}
"""Name of the check (what `--allow` takes) and what it looks for."""
