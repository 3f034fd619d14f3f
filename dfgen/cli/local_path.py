"""Takes paths on the command line: of this machine, or of a run in a bucket."""

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
                f"{text!r} is an address: only a run may lie in a bucket (s3://, gs://, az://, "
                "hf://buckets/); this has to be a path of this machine.",
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
            told = error.message + suggest(guess_path(Path(text)))
            raise click.BadParameter(told, ctx, param) from None


class RunPath(LocalPath):
    """The path of a run, or its address in a bucket: `s3://...` becomes its staging directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path.

        Raises:
            click.BadParameter: it is no path that `click.Path` takes.
            DfgenError: the bucket cannot be used.
        """
        text = str(value)
        if _ADDRESS.match(text):
            from dfgen.store.bucket.address import is_address

            if is_address(text):
                from dfgen.store.bucket.mounting import mount

                return mount(text).root
        return super().convert(value, param, ctx)
