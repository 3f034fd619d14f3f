"""`dfgen publish`: puts a run on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.options import EXISTING_RUN, examples
from dfgen.errors import ConfigError
from dfgen.export.tables import TABLES

if TYPE_CHECKING:
    from dfgen.publish.flow import Published
    from dfgen.publish.options import PublishOptions
    from dfgen.publish.release import Release

_PUBLISHED = [name for name, table in TABLES.items() if table.on_hub]


@click.command(
    epilog=examples(
        "dfgen publish runs/demo me/my-masks --license cc-by-4.0 --dry-run",
        "dfgen publish runs/demo me/my-masks --license cc-by-4.0 --private",
        "dfgen publish runs/demo me/my-masks --license mit --config-names groups,preference",
        "dfgen publish runs/demo team/masks --license mit --create-pr --allow local-path",
    )
)
@click.argument("run", type=EXISTING_RUN)
@click.argument("repo_id")
@click.option("--license", "license_name", help="Licence of the data set (cc-by-4.0, mit, ...).")
@click.option(
    "--config-names",
    help=f"Tables, the default one first: {', '.join(_PUBLISHED)}.  "
    "[default: groups,trajectories, as far as the run has what they are made of]",
)
@click.option("--private", is_flag=True, help="Make the repository private if it is new.")
@click.option("--revision", metavar="BRANCH", help="Commit to this branch; made if not there.")
@click.option("--create-pr", is_flag=True, help="Propose it as a pull request.")
@click.option("--tag", help="Name of the tag. Default: dfgen- and a hash of the content.")
@click.option(
    "--allow",
    multiple=True,
    metavar="CHECK",
    help="Publish in spite of what this check found. May be given often.",
)
@click.option("--dry-run", is_flag=True, help="Write and check everything; send nothing.")
@json_option("Print the outcome as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="No progress, errors only.")
def command(
    run: Path,
    repo_id: str,
    license_name: str | None,
    config_names: str | None,
    private: bool,
    revision: str | None,
    create_pr: bool,
    tag: str | None,
    allow: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Put a run on the Hub: one commit with tables and card, verified and tagged.

    The token comes from HF_TOKEN or `hf auth login`. Give the same command again after any failure:
    what the Hub already has is not sent again, and nothing is published twice.
    """
    from dfgen.publish.flow import publish_run, rehearse
    from dfgen.publish.options import PublishOptions
    from dfgen.store.finished import open_finished

    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    options = PublishOptions(
        repo_id=repo_id,
        tables=() if config_names is None else _read_tables(config_names),
        license=license_name,
        private=private,
        revision=revision,
        create_pr=create_pr,
        tag=tag,
        allow=_read_allowed(allow),
    )
    session = open_finished(run)
    if dry_run:
        _show_rehearsal(rehearse(session, options, say), options, as_json)
    else:
        _show_published(publish_run(session, options, say), as_json)


def _read_tables(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in TABLES]
    if unknown or not names or len(set(names)) != len(names):
        raise ConfigError(
            f"--config-names {text!r} is not a list of different tables.",
            hint=f"Tables: {', '.join(_PUBLISHED)}.",
        )
    return tuple(names)


def _read_allowed(names: tuple[str, ...]) -> frozenset[str]:
    from dfgen.publish.safety import CHECKS

    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        raise ConfigError(
            f"--allow {unknown[0]} is no check.", hint=f"Checks: {', '.join(CHECKS)}."
        )
    return frozenset(names)


def _show_rehearsal(release: Release, options: PublishOptions, as_json: bool) -> None:
    if as_json:
        files = [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in release.files]
        print_outcome_json({"repo_id": options.repo_id, "published": False, "files": files})
        return
    for file in release.files:
        click.echo(f"{file.size:>12,}  {file.path}")
    click.echo(f"Nothing was sent. The card is {release.files[-1].source}", err=True)


def _show_published(published: Published, as_json: bool) -> None:
    if as_json:
        outcome = {
            "repo_id": published.repo_id,
            "published": True,
            "new": published.new,
            "url": published.url,
            "commit": published.commit,
            "ref": published.ref,
            "tag": published.tag,
            "rows": {name: t.rows for name, t in published.release.manifest.tables.items()},
        }
        print_outcome_json(outcome)
        return
    state = "Published and verified" if published.new else "Already there, verified again"
    named = f", tag {published.tag}" if published.tag else ""
    click.echo(f"{state}: commit {published.commit[:12]} on {published.ref}{named}.", err=True)
    click.echo(published.url)
