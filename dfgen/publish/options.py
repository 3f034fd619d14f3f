"""Defines the choices of a user who publishes: where to, which tables, which licence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]

DEFAULT_TABLES = ("groups", "trajectories")
"""What is published where nobody says which tables; those of them that the run can give."""


@dataclass(frozen=True)
class PublishOptions:
    """One publication.

    Attributes:
        repo_id: `name` or `owner/name`.
        tables: names of tables, the default one first; empty: `DEFAULT_TABLES`.
        license: as the Hub writes it (`cc-by-4.0`); None is an unsafe thing to be allowed.
        private: only for a repository that does not exist yet.
        revision: branch to commit to; made if it is not there. None: main.
        create_pr: propose the commit as a pull request.
        tag: name of the tag; None: one made of the content.
        allow: names of checks whose findings the user accepts.
    """

    repo_id: str
    tables: tuple[str, ...] = ()
    license: str | None = None
    private: bool = False
    revision: str | None = None
    create_pr: bool = False
    tag: str | None = None
    allow: frozenset[str] = frozenset()
