"""Makes secrets of every kind as providers give them out, and texts in which such things stand."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable

LETTERS = string.ascii_letters + string.digits
URL_SAFE = LETTERS + "_-"
HEX = "0123456789abcdef"


class Draw:
    """Draws texts of an alphabet. Args: rng: the source of chance."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def __call__(self, length: int, alphabet: str = LETTERS) -> str:
        # Never a hyphen or the like at an end, which the end of a sentence could swallow.
        inner = self.rng.choices(alphabet, k=max(0, length - 2))
        ends = [each for each in alphabet if each.isalnum()]
        return "".join([self.rng.choice(ends), *inner, self.rng.choice(ends)])[:length]


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


MAKERS: dict[str, list[Callable[[Draw], str]]] = {
    "hf-token": [lambda d: f"hf_{d(34)}"],
    "api-key": [
        lambda d: f"sk-{d(48)}",
        lambda d: f"sk-proj-{d(120, URL_SAFE)}",
        lambda d: f"sk-ant-api03-{d(93, URL_SAFE)}",
        lambda d: f"sk-or-v1-{d(64, HEX)}",
        lambda d: f"sk-{d(32, HEX)}",
    ],
    "github-token": [
        *[lambda d, kind=kind: f"gh{kind}_{d(36)}" for kind in "pousr"],
        lambda d: f"github_pat_{d(22)}_{d(59)}",
    ],
    "gitlab-token": [lambda d: f"glpat-{d(20, URL_SAFE)}"],
    "aws-key": [
        lambda d: "AKIA" + d(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        lambda d: "ASIA" + d(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    ],
    "aws-secret": [
        lambda d: f"aws_secret_access_key = {d(40, LETTERS + '/+')}",
        lambda d: f"AWS_SECRET_ACCESS_KEY={d(40, LETTERS + '/+')}",
        lambda d: f"aws_secret_access_key: {d(40, LETTERS + '/+')}",
        lambda d: f'"aws_secret_access_key": "{d(40, LETTERS + "/+")}"',
        lambda d: f"AWS_SESSION_TOKEN='{d(300, LETTERS + '/+')}'",
    ],
    "google-key": [
        lambda d: f"AIza{d(35, URL_SAFE)}",
        lambda d: f"ya29.{d(120, URL_SAFE)}",
        lambda d: f"GOCSPX-{d(28, URL_SAFE)}",
    ],
    "slack-token": [
        lambda d: f"xoxb-{d(12, string.digits)}-{d(12, string.digits)}-{d(24)}",
        lambda d: f"xoxp-{d(11, string.digits)}-{d(11, string.digits)}-{d(32, HEX)}",
        lambda d: f"xapp-1-A{d(10).upper()}-{d(13, string.digits)}-{d(64, HEX)}",
        lambda d: f"https://hooks.slack.com/services/T{d(8)}/B{d(8)}/{d(24)}",
    ],
    "stripe-key": [
        lambda d: f"sk_live_{d(24)}",
        lambda d: f"rk_live_{d(99)}",
        lambda d: f"sk_test_{d(24)}",
        lambda d: f"whsec_{d(32)}",
    ],
    "npm-token": [
        lambda d: f"npm_{d(36)}",
        lambda d: f"//registry.npmjs.org/:_authToken={d(36, HEX + '-')}",
    ],
    "pypi-token": [lambda d: f"pypi-AgEIcHlwaS5vcmc{d(140, URL_SAFE)}"],
    "wandb-key": [
        lambda d: f"WANDB_API_KEY={d(40, HEX)}",
        lambda d: f'"wandb_api_key": "{d(40, HEX)}"',
        lambda d: f"wandb login {d(40, HEX)}",
        lambda d: f"wandb.login(key='{d(40, HEX)}')",
        lambda d: f"wandb_v1_{d(80)}",
    ],
    "groq-key": [lambda d: f"gsk_{d(52)}"],
    "xai-key": [lambda d: f"xai-{d(80)}"],
    "nvidia-key": [lambda d: f"nvapi-{d(64, URL_SAFE)}"],
    "replicate-token": [lambda d: f"r8_{d(37)}"],
    "telegram-token": [lambda d: f"{d(10, '123456789')}:AA{d(33, URL_SAFE)}"],
    "private-key": [
        lambda d, kind=kind: f"-----BEGIN {kind}PRIVATE KEY-----"  # type: ignore[misc]
        for kind in ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA ")
    ],
    "json-web-token": [
        lambda d: ".".join(["eyJ" + d(33, URL_SAFE), "eyJ" + d(70, URL_SAFE), d(43, URL_SAFE)])
    ],
    "bearer-token": [
        lambda d: f"Authorization: Bearer {d(40)}",
        lambda d: f'"Authorization": "Bearer {d(40)}"',
        lambda d: f"'authorization': 'bearer {d(40)}'",
        lambda d: f'headers["Authorization"] = "Bearer {d(40)}"',
        lambda d: f'("Authorization", "Bearer {d(40)}")',
        lambda d: f"authorization=Bearer {d(40)}",
    ],
    "basic-login": [
        lambda d: f"Authorization: Basic {_encode(f'{d(6)}:{d(12)}')}",
        lambda d: f'"Authorization": "Basic {_encode(f"{d(5)}:{d(9)}")}"',
        lambda d: f'headers["Authorization"] = "Basic {_encode(f"{d(5)}:{d(9)}")}"',
    ],
    "url-password": [
        lambda d: f"postgres://{d(5)}:{d(12)}@db.example.org/x",
        lambda d: f"https://user:{d(16)}@example.org",
        lambda d: f"amqp://a:{d(9)}@mq/v",
    ],
    "url-key": [
        lambda d, name=name: f"https://api.example.org/v1?alt=json&{name}={d(30)}"  # type: ignore[misc]
        for name in (
            "key", "api_key", "apiKey", "api-key", "access_token", "token", "client_secret",
            "password", "sig", "X-Amz-Signature",
        )
    ],
}  # fmt: skip
"""For each kind of secret, the forms in which it is given out or written down."""

CONTEXTS: dict[str, Callable[[str], str]] = {
    "alone": lambda s: s,
    "in a sentence": lambda s: f"I use {s} for that, and it works.",
    "ends a sentence": lambda s: f"The key is {s}. Then we count.",
    "in brackets": lambda s: f"(see {s})",
    "JSON": lambda s: json.dumps({"model": "m", "value": s, "n": 3}),
    "JSON in JSON": lambda s: json.dumps({"arguments": json.dumps({"value": s})}),
    "Python dict": lambda s: repr({"value": s}),
    "YAML": lambda s: f"engine: openai\n  value: {s}\n  n: 3",
    "YAML in quotes": lambda s: f"value: '{s}'",
    "env line": lambda s: f"A=1\nexport SERVICE={s}\nB=2",
    "env in quotes": lambda s: f'SERVICE="{s}"',
    "header": lambda s: f"GET / HTTP/1.1\r\nX-Service: {s}\r\n\r\n",
    "shell": lambda s: f"curl -H 'X-Service: {s}' https://example.org",
    "CSV": lambda s: f"1,{s},2",
    "table": lambda s: f"| name | {s} |",
    "Markdown": lambda s: f"**`{s}`**",
    "HTML": lambda s: f"<b>{s}</b>",
    "tab and newline": lambda s: f"a\t{s}\nb",
    "LaTeX": lambda s: rf"\texttt{{{s}}}",
    "a comment": lambda s: f"x = 1  # {s}",
    "Chinese": lambda s: f"密钥是{s}。然后",
}
"""What a secret may stand in."""

IN_URL = "in a URL"


def make_secrets(seed: int = 0) -> dict[str, list[str]]:
    """Make a secret in each form of each kind."""
    draw = Draw(random.Random(seed))
    return {kind: [make(draw) for make in makers] for kind, makers in MAKERS.items()}


def make_texts(kind: str, secret: str) -> dict[str, str]:
    """Put a secret into every context in which it can stand."""
    texts = {name: put(secret) for name, put in CONTEXTS.items()}
    if not any(mark in secret for mark in " \"'/:="):
        texts[IN_URL] = f"https://example.org/{secret}/v1?page=2&a={secret}#b"
    return texts


NEAR_MISSES: dict[str, list[Callable[[Draw], str]]] = {
    "hf-token": [lambda d: f"hf_{d(12)}", lambda d: f"hf_hub_download, half_{d(34)}"],
    "api-key": [
        lambda d: f"task-{d(30)}",
        lambda d: f"sk-{d(8)}",
        lambda d: "a risk-averse-person-would-not-take-this-bet",
    ],
    "github-token": [lambda d: f"ghp_{d(10)}", lambda d: "https://github.com/patrick/gho_st"],
    "gitlab-token": [lambda d: f"glpat-{d(8)}"],
    "aws-key": [lambda d: "AKIA is a prefix", lambda d: f"AKIA{d(30).upper()}"],
    "aws-secret": [lambda d: "aws_secret_access_key = None", lambda d: f"sha1 = {d(40, HEX)}"],
    "google-key": [lambda d: f"AIza{d(10)}", lambda d: "ya29 is the 29th road"],
    "slack-token": [lambda d: "xoxb-1", lambda d: "hooks.slack.com/services"],
    "stripe-key": [lambda d: "sk_live_stream", lambda d: "risk_live_" + d(20)],
    "npm-token": [lambda d: "npm_config_registry", lambda d: f"npm_{d(12)}"],
    "pypi-token": [lambda d: "pypi-AgE", lambda d: "pypi-agent-of-the-month"],
    "wandb-key": [lambda d: "WANDB_API_KEY is not set", lambda d: f"commit {d(40, HEX)}"],
    "groq-key": [lambda d: f"gsk_{d(12)}"],
    "xai-key": [lambda d: f"xai-{d(12)}", lambda d: "xai-methods explain models"],
    "nvidia-key": [lambda d: "nvapi-sys"],
    "replicate-token": [lambda d: f"r8_{d(9)}"],
    "telegram-token": [lambda d: "10:30 AA batteries", lambda d: f"{d(5, '123')}:AA{d(33)}"],
    "private-key": [lambda d: "-----BEGIN PUBLIC KEY-----", lambda d: "a PRIVATE KEY of mine"],
    "json-web-token": [lambda d: f"eyJ{d(30)}", lambda d: "eyJa.eyJb.c"],
    "bearer-token": [lambda d: "Authorization: Bearer <your token>", lambda d: "the bearer of it"],
    "basic-login": [lambda d: "Authorization: Basic <login>", lambda d: "Basic geometry"],
    "url-password": [lambda d: "https://example.org:8080/a@b", lambda d: "mail a:b to c@d.org"],
    "url-key": [lambda d: "https://example.org/?key=3&page=2", lambda d: "the key=value pairs"],
}
"""For each kind, what looks like it at first sight and is ordinary text."""
