"""Takes paths of this machine on the command line, and says so when it is given an address."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import click

from dfgen.cli.names import suggest
from dfgen.errors import guess_path

# s3://a, s3:/a (as a shell variable may leave it), zip::file
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?:/|:)")


class LocalPath(click.Path):
    """`click.Path` as `pathlib.Path`, for files and folders of this machine alone.

    `s3://...` would otherwise be made as a folder `s3:` in the current directory.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(path_type=Path, **settings)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path.

        Raises:
            click.BadParameter: it is an address, or no path that `click.Path` takes.
        """
        text = str(value)
        found = _ADDRESS.match(text)
        if found and found[1].lower() == "file":
            self.fail(f"{text!r} is an address: write the path without file://.", param, ctx)
        if found:
            self.fail(
                f"{text!r} is an address: dfgen reads and writes folders of this machine only, so "
                "far; mount the storage, or copy the folder when dfgen is done.",
                param,
                ctx,
            )
        try:
            os.lstat(text)
        except ValueError:
            self.fail(f"{text!r} holds a null character.", param, ctx)
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
                self.fail(
                    f"no file can have the path {text[:60]!r}...: {error.strerror}.", param, ctx
                )
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            if os.path.lexists(text):
                raise
            meant = suggest(guess_path(Path(text)))
            raise click.BadParameter(error.message + meant, ctx, param) from None
